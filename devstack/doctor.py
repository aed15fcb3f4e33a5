"""Checks of what the stack needs on this machine: ports, topics, the embedded parts. Each finding says how to mend
it."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from devstack.environment import changed_settings
from devstack.errors import DevstackError
from devstack.java import KAFKA_VERSION, java
from devstack.parts import ports
from devstack.ports import holder, is_listening
from devstack.settings import DevstackSettings
from devstack.state import StackState, is_running, process_of, read_state
from devstack.topics import differences


@dataclass(frozen=True)
class StackFinding:
    """One check. `mend` says what to do when it is not ok."""

    check: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    mend: str = ""


def examine(settings: DevstackSettings) -> Iterator[StackFinding]:
    """Run all checks."""
    running = is_running(settings.folder)
    yield from _stack(settings, running)
    if not running:
        yield from _ports(settings)
    yield _java()
    if running or not settings.own_kafka:
        yield _topics(settings, read_state(settings.folder) if running else None)


def _stack(settings: DevstackSettings, running: bool) -> Iterator[StackFinding]:
    state = read_state(settings.folder)
    if not running:
        left = [part.name for part in state.parts if process_of(part)] if state else []
        if left:
            yield StackFinding(
                "stack", "warning", f"left behind by a killed supervisor: {', '.join(left)}", "make down"
            )
        else:
            yield StackFinding("stack", "ok", f"does not run (folder {settings.folder})")
        return
    if changed := changed_settings(settings.folder):
        yield StackFinding(
            "settings",
            "warning",
            f"changed since the stack was started: {', '.join(changed)}",
            "make down, then make up",
        )
    for part in state.parts if state else []:
        address = f"{part.url}, restarts {part.restarts}"
        if part.state == "ready":
            yield StackFinding(part.name, "ok", address)
        else:
            yield StackFinding(
                part.name, "failed", f"{part.state} {part.note}, {address}", f"see {part.log} and docs/runbook.md"
            )


def _ports(settings: DevstackSettings) -> Iterator[StackFinding]:
    for name, port in ports(settings).items():
        if is_listening(port.number):
            mend = f"end it, or choose another port: {port.setting}=<port> (or DEVSTACK_PORT_OFFSET=100 for all)"
            yield StackFinding(
                f"port {port.number}", "failed", f"wanted for {name}, taken by {holder(port.number)}", mend
            )
        else:
            yield StackFinding(f"port {port.number}", "ok", f"free for {name}")


def _java() -> StackFinding:
    result = subprocess.run([java(), "-version"], capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return StackFinding("Java", "ok", f"{result.stderr.splitlines()[0]}, for Kafka {KAFKA_VERSION}")
    return StackFinding("Java", "failed", result.stderr.strip(), "make clean, then make up: installs the runtime again")


def _topics(settings: DevstackSettings, state: StackState | None) -> StackFinding:
    """The topics of the broker that runs, wherever the stack's settings of that time have put it; else of the one that
    is set."""
    bootstrap = state.bootstrap if state else settings.bootstrap
    wanted = {"data_partitions": settings.data_partitions, "control_partitions": settings.control_partitions}
    try:
        wrong = asyncio.run(differences({**settings.kafka(), "bootstrap_servers": bootstrap}, **wanted))
    except DevstackError as error:
        return StackFinding("topics", "failed", str(error), "see the log of Kafka; make logs")
    if wrong:
        return StackFinding(
            "topics",
            "failed",
            "; ".join(wrong),
            "set DATA_PARTITIONS and CONTROL_PARTITIONS to what the broker has, or make topics",
        )
    return StackFinding("topics", "ok", f"all there at {bootstrap}")
