"""Start the stack in the background and wait until it is ready; stop it again."""

import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from devstack.child import only_ours, tail
from devstack.errors import DevstackError, PartFailed
from devstack.java import Progress as Downloaded
from devstack.java import kafka_jars
from devstack.parts import check_ports
from devstack.settings import DevstackSettings
from devstack.state import TRY_AGAIN, StackState, end_leftovers, is_running, read_state
from devstack.status import urls

POLL_SECONDS = 0.1
SUPERVISOR_LOG = "supervisor.log"
STOP_MARGIN_SECONDS = 10.0
TRY_AGAIN_SECONDS = 5.0
OTHERS = "the other parts run: see `make status`; cure the cause, then `make up` tries it again"


def up(settings: DevstackSettings, console: Console) -> StackState:
    """Start the stack, or what of it is set aside; return when every part is ready. Raises `DevstackError` with the
    reason."""
    if is_running(settings.folder):
        _try_again(settings)
    else:
        download(settings, console)
        end_leftovers(read_state(settings.folder))
        check_ports(settings)
        _launch(settings)
    state = _wait_until_ready(settings, console)
    console.print(urls(state))
    if aside := state.set_aside:
        raise PartFailed(
            "\n".join([f"{part.name} is set aside: {part.note}\n{tail(Path(part.log))}" for part in aside] + [OTHERS])
        )
    return state


def _try_again(settings: DevstackSettings) -> None:
    """Have the supervisor start what it set aside, and wait until it has begun."""
    state = read_state(settings.folder)
    if state is None or not state.set_aside:
        return
    os.kill(state.supervisor_pid, TRY_AGAIN)
    deadline = time.monotonic() + TRY_AGAIN_SECONDS
    while (now := read_state(settings.folder)) is not None and now.set_aside and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def down(settings: DevstackSettings, console: Console) -> None:
    """Stop the stack in order, and whatever a killed supervisor left behind. Raises `DevstackError` when it does not
    stop."""
    state = read_state(settings.folder)
    if is_running(settings.folder) and state is not None:
        with console.status("stopping"):
            _stop_supervisor(settings, state)
        console.print("stopped; data stays in " + str(settings.folder))
    elif left := end_leftovers(state):
        console.print(f"ended what was left behind: {', '.join(left)}")
    else:
        console.print(f"nothing runs from {settings.folder}")


def download(settings: DevstackSettings, console: Console) -> None:
    """Fetch what the stack needs beyond Python packages, with a progress bar that names it."""
    if not settings.own_kafka:
        return
    columns = (SpinnerColumn(), TextColumn("first start: downloading Apache Kafka"), BarColumn(), DownloadColumn())
    named = TextColumn("{task.description}")
    with Progress(*columns, named, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")
        kafka_jars(_follow(bar, task, console))


def _follow(bar: Progress, task: TaskID, console: Console) -> Downloaded:
    last = -10

    def show(name: str, done: int, total: int) -> None:
        nonlocal last
        bar.update(task, description=name, completed=done, total=total)
        percent = 100 * done // total
        if not console.is_terminal and percent >= last + 10:
            last = percent
            console.print(f"first start: downloading Apache Kafka, {percent} % of {total / 1e6:.0f} MB, {name}")

    return show


def _launch(settings: DevstackSettings) -> None:
    settings.logs.mkdir(parents=True, exist_ok=True)
    (settings.folder / "state.json").unlink(missing_ok=True)
    with open(settings.logs / SUPERVISOR_LOG, "ab", opener=only_ours) as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "devstack", "run"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while read_state(settings.folder) is None:
            if process.poll() is not None:
                raise PartFailed(
                    f"the supervisor ended with code {process.returncode}\n{tail(settings.logs / SUPERVISOR_LOG)}"
                )
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:  # later it is found by its state file
        process.terminate()
        raise


def _wait_until_ready(settings: DevstackSettings, console: Console) -> StackState:
    with console.status("starting") as status:
        while is_running(settings.folder):
            state = read_state(settings.folder)
            if state is not None and (state.phase == "ready" or (state.phase == "degraded" and state.settled)):
                return state
            if state is not None:
                status.update(_summary(state))
            time.sleep(POLL_SECONDS)
    state = read_state(settings.folder)
    raise PartFailed(
        state.failure if state and state.failure else f"the stack stopped\n{tail(settings.logs / SUPERVISOR_LOG)}"
    )


def _summary(state: StackState) -> Text:
    colours = {"ready": "green", "restarting": "red", "failed": "red", "set aside": "red"}
    words = [Text(part.name, style=colours.get(part.state, "yellow")) for part in state.parts]
    return Text("starting ") + Text(" ").join(words)


def _stop_supervisor(settings: DevstackSettings, state: StackState) -> None:
    import psutil

    try:
        psutil.Process(state.supervisor_pid).terminate()
    except psutil.NoSuchProcess:
        return
    deadline = time.monotonic() + settings.stop_timeout_seconds + STOP_MARGIN_SECONDS
    while is_running(settings.folder):
        if time.monotonic() > deadline:
            raise DevstackError(
                f"the supervisor (process {state.supervisor_pid}) does not stop; see {settings.logs / SUPERVISOR_LOG}"
            )
        time.sleep(POLL_SECONDS)
