"""The whole stack for tests: every process, on free ports, in a temporary folder, with a handle on each process.

The supervisor runs in a thread of the test process, so a test can stop, kill, freeze and start parts; what ends is
started again."""

import asyncio
import dataclasses
import signal
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from devstack.child import tail
from devstack.errors import DevstackError
from devstack.parts import Part, build_parts
from devstack.ports import free_port
from devstack.settings import DevstackSettings
from devstack.stack import supervisor
from devstack.supervisor import Supervised, Supervisor
from tests.support.waiting import eventually_sync

T = TypeVar("T")
READY_SECONDS = 90.0
STOP_SECONDS = 40.0
PORTS = (
    "DEVSTACK_KAFKA_PORT",
    "DEVSTACK_KAFKA_CONTROLLER_PORT",
    "DEVSTACK_REDIS_PORT",
    "GATEWAY_PORT",
    "STREAM_PROCESSOR_HEALTH_PORT",
    "PRODUCER_HEALTH_PORT",
    "TRAINER_HEALTH_PORT",
    "DASHBOARD_PORT",
)


class Process:
    """One part of the stack: a process or a server."""

    def __init__(self, stack: "Stack", supervised: Supervised) -> None:
        self._stack = stack
        self._supervised = supervised

    @property
    def name(self) -> str:
        return self._supervised.part.name

    @property
    def pid(self) -> int:
        return self._supervised.child.pid

    @property
    def url(self) -> str:
        return self._supervised.part.url

    @property
    def log(self) -> Path:
        return self._supervised.part.log

    @property
    def ready(self) -> bool:
        return self._supervised.status.state == "ready"

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop, or ended by itself with code 0."""
        return self._supervised.status.state == "stopped"

    @property
    def running(self) -> bool:
        return self._supervised.child.running

    @property
    def exit_code(self) -> int | None:
        """How it ended last; None while it runs."""
        return self._supervised.child.exit_code

    @property
    def restarts(self) -> int:
        return self._supervised.status.restarts

    @property
    def note(self) -> str:
        """How it ended the last time that it had to be started again, in words."""
        return self._supervised.status.note

    def kill(self) -> None:
        """kill -9, and wait until it is gone. The supervisor starts it again: see `wait_until_ready`."""
        before = self.restarts
        self._supervised.child.kill()
        eventually_sync(lambda: self.restarts > before, message=f"{self._supervised.part.name} noticed as ended")

    def freeze(self) -> None:
        """SIGSTOP."""
        self._supervised.child.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._supervised.child.send(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, and wait until it has ended; it stays down until `start`."""
        self._stack.call(self._supervised.stop(STOP_SECONDS))

    def launch(self) -> None:
        """Start it after `stop`."""
        self._stack.loop.call_soon_threadsafe(self._supervised.start)

    def start(self) -> None:
        """Start it after `stop`, and wait until it is ready."""
        self.launch()
        self.wait_until_ready()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def wait_until_ready(self, *, timeout_seconds: float = READY_SECONDS) -> None:
        """Wait until it runs and says that it is ready."""
        eventually_sync(
            lambda: self.ready, timeout_seconds=timeout_seconds, message=f"{self._supervised.part.name} ready"
        )


class Stack:
    """A running stack. `process("producer")` gives a handle; names are those of `make status`."""

    def __init__(self, settings: DevstackSettings) -> None:
        self.folder = settings.folder
        self.gateway_url = settings.gateway_url
        self.bootstrap = settings.bootstrap
        self.kafka: dict[str, Any] = settings.kafka()
        self.redis_url = settings.redis
        self.storage_url = settings.storage
        self.loop = asyncio.new_event_loop()
        self._settings = settings
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="stack", daemon=True)
        self._supervisor: Supervisor | None = None
        self._added: dict[str, tuple[Supervised, Future[None]]] = {}

    @property
    def supervisor(self) -> Supervisor:
        assert self._supervisor is not None, "the stack was not started"
        return self._supervisor

    def process(self, name: str) -> Process:
        return Process(self, self.supervisor.parts[name])

    def add(self, name: str) -> Process:
        """Start one more process beside the stack's own, `stream_processor` or `producer` say; it is supervised as they
        are."""
        number = 2 + sum(part.startswith(f"{name}_") for part in self._added)
        part = self._part(name, f"{name}_{number}")
        supervised = Supervised(part, self._settings, lambda: None)
        self._added[part.name] = supervised, asyncio.run_coroutine_threadsafe(supervised.keep(), self.loop)
        return Process(self, supervised)

    def added(self, name: str) -> list[Process]:
        """The processes of this kind that were added."""
        return [
            Process(self, supervised) for part, (supervised, _) in self._added.items() if part.startswith(f"{name}_")
        ]

    def _part(self, name: str, called: str) -> Part:
        others = {"gateway", "stream_processor", "producer", "trainer", "dashboard"} - {name}
        given = {
            "kafka_bootstrap_servers": self.bootstrap,
            "redis_url": self.redis_url,
            "storage_url": self.storage_url,
        }
        changed = {**given, "without": ",".join(others), f"{name}_port": free_port()}
        (part,) = build_parts(self._settings.model_copy(update=changed))
        return dataclasses.replace(part, name=called, log=part.log.with_name(f"{called}.log"))

    def launch(self) -> None:
        self._supervisor = supervisor(self._settings)
        self._thread.start()

    def stop(self) -> None:
        for supervised, keeping in self._added.values():
            keeping.cancel()
            supervised.child.stop()
        self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(STOP_SECONDS)

    def wait_until_ready(self, *, timeout_seconds: float = READY_SECONDS) -> None:
        """Wait until every part that is not stopped on purpose is ready."""
        eventually_sync(self._all_ready, timeout_seconds=timeout_seconds, message="the stack ready")

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the supervisor's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(STOP_SECONDS + 5)

    def _all_ready(self) -> bool:
        state = self.supervisor.state
        assert self._thread.is_alive(), state.failure
        waiting = [part for part in state.parts if part.state not in ("ready", "stopped")]
        assert not waiting, [
            f"{part.name} {part.state} {part.note} {tail(Path(part.log), lines=5)}" for part in waiting
        ]
        return state.phase == "ready"

    def _run(self) -> None:
        with suppress(DevstackError):  # kept in the state, where `_all_ready` finds it
            self.loop.run_until_complete(self.supervisor.run(self._stopping))


@contextmanager
def running_stack(folder: Path, **environment: str) -> Iterator[Stack]:
    """A stack of one's own in `folder`, with these environment variables. Without dashboard unless DEVSTACK_WITHOUT is
    empty."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "STORAGE_URL", "DEVSTACK_PORT_OFFSET"):
            patch.delenv(name, raising=False)
        given = {
            "DEVSTACK_FOLDER": str(folder),
            "DEVSTACK_MAX_RESTARTS": "50",
            "DEVSTACK_WITHOUT": "dashboard",
            **{name: str(free_port()) for name in PORTS},
        }
        for name, value in (given | environment).items():
            patch.setenv(name, value)
        stack = Stack(DevstackSettings())
        stack.launch()  # inside: the processes take their environment from here
    try:
        stack.wait_until_ready()
        yield stack
    finally:
        stack.stop()
