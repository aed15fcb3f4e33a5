"""The supervisor on real child processes: what ends is started again, up to a bound; stopping has an order and an
end."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devstack.errors import DevstackError, PartFailed
from devstack.parts import Part
from devstack.settings import DevstackSettings
from devstack.state import StackState
from devstack.supervisor import Supervisor, rotate
from tests.support.waiting import eventually

FOREVER = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); open(READY, 'w').close(); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(READY, 'w').close(); signal.pause()"


async def always() -> bool:
    return True


def settings(folder: Path, **changes: object) -> DevstackSettings:
    quick = {"folder": folder, "backoff_seconds": 0.01, "max_restarts": 2, "stop_timeout_seconds": 12.0}
    return DevstackSettings.model_validate(quick | changes)


def part(folder: Path, name: str, code: str, *, live: Callable[[], Awaitable[bool]] | None = None) -> Part:
    """A process that runs `code`; it is ready once it has made the file READY."""
    ready_file = folder / f"{name}.ready"

    async def ready() -> bool:
        return ready_file.exists()

    return Part(
        name,
        [sys.executable, "-c", f"READY = {str(ready_file)!r}\n{code}"],
        {},
        folder / f"{name}.log",
        0,
        "",
        ready,
        live,
    )


class Running:
    """A supervisor that runs in a task."""

    def __init__(self, config: DevstackSettings, *parts: Part) -> None:
        self.phases: list[str] = []
        self.supervisor = Supervisor(config, parts, prepare=always, written=self._written)
        self.stopping = asyncio.Event()
        self.task = asyncio.create_task(self.supervisor.run(self.stopping))

    def _written(self, state: StackState) -> None:
        if self.phases[-1:] != [state.phase]:
            self.phases.append(state.phase)

    async def ready(self) -> None:
        await eventually(
            lambda: (
                self.supervisor.state.phase == "ready" and all(p.state == "ready" for p in self.supervisor.state.parts)
            )
        )


@asynccontextmanager
async def running(config: DevstackSettings, *parts: Part) -> AsyncIterator[Running]:
    stack = Running(config, *parts)
    try:
        yield stack
    finally:
        stack.stopping.set()
        await asyncio.gather(stack.task, return_exceptions=True)


async def test_a_killed_part_is_started_again_and_the_others_are_left_alone(tmp_path: Path) -> None:
    async with running(settings(tmp_path), part(tmp_path, "one", FOREVER), part(tmp_path, "two", FOREVER)) as stack:
        await stack.ready()
        one, two = (supervised.child for supervised in stack.supervisor.parts.values())
        killed, other = one.pid, two.pid
        one.kill()
        await eventually(lambda: one.running and one.pid != killed)
        await stack.ready()
        assert two.pid == other
        assert stack.supervisor.parts["one"].status.restarts == 1
        assert "SIGKILL" in stack.supervisor.parts["one"].status.note


async def test_a_part_that_keeps_ending_is_set_aside_and_said_and_the_others_go_on(tmp_path: Path) -> None:
    broken = part(tmp_path, "broken", "import sys; sys.exit('the lamp is out')")
    servers = [part(tmp_path, name, FOREVER) for name in ("kafka", "redis")]
    async with running(settings(tmp_path), *servers, part(tmp_path, "well", FOREVER), broken) as stack:
        await eventually(lambda: stack.supervisor.state.phase == "degraded")
        others = {name: stack.supervisor.parts[name].child.pid for name in ("kafka", "redis", "well")}
        [aside] = stack.supervisor.state.set_aside
        assert (aside.name, aside.state, aside.restarts) == ("broken", "set aside", 3)
        assert "ended with code 1; given up after 2 restarts" in aside.note
        assert stack.supervisor.state.settled
        assert (tmp_path / "broken.log").read_text().count("the lamp is out") == 3
        stack.supervisor.try_again()
        await eventually(lambda: (tmp_path / "broken.log").read_text().count("the lamp is out") == 6)
        assert {name: stack.supervisor.parts[name].child.pid for name in others} == others
    assert stack.phases == ["starting", "degraded", "stopping", "stopped"]


async def test_a_part_that_is_set_aside_is_tried_again_after_a_pause_and_may_be_well(tmp_path: Path) -> None:
    cured = tmp_path / "cured"
    ill = part(tmp_path, "ill", f"import os, sys\nif not os.path.exists({str(cured)!r}): sys.exit(70)\n{FOREVER}")
    async with running(settings(tmp_path, set_aside_seconds=0.5), ill, part(tmp_path, "well", FOREVER)) as stack:
        await eventually(lambda: stack.supervisor.state.phase == "degraded")
        cured.touch()
        await stack.ready()
        assert stack.supervisor.state.set_aside == []


async def test_a_part_that_was_well_for_long_and_then_keeps_ending_is_set_aside_too(tmp_path: Path) -> None:
    async with running(settings(tmp_path), part(tmp_path, "one", FOREVER), part(tmp_path, "two", FOREVER)) as stack:
        await stack.ready()
        one = stack.supervisor.parts["one"]
        for restarts in range(1, 4):
            one.child.kill()
            await eventually(lambda restarts=restarts: one.status.restarts == restarts)  # type: ignore[misc]
            if restarts < 3:
                await eventually(lambda: one.status.state == "ready")
        await eventually(lambda: one.status.state == "set aside")
        assert stack.supervisor.state.phase == "degraded"
        one.try_again()
        await stack.ready()


async def test_wrong_settings_are_not_tried_again(tmp_path: Path) -> None:
    wrong = part(tmp_path, "wrong", "import sys; print('no such port'); sys.exit(78)")
    async with running(settings(tmp_path), wrong, part(tmp_path, "well", FOREVER)) as stack:
        await eventually(lambda: stack.supervisor.state.phase == "degraded")
        assert "code 78 (wrong settings); its settings are wrong" in stack.supervisor.parts["wrong"].status.note
        assert (tmp_path / "wrong.log").read_text().count("no such port") == 1


async def test_a_server_that_never_comes_up_ends_the_stack_with_its_reason(tmp_path: Path) -> None:
    broken = part(tmp_path, "redis", "import sys; sys.exit('no room')")
    async with running(settings(tmp_path), part(tmp_path, "well", FOREVER), broken) as stack:
        with pytest.raises(PartFailed, match=r"redis ended with code 1; given up after 2 restarts\n(.|\n)*no room"):
            await stack.task
        assert not stack.supervisor.parts["well"].child.running
        assert "no room" in stack.supervisor.state.failure


async def test_a_part_that_was_asked_to_stop_stays_down_until_it_is_started(tmp_path: Path) -> None:
    async with running(settings(tmp_path), part(tmp_path, "one", FOREVER)) as stack:
        await stack.ready()
        one = stack.supervisor.parts["one"]
        await one.stop(5)
        assert (one.status.state, one.child.exit_code) == ("stopped", 0)
        one.start()
        await stack.ready()
        assert one.status.restarts == 0


async def test_a_part_that_somebody_else_told_to_stop_is_started_again(tmp_path: Path) -> None:
    async with running(settings(tmp_path), part(tmp_path, "one", FOREVER)) as stack:
        await stack.ready()
        one = stack.supervisor.parts["one"]
        one.child.send(signal.SIGTERM)
        await eventually(lambda: one.status.restarts == 1)
        await stack.ready()
        assert one.status.note == "ended with code 0"


async def test_a_part_that_is_not_ready_in_time_or_no_longer_alive_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devstack.supervisor.LIVE_SECONDS", 0.01)
    slow = part(tmp_path, "slow", "import signal; signal.pause()")
    async with running(settings(tmp_path, start_timeout_seconds=0.3, max_restarts=1), slow) as stack:
        await eventually(lambda: "SIGKILL; given up after 1 restarts" in stack.supervisor.parts["slow"].status.note)
    dead = False

    async def live() -> bool:
        return not dead

    async with running(
        settings(tmp_path, live_timeout_seconds=0.1), part(tmp_path, "hung", FOREVER, live=live)
    ) as stack:
        await stack.ready()
        dead = True
        await eventually(lambda: stack.supervisor.parts["hung"].status.restarts == 1)
        dead = False
        await stack.ready()


async def test_processes_stop_before_redis_and_redis_before_kafka_and_a_stubborn_one_is_killed(tmp_path: Path) -> None:
    noisy = FOREVER.replace("exit(0)", f"(open({str(tmp_path / 'order')!r}, 'a').write(NAME + ' '), exit(0))")
    parts = [part(tmp_path, name, f"NAME = {name!r}\n{noisy}") for name in ("kafka", "redis", "producer")]
    async with running(
        settings(tmp_path, stop_timeout_seconds=8.5), *parts, part(tmp_path, "stubborn", STUBBORN)
    ) as stack:
        await stack.ready()
    assert (tmp_path / "order").read_text().split() == ["producer", "redis", "kafka"]
    assert stack.supervisor.parts["stubborn"].child.exit_code == -9
    assert stack.phases == ["starting", "ready", "stopping", "stopped"]


async def test_a_failure_to_make_the_topics_stops_the_stack_with_its_reason(tmp_path: Path) -> None:
    async def fail() -> None:
        raise DevstackError("topics differ")

    supervisor = Supervisor(settings(tmp_path), [part(tmp_path, "one", FOREVER)], prepare=fail, written=lambda _: None)
    with pytest.raises(DevstackError, match="topics differ"):
        await supervisor.run(asyncio.Event())
    assert supervisor.state.phase == "failed"
    assert not supervisor.parts["one"].child.running


def test_a_grown_log_is_kept_once_and_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 100)
        rotate(path, 1000)
        assert path.stat().st_size == 400
        rotate(path, 300)
        writer.write(b"new\n")
    assert path.read_bytes() == b"new\n"
    assert path.with_name("one.log.1").read_bytes() == b"old\n" * 100
