"""The state file `.devstack/state.json`: what runs where. Written by the supervisor alone, read by everyone.

A lock in the same folder says whether a supervisor runs. A pid counts only with the start time of its process: pids are
used again."""

import contextlib
import fcntl
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import psutil
import structlog

from devstack.child import only_ours
from devstack.errors import DevstackError

Phase = Literal["starting", "ready", "degraded", "stopping", "stopped", "failed"]
"""`degraded`: a part is set aside, the others run."""
PartState = Literal["waiting", "starting", "ready", "restarting", "set aside", "stopped", "failed"]
STOP_LAST = ("redis", "kafka")
"""Stopped after the processes, in this order."""
TRY_AGAIN = signal.SIGUSR1
"""Sent to the supervisor: try the parts again that are set aside."""
STATE, LOCK = "state.json", "lock"

log = structlog.get_logger()


class PartStatus(msgspec.Struct):
    """One part as the supervisor last saw it."""

    name: str
    url: str
    log: str
    state: PartState = "waiting"
    pid: int | None = None
    started_at: float | None = None
    ready_after_seconds: float | None = None
    restarts: int = 0
    note: str = ""


class StackState(msgspec.Struct):
    """The whole stack. `failure` says why the phase is failed, in words for a person."""

    phase: Phase
    supervisor_pid: int
    gateway_url: str
    bootstrap: str
    redis_url: str
    storage_url: str
    logs: str
    parts: list[PartStatus] = []
    ready_after_seconds: float | None = None
    failure: str = ""

    @property
    def set_aside(self) -> list[PartStatus]:
        """The parts that end again and again and are left alone for now."""
        return [part for part in self.parts if part.state == "set aside"]

    @property
    def settled(self) -> bool:
        """Whether every part is ready, or set aside."""
        return all(part.state in ("ready", "set aside") for part in self.parts)


def write_state(folder: Path, state: StackState) -> None:
    """Replace the state file in one step. When the disk does not take it (it is full, say), the former one stays: the
    stack goes on."""
    temporary = folder / f"{STATE}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb", opener=only_ours) as file:
            file.write(msgspec.json.format(msgspec.json.encode(state)))
        temporary.replace(folder / STATE)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        log.error("the state of the stack cannot be written", error=str(error))


def read_state(folder: Path) -> StackState | None:
    """The last state written, or None."""
    try:
        return msgspec.json.decode((folder / STATE).read_bytes(), type=StackState)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


@contextlib.contextmanager
def only_supervisor(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises `DevstackError` when another supervisor holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DevstackError(
                f"a stack runs already in {folder}: see `make status`, or stop it by `make down`"
            ) from None
        yield


def is_running(folder: Path) -> bool:
    """Whether a supervisor holds the folder's lock."""
    try:
        with (folder / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def process_of(part: PartStatus) -> psutil.Process | None:
    """The running process of a part, if it is still the one that the supervisor started."""
    if part.pid is None or part.started_at is None:
        return None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(part.pid)
        if process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - part.started_at) < 1.0:
            return process
    return None


def start_time(pid: int) -> float:
    """When a process started, as `process_of` compares it."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0.0


def end_leftovers(state: StackState | None, *, timeout_seconds: float = 10.0) -> list[str]:
    """End the parts that a killed supervisor left behind, servers last; return their names."""
    if state is None:
        return []
    ended: list[str] = []
    servers = [[part] for name in STOP_LAST for part in state.parts if part.name == name]
    for group in [[part for part in state.parts if part.name not in STOP_LAST], *servers]:
        processes = {part.name: process for part in group if (process := process_of(part))}
        for process in processes.values():
            process.terminate()
        for process in psutil.wait_procs(list(processes.values()), timeout=timeout_seconds)[1]:
            process.kill()
        ended += list(processes)
    return ended
