"""Show the logs of the parts, together, and follow them."""

import time
from collections.abc import Iterator
from pathlib import Path

from schemas.shown import printable

POLL_SECONDS = 0.2


def files(folder: Path, names: list[str]) -> dict[str, Path]:
    """The logs of these parts, or of all."""
    found = {path.stem: path for path in sorted(folder.glob("*.log"))}
    return {name: path for name, path in found.items() if not names or name in names}


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log."""
    return [printable(line) for line in path.read_text(errors="replace").splitlines()[-count:]] if path.exists() else []


class Follower:
    """Reads what is appended to some logs. A log that begins anew (rotation) is read from its start."""

    def __init__(self, logs: dict[str, Path]) -> None:
        self._logs = logs
        self._positions = {name: path.stat().st_size for name, path in logs.items()}
        self._rests = dict.fromkeys(logs, "")

    def new_lines(self) -> list[tuple[str, str]]:
        """(part, line) for each whole line since the last call."""
        found: list[tuple[str, str]] = []
        for name, path in self._logs.items():
            size = path.stat().st_size if path.exists() else 0
            if size < self._positions[name]:
                self._positions[name], self._rests[name] = 0, ""
            if size > self._positions[name]:
                with path.open("rb") as file:
                    file.seek(self._positions[name])
                    text = file.read(size - self._positions[name]).decode(errors="replace")
                self._positions[name] = size
                *lines, self._rests[name] = (self._rests[name] + text).split("\n")
                found += [(name, printable(line)) for line in lines]
        return found


def follow(logs: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield (part, line) for each line that is appended from now on; never ends."""
    follower = Follower(logs)
    while True:
        yield from follower.new_lines()
        time.sleep(POLL_SECONDS)
