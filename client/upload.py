"""A file on its way to the gateway: read in small pieces as the socket takes them; memory stays flat and the caller
sees how far it is."""

import json
import os
from collections.abc import Callable
from typing import BinaryIO, TypedDict

Progress = Callable[[int, int], None]
"""Called with bytes sent and bytes in all."""


class UploadOptions(TypedDict, total=False):
    """How the file is to be read, where the gateway should not detect it."""

    pass_value: str
    label: str
    id_column: str
    time_column: str
    time_format: str
    time_zone: str
    synthetic_start: str
    synthetic_step_seconds: float
    encoding: str
    separator: str
    decimal: str
    thousands: str
    header: str
    na_values: list[str] | str
    exclude: list[str] | str
    max_unread_share: float


def form(options: UploadOptions) -> dict[str, str]:
    """The options as form fields."""
    return {
        name: json.dumps(value) if isinstance(value, list) else str(value)
        for name, value in options.items()
        if value is not None
    }


class Upload:
    """A file object that reports how much of it was read. httpx reads it piece by piece and learns the length by
    seeking."""

    def __init__(self, file: BinaryIO, progress: Progress | None) -> None:
        self._file = file
        self._progress = progress
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        if self._progress is not None:
            self._progress(self._file.tell(), self.size)
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
