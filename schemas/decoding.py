"""Read a message that anybody may have sent: whatever its bytes are, the answer is a value. Pure.

Every reader of a topic decodes through `reader`, so what one of them cannot bear, none of them meets.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from pydantic import BaseModel

T = TypeVar("T")

MAX_DEPTH = 32
"""Our own messages are nested 6 deep; decoders, encoders and Lua give up at some hundred."""
REASON_LENGTH = 300
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_FAILURES = (ValueError, TypeError, RecursionError, OverflowError, MemoryError)
"""What decoders raise: msgspec's and pydantic's errors and those of Unicode are `ValueError`s."""


class Unreadable(Struct, frozen=True):
    """The message cannot be read; why, in words for a person."""

    reason: str


def reader(shape: type[T], decode: Callable[[bytes], T] | None = None) -> Callable[[bytes | None], T | Unreadable]:
    """Return what reads a JSON body as `shape`, a msgspec struct or a pydantic model. Nothing is raised for any bytes.

    A shape whose fields must fit each other has a method `problem`, which says what does not.
    """
    into = decode or _decoder(shape)

    def read(body: bytes | None) -> T | Unreadable:
        if not body:
            return Unreadable("the body is empty")
        try:
            if not body.isascii():
                body.decode()  # decoders pass over what they do not need, but it is kept and shown all the same
            if too_deep(body):
                return Unreadable(f"nested more than {MAX_DEPTH} deep")
            found = into(body)
            problem = found.problem() if hasattr(found, "problem") else None
        except _FAILURES as error:
            return Unreadable(describe(error))
        return found if problem is None else Unreadable(problem)

    return read


def _decoder(shape: type[Any]) -> Callable[[bytes], Any]:
    return shape.model_validate_json if issubclass(shape, BaseModel) else msgspec.json.Decoder(shape).decode


def too_deep(body: bytes, most: int = MAX_DEPTH) -> bool:
    """Whether JSON is nested deeper than `most`; nearly always two counts tell."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    depth = 0
    for found in _STRUCTURE.finditer(body):
        match found[0]:
            case b"[" | b"{":
                depth += 1
                if depth > most:
                    return True
            case b"]" | b"}":
                depth -= 1
    return False


def describe(error: BaseException) -> str:
    """An error of a decoder in one bounded line of printable text."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:REASON_LENGTH]


def unfit(value: object, depth: int = MAX_DEPTH) -> str | None:
    """What of a free JSON value cannot be written again everywhere: numbers beyond 64 bits, text with NUL, too much nesting."""
    if isinstance(value, bool | float | None):
        return None
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**63 else "a number is beyond 64 bits"
    if isinstance(value, str):
        return "a text holds NUL" if "\0" in value else None
    if depth <= 0:
        return f"nested more than {MAX_DEPTH} deep"
    if isinstance(value, dict):
        return next((found for item in value.items() for one in item if (found := unfit(one, depth - 1))), None)
    if isinstance(value, list | tuple):
        return next((found for one in value if (found := unfit(one, depth - 1))), None)
    return f"a value is {type(value).__name__}"
