"""The sentinel: one small file in the root of a storage, written once when it is made, that says that this is a
storage, and which.

A root without it is taken for absent: an unmounted folder, a mount point with nothing mounted, a bucket that is gone.
Nobody reads "there is nothing" from such a root, and nobody writes into it (ADR 30).
"""

import secrets
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from storage.errors import StorageUnavailable

NAME = "storage.json"


class Sentinel(Struct, frozen=True):
    """`id` is that of this storage, wherever it is mounted."""

    id: str
    made_at: datetime


def new_sentinel() -> bytes:
    """The content of a new storage's sentinel."""
    return msgspec.json.encode(Sentinel(f"storage-{secrets.token_hex(6)}", datetime.now(UTC)))


class Expected:
    """Tells whether what a sentinel says is right: the storage that was seen first is the only right one from then
    on."""

    def __init__(self) -> None:
        self.id: str | None = None

    def check(self, where: str, content: bytes) -> None:
        """Raises `StorageUnavailable`."""
        try:
            found = msgspec.json.decode(content, type=Sentinel).id
        except msgspec.MsgspecError as error:
            raise StorageUnavailable(f"{NAME} of {where} cannot be read: {error}") from error
        if self.id is None:
            self.id = found
        elif self.id != found:
            raise StorageUnavailable(
                f"at {where} is another storage ({found}) than before ({self.id}); start again if that is meant"
            )


def absent(where: str) -> StorageUnavailable:
    """What is said of a root without a sentinel."""
    return StorageUnavailable(f"{where} holds no storage: its {NAME} is missing (not mounted, or never initialised)")
