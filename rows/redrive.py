"""Orders about dead letters as they travel with rows: whose row is sent again or purged. Pure."""

import msgspec

from rows.identity import Identity
from rows.rejected import UNREADABLE
from schemas.messages import Purge, Redrive

_redrive = msgspec.json.Decoder(Redrive).decode
_purge = msgspec.json.Decoder(Purge).decode


def read_redrive(value: bytes) -> Redrive | None:
    """The header of a redriven record; null when it says nothing that can be understood."""
    try:
        return _redrive(value)
    except UNREADABLE:
        return None


def read_purge(value: bytes) -> Purge | None:
    """The order to purge a letter; null when it cannot be understood."""
    try:
        return _purge(value)
    except UNREADABLE:
        return None


def identity_of(redrive: Redrive) -> Identity:
    """Whose row it is."""
    return Identity(
        redrive.run_id, redrive.attempt, redrive.lane, 1, redrive.row_index, redrives=redrive.dead_letter_id
    )
