"""Read a message that anybody may have sent: whatever its bytes are, the answer is a value. Pure.

Every reader of a topic decodes through `reader`, so what one of them cannot bear, none of them meets.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from pydantic import BaseModel, ValidationError

T = TypeVar("T")

MAX_DEPTH = 32
"""Our own messages are nested 6 deep; decoders, encoders and Lua give up at some hundred."""
REASON_LENGTH = 300
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_named = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_FAILURES = (ValueError, TypeError, RecursionError, OverflowError, MemoryError)
"""What decoders raise: msgspec's and pydantic's errors and those of Unicode are `ValueError`s."""


class Unreadable(Struct, frozen=True):
    """The message cannot be read; why, in words for a person."""

    reason: str


def reader(shape: type[T], decode: Callable[[bytes], T] | None = None) -> Callable[[bytes | None], T | Unreadable]:
    """Return what reads a JSON body as `shape`, a msgspec struct or a pydantic model. Nothing is raised for any bytes.

    A shape whose fields must fit each other has a method `problem`, which says what does not.
    """
    into: Callable[[bytes], Any] = decode or _decoder(shape)
    checked = hasattr(shape, "problem")

    def read(body: bytes | None) -> T | Unreadable:
        if not body:
            return Unreadable("the body is empty")
        try:
            if not body.isascii():
                body.decode()  # decoders pass over what they do not need, but it is kept and shown all the same
            if too_deep(body):
                return Unreadable(f"nested more than {MAX_DEPTH} deep")
            found: T = into(body)
            problem = found.problem() if checked else None  # type: ignore[attr-defined]
        except _FAILURES as error:
            return Unreadable(describe(error))
        return found if problem is None else Unreadable(problem)

    return read


def _decoder(shape: type[Any]) -> Callable[[bytes], Any]:
    if not issubclass(shape, BaseModel):
        return msgspec.json.Decoder(shape).decode
    names = frozenset(shape.model_fields)

    def decode(body: bytes) -> Any:
        if stranger := next(
            iter(_named(body).keys() - names), None
        ):  # of 50,000 of them pydantic would tell one by one, in seconds
            raise ValueError(f"there is no field {stranger!r:.80}")
        return shape.model_validate_json(body)

    return decode


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
    if isinstance(error, ValidationError):
        count = error.error_count()
        first = (
            [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)[:3]]
            if count <= 100
            else []
        )
        text = "; ".join(first) or f"{count} problems"
    else:
        text = str(error)[:10_000]
    text = " ".join(text.split()) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:REASON_LENGTH]


def unfit(value: object, depth: int = MAX_DEPTH) -> str | None:
    """What of a free JSON value cannot be written again everywhere: numbers beyond 64 bits, text with NUL, too much
    nesting."""
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
