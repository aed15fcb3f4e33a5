"""What can be wrong with stored things.

`StorageProblem` is a value: something that a person sent and can mend (a file, ranges, settings). All problems of a
request come together. Errors of model bundles are in `models.bundle`. Raised by `storage.objects.files`:

StorageUnavailable        the storage is not there, does not answer or refuses: waiting may help
└── StorageFull           there is no room for what was to be written
StoredFileMissing         the storage is there and does not have this file: waiting does not help
└── NotAPath              the name can be no file of the storage, whatever is in it
"""

import dataclasses
import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StorageUnavailable(Exception):
    """The storage is not there, does not answer or refuses: unmounted, permissions, network. Bounded retry, then
    503."""


class StorageFull(StorageUnavailable):
    """No room. `free_bytes` is what was left, null where it cannot be told."""

    def __init__(self, message: str, free_bytes: int | None = None) -> None:
        super().__init__(message)
        self.free_bytes = free_bytes


class StoredFileMissing(FileNotFoundError):
    """There is no such file in a storage that is there."""


class NotAPath(StoredFileMissing, ValueError):
    """A name that leads out of the storage, through a symbolic link, or is of another form than ours."""


@contextmanager
def classified(unavailable: Callable[[BaseException], StorageUnavailable]) -> Iterator[None]:
    """Say what an error of the system means: a file that is missing, or what `unavailable` makes of it."""
    try:
        yield
    except (StoredFileMissing, StorageUnavailable):
        raise
    except FileNotFoundError as error:
        raise StoredFileMissing(str(error.filename or error)) from error
    except OSError as error:
        raise unavailable(error) from error


def is_full(error: BaseException | None) -> bool:
    """Whether it comes of a full disk. The libraries wrap the system's error, or keep only its words."""
    while error is not None:
        if (
            isinstance(error, StorageFull)
            or getattr(error, "errno", None) in FULL
            or any(f"os error {code}" in str(error) for code in FULL)
        ):
            return True
        error = error.__cause__
    return False


def is_of_the_disk(error: BaseException) -> bool:
    """Whether the system refused: an `OSError`, or what polars makes of one."""
    return isinstance(error, OSError) or "os error " in str(error)


@dataclass(frozen=True, slots=True)
class StorageProblem:
    """One thing to mend. `code` is stable, `field` names the input it is about, `message` says it in full.

    `values` holds the facts behind the message (column, line, value, …) for whoever words it differently.
    """

    code: str
    field: str
    message: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def rows_text(count: int) -> str:
    """`1 row`, `2 rows`, for messages."""
    return "1 row" if count == 1 else f"{count} rows"
