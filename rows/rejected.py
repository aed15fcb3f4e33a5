"""A row that cannot be scored, and why. Pure."""

import re

from msgspec import MsgspecError, Struct

from rows.identity import Identity
from schemas.messages import Reason

UNREADABLE = (MsgspecError, ValueError, TypeError, RecursionError, OverflowError, MemoryError)
"""What decoding raises, whatever the bytes are."""
AT = re.compile(r"(?s)(.*) - at `(.*)`")
NAMED = re.compile(r"(?s).*`(.*)`")


class Rejected(Struct):
    """A row that becomes a dead letter. Its identity is added once it is known. `row`: which of a packed record's."""

    reason: Reason
    message: str
    path: str | None = None
    identity: Identity | None = None
    model_version: str | None = None
    row: int | None = None


def located(message: str) -> tuple[str, str | None]:
    """Split msgspec's message into what and where."""
    if found := AT.fullmatch(message):
        return found[1], found[2]
    if message.startswith("Object missing required field") and (found := NAMED.fullmatch(message)):
        return message, f"$.{found[1]}"
    return message, "$"
