"""The state file, the lock, and what a killed supervisor leaves behind."""

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from devstack.child import Child, tail
from devstack.errors import DevstackError
from devstack.logs import last_lines
from devstack.settings import DevstackSettings
from devstack.state import (
    PartStatus,
    StackState,
    end_leftovers,
    is_running,
    only_supervisor,
    process_of,
    read_state,
    start_time,
    write_state,
)
from devstack.status import document, urls
from devstack.supervisor import Supervisor, rotate
from tests.support.full_disk import small_disk
from tests.support.waiting import eventually_sync


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield process
    process.kill()
    process.wait()


def state(*parts: PartStatus) -> StackState:
    return StackState(
        phase="ready",
        supervisor_pid=1,
        gateway_url="",
        bootstrap="",
        redis_url="",
        storage_url="",
        logs="",
        parts=list(parts),
    )


def test_state_is_read_as_it_was_written_and_none_where_there_is_none(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    written = state(PartStatus("producer", "http://127.0.0.1:1", "/log", state="ready", pid=7, started_at=1.5))
    write_state(tmp_path, written)
    assert read_state(tmp_path) == written


def test_only_one_supervisor_runs_in_a_folder(tmp_path: Path) -> None:
    assert not is_running(tmp_path)
    with only_supervisor(tmp_path):
        assert is_running(tmp_path)
        with pytest.raises(DevstackError, match="make down"), only_supervisor(tmp_path):
            pass
    assert not is_running(tmp_path)


def test_a_pid_that_was_used_again_is_not_our_process(child: subprocess.Popen[bytes]) -> None:
    started = start_time(child.pid)
    assert process_of(PartStatus("one", "", "", pid=child.pid, started_at=started)) is not None
    assert process_of(PartStatus("one", "", "", pid=child.pid, started_at=started - 60)) is None


def test_leftovers_are_ended_and_named(child: subprocess.Popen[bytes]) -> None:
    left = PartStatus("producer", "", "", pid=child.pid, started_at=start_time(child.pid))
    gone = PartStatus("trainer", "", "", pid=None)
    assert end_leftovers(state(left, gone)) == ["producer"]
    assert process_of(left) is None
    assert end_leftovers(None) == []


def test_a_full_disk_ends_no_stack(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 128 << 10) as folder:
        log = folder / "a.log"
        log.write_bytes(b"old\n" * 20_000 + b"newest\n")
        state = StackState("ready", 1, "http://x", "k", "r", "s", "logs")
        write_state(folder, state)
        with contextlib.suppress(OSError), (folder / "filler").open("wb", 0) as filler:
            for _ in range(64):
                filler.write(bytes(4096))
        write_state(
            folder, msgspec.structs.replace(state, parts=[PartStatus(f"part-{i}", "u" * 5000, "l") for i in range(30)])
        )
        found = read_state(folder)
        assert found is not None
        assert (found.phase, found.parts) == ("ready", [])
        rotate(log, 1000)
        assert log.read_bytes().endswith(b"newest\n")
        assert log.stat().st_size <= 64 << 10
        assert {path.name for path in folder.iterdir()} == {"a.log", "filler", "state.json"}
        child = Child("child", [sys.executable, "-c", "print(1)"], folder / "new" / "child.log")
        child.launch()
        assert child._process is not None
        assert child._process.wait(60) is not None


def test_nobody_else_may_read_the_state(tmp_path: Path) -> None:
    write_state(tmp_path, state())
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_passwords_of_addresses_are_neither_kept_nor_shown(tmp_path: Path) -> None:
    settings = DevstackSettings(
        folder=tmp_path,
        redis_url="redis://user:hidden-one@host:6379/0",
        storage_url="s3://key:hidden-one@bucket/x?secret=hidden-one",
    )
    written: list[StackState] = []
    supervisor = Supervisor(settings, [], prepare=_nothing, written=written.append)
    write_state(tmp_path, supervisor.state)
    shown = io.StringIO()
    Console(file=shown).print(urls(supervisor.state))
    for text in ((tmp_path / "state.json").read_text(), shown.getvalue(), str(document(supervisor.state))):
        assert "hidden-one" not in text
        assert "host:6379" in text


async def _nothing() -> None:
    """There are no topics to make."""


def test_logs_of_parts_are_ours_alone_and_do_not_command_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    child = Child("part", [sys.executable, "-c", r"print('\x1b[2J\x9b2Jredis://:hidden-one@host')"], log)
    child.launch()
    eventually_sync(lambda: not child.running)
    assert log.stat().st_mode & 0o777 == 0o600
    said = tail(log)
    assert "hidden-one" not in said
    assert "\x1b" not in said
    assert "\x9b" not in said
    assert last_lines(log, 1) == ["[2J2Jredis://:hidden-one@host"]
