"""What the stack looks like now: URLs, and a table of its parts with their memory."""

import contextlib

import psutil
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from devstack.state import PartStatus, StackState, process_of

COLOURS = {"ready": "green", "starting": "yellow", "waiting": "yellow", "stopped": "dim"}
MIB = 1 << 20


def urls(state: StackState) -> RenderableType:
    """Where to go, for a person."""
    grid = Table.grid(padding=(0, 2))
    dashboard = next((part.url for part in state.parts if part.name == "dashboard"), None)
    rows = [
        ("dashboard", dashboard),
        ("gateway", state.gateway_url),
        ("API documentation", f"{state.gateway_url}/docs"),
        ("kafka", state.bootstrap),
        ("redis", state.redis_url),
        ("logs", state.logs),
    ]
    for name, url in rows:
        if url is not None:
            grid.add_row(Text(name, style="bold"), url)
    ready = state.phase == "ready" and state.ready_after_seconds
    took = f"the stack is ready ({state.ready_after_seconds:.1f} s)" if ready else f"the stack is {state.phase}"
    return Group(Text(took, style="green" if state.phase == "ready" else "yellow"), grid)


def table(state: StackState) -> RenderableType:
    """Every part with its state, process, address and memory."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("part", "state", "pid", "restarts", "address", "note"):
        grid.add_column(name)
    grid.add_column("memory", justify="right")
    total = 0
    for part in state.parts:
        used = memory(process_of(part))
        total += used
        style = COLOURS.get(part.state, "bold red")
        grid.add_row(
            part.name,
            Text(part.state, style=style),
            str(part.pid or "–"),
            str(part.restarts),
            part.url,
            part.note,
            mib(used),
        )
    with contextlib.suppress(psutil.NoSuchProcess):
        used = memory(psutil.Process(state.supervisor_pid), children=False)
        total += used
        grid.add_row("supervisor", state.phase, str(state.supervisor_pid), "", "", "", mib(used))
    grid.add_row("", "", "", "", "", Text("all", style="bold"), Text(mib(total), style="bold"))
    return grid


def document(state: StackState) -> dict[str, object]:
    """The same for scripts."""
    return {
        "phase": state.phase,
        "gateway_url": state.gateway_url,
        "bootstrap": state.bootstrap,
        "redis_url": state.redis_url,
        "storage_url": state.storage_url,
        "failure": state.failure,
        "parts": [_part(part) for part in state.parts],
    }


def _part(part: PartStatus) -> dict[str, object]:
    return {
        "name": part.name,
        "state": part.state,
        "pid": part.pid,
        "restarts": part.restarts,
        "url": part.url,
        "log": part.log,
        "note": part.note,
        "memory_bytes": memory(process_of(part)),
    }


def memory(process: psutil.Process | None, *, children: bool = True) -> int:
    """Bytes that a process, with its children, uses; a page that several share is counted once over all of them, where
    the system tells."""
    if process is None:
        return 0
    total = 0
    with contextlib.suppress(psutil.Error):
        for one in [process, *(process.children(recursive=True) if children else [])]:
            with contextlib.suppress(psutil.Error):
                full = one.memory_full_info()
                total += getattr(full, "pss", full.rss)
    return total


def mib(count: int) -> str:
    return f"{count / MIB:,.0f} MiB" if count else "–"
