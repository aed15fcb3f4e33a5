"""Show the logs of the parts, together, and follow them."""

import time
from collections.abc import Iterator
from pathlib import Path

POLL_SECONDS = 0.2


def files(folder: Path, names: list[str]) -> dict[str, Path]:
    """The logs of these parts, or of all."""
    found = {path.stem: path for path in sorted(folder.glob("*.log"))}
    return {name: path for name, path in found.items() if not names or name in names}


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log."""
    return path.read_text(errors="replace").splitlines()[-count:] if path.exists() else []


def follow(logs: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield (part, line) for each line that is appended from now on; never ends. A log that begins anew is read from its start."""
    positions = {name: path.stat().st_size for name, path in logs.items()}
    rests = dict.fromkeys(logs, "")
    while True:
        for name, path in logs.items():
            size = path.stat().st_size if path.exists() else 0
            if size < positions[name]:
                positions[name], rests[name] = 0, ""
            if size > positions[name]:
                with path.open("rb") as file:
                    file.seek(positions[name])
                    text = file.read(size - positions[name]).decode(errors="replace")
                positions[name] = size
                *lines, rests[name] = (rests[name] + text).split("\n")
                for line in lines:
                    yield name, line
        time.sleep(POLL_SECONDS)
