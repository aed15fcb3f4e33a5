"""What `intelliinspect doctor` looks at, what it finds, and how to mend it.

The machine's part that needs to know the stack (ports, topics, downloads) is asked of `python -m devstack doctor
--json`."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from client.blocking import Client
from client.errors import ClientError
from client.installed import missing, unlike_pins

OLDEST_PYTHON = (3, 11)
FREE_DISK_BYTES = 2 << 30
DEVSTACK_SECONDS = 60.0
SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "bold red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `mend` says what to do when the state is not ok."""

    check: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    mend: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)


def machine() -> Iterator[Finding]:
    """Python, disk, installed versions, and what the stack says of ports and topics."""
    yield python(sys.version_info[:3])
    yield disk(Path.cwd())
    yield from versions()
    yield from stack()


def python(found: tuple[int, ...]) -> Finding:
    text = ".".join(map(str, found))
    if found >= OLDEST_PYTHON:
        return Finding("Python", "ok", text)
    return Finding(
        "Python", "failed", f"{text} is too old", "install Python 3.11 or newer, remove .venv and run `make up` again"
    )


def disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):,.1f} GiB free at {folder}"
    if free >= FREE_DISK_BYTES:
        return Finding("disk", "ok", text)
    return Finding(
        "disk",
        "warning",
        text,
        "free some space: Kafka, the uploads and the models are kept below this folder (.devstack)",
    )


def versions() -> Iterator[Finding]:
    """Installed packages against those that we need and, in a checkout, against the versions that we pin."""
    wrong = [f"{name} is not installed" for name in missing()] + unlike_pins()
    if wrong:
        yield Finding("packages", "warning", "; ".join(wrong), "make clean, then make up: installs the pinned versions")
    else:
        yield Finding("packages", "ok", "all as wanted")


def stack() -> Iterator[Finding]:
    """What `python -m devstack doctor --json` says; where the stack is not installed, only that."""
    if missing("devstack"):
        yield Finding("stack", "ok", "not installed here: this is the client alone")
        return
    try:
        asked = subprocess.run(
            [sys.executable, "-m", "devstack", "doctor", "--json"],
            capture_output=True,
            text=True,
            timeout=DEVSTACK_SECONDS,
            check=False,
        )
        for found in json.loads(asked.stdout):
            yield Finding(found["check"], found["state"], found["detail"], found.get("mend", ""))
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        yield Finding(
            "stack",
            "warning",
            "the stack's own checks gave no answer",
            "run `python -m devstack doctor` in the checkout",
        )


def gateway(client: Client) -> Iterator[Finding]:
    """Whether the gateway answers and its parts are up."""
    try:
        ready = client.ready()
    except ClientError as error:
        yield Finding(
            "gateway",
            "failed",
            str(error),
            "intelliinspect up; or name the gateway's address with --url or INTELLIINSPECT_URL",
        )
        return
    yield Finding("gateway", "ok", f"answers at {client.url}")
    for part, text in ready.dependencies.items():
        if text == "ok":
            yield Finding(part, "ok", "answers the gateway")
        else:
            yield Finding(
                part,
                "failed",
                text,
                f"intelliinspect up; if {part} is not ours, see its own log and the gateway's settings",
            )


def table(findings: list[Finding]) -> RenderableType:
    """The findings for a person."""
    grid = Table(box=None, header_style="bold", pad_edge=False, show_header=False)
    for finding in findings:
        sign, style = SIGNS[finding.state]
        text = Text(finding.detail)
        if finding.mend and finding.state != "ok":
            text.append(f"\n→ {finding.mend}", style="bold")
        grid.add_row(Text(sign, style=style), finding.check, text)
    return grid
