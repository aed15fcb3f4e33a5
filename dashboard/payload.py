"""The body of a dead letter: read, shown with the bad field marked, mended. Pure.

A field is named as the stream processor does: `$.features.S1`. A feature's name may hold dots.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Place = tuple[str, ...]
FEATURES = "features"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the body. `missing`: the field is not there, and this is where it would be."""

    text: str
    bad: bool = False
    missing: bool = False


def read(text: str | None) -> dict[str, Any] | None:
    """The body, when it is a JSON object that can be written again as it was."""
    try:
        body = json.loads(text or "")
        json.dumps(body, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def write(body: dict[str, Any]) -> str:
    """The body for people, one field a line."""
    return json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False)


def place(path: str | None) -> Place:
    """Where a path points; empty for the whole body."""
    names = (path or "").removeprefix("$").removeprefix(".")
    if names.startswith(f"{FEATURES}."):
        return (FEATURES, names.removeprefix(f"{FEATURES}."))
    return tuple(name for name in names.split(".") if name)


def value(body: dict[str, Any], at: Place) -> tuple[bool, Any]:
    """Whether the field is there, and what it holds."""
    found: Any = body
    for name in at:
        if not isinstance(found, dict) or name not in found:
            return False, None
        found = found[name]
    return bool(at), found


def lines(body: dict[str, Any], at: Place) -> list[Line]:
    """The body with the bad field marked, or a mark where it is missing."""
    return list(_lines(body, at, 0, "", ""))


def _lines(found: Any, at: Place | None, depth: int, head: str, tail: str) -> Iterator[Line]:
    """`at`: the way to the bad field from here; empty when it is here, None when it is elsewhere."""
    pad, bad = "  " * depth, depth > 0 and at == ()
    if not isinstance(found, dict) or not (found or at):
        yield Line(f"{pad}{head}{_short(found)}{tail}", bad)
        return
    yield Line(f"{pad}{head}{{", bad)
    if at and at[0] not in found:
        yield Line(f"{pad}  {json.dumps('.'.join(at), ensure_ascii=False)}: …", True, True)
    for number, (name, inner) in enumerate(found.items(), 1):
        way = at[1:] if at and at[0] == name else None
        yield from _lines(
            inner, way, depth + 1, f"{json.dumps(name, ensure_ascii=False)}: ", "," if number < len(found) else ""
        )
    yield Line(f"{pad}}}{tail}")


def _short(found: Any) -> str:
    return json.dumps(found, ensure_ascii=False)


def around(all_lines: Sequence[Line], before: int = 12, after: int = 24) -> tuple[int, list[Line]]:
    """The lines about the marked one, and how many come before them; the beginning when none is marked."""
    at = next((i for i, line in enumerate(all_lines) if line.bad), 0)
    start = max(at - before, 0)
    return start, list(all_lines[start : at + after])


def typed(text: str) -> Any:
    """What a person means by a value: a number, null for nothing, true or false, else text."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def mended(body: dict[str, Any], at: Place, new: Any, *, remove: bool = False) -> dict[str, Any]:
    """The body with another value in the field, or without the field; the given one stays as it is."""
    if not at:
        return body
    made = dict(body)
    inner = made.get(at[0])
    if len(at) > 1:
        made[at[0]] = mended(inner if isinstance(inner, dict) else {}, at[1:], new, remove=remove)
    elif remove:
        made.pop(at[0], None)
    else:
        made[at[0]] = new
    return made
