"""How every consumer reads what a fetch brought: aiokafka's way, but for two things.

Kafka takes any bytes as the name of a header. aiokafka raises in its fetcher on such a record, so its partition is blocked for good, and
everyone who reads it crashes again and again (seen with a real broker). Here a name that is no UTF-8
is read with `?` for each byte that is not ASCII. Only a batch that holds such a name is read this slow way.

The checksum of a batch is verified with the processor's own instruction: aiokafka's loop over a table took 14 times as long.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from crc32c import crc32c

CHECKED_FROM = 21
"""Where the attributes of a batch begin: the checksum stands before them and covers the rest."""


class _TolerantBatch:
    """A record batch; everything but its iteration is aiokafka's."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def validate_crc(self) -> bool:
        return bool(crc32c(self._data[CHECKED_FROM:]) == self._batch.crc)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            yield from _slowly(self._data)  # from its beginning: the fetcher leaves out what it has had


class _TolerantRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """What a fetch brought."""

    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        return _TolerantBatch(batch, data) if isinstance(batch, DefaultRecordBatch) and data is not None else batch


def _slowly(data: memoryview) -> Iterator[Any]:
    """Read a batch again with each header name that is no UTF-8 written in ASCII of the same length."""
    batch = _DefaultRecordBatchPy(data)
    batch._maybe_uncompress()
    at = batch._pos
    for _ in range(batch._num_records):
        at = _mend(batch._buffer, at)
    yield from batch


def _mend(buffer: bytearray, at: int) -> int:
    """Mend the header names of the record that begins here; return where the next one does."""
    length, at = _varint(buffer, at)
    end = at + length
    at += 1  # attributes
    for _ in range(2):  # timestamp, offset
        _, at = _varint(buffer, at)
    for _ in range(2):  # key, value
        size, at = _varint(buffer, at)
        at += max(size, 0)
    headers, at = _varint(buffer, at)
    for _ in range(headers):
        size, at = _varint(buffer, at)
        buffer[at : at + size] = _readable(bytes(buffer[at : at + size]))
        at += size
        size, at = _varint(buffer, at)
        at += max(size, 0)
    return end


def _readable(name: bytes) -> bytes:
    """The name, or one of the same length in ASCII."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return bytes(byte if byte < 128 else ord("?") for byte in name)
    return name


def _varint(buffer: bytearray, at: int) -> tuple[int, int]:
    """A number in Kafka's zigzag form, and where it ends."""
    value = shift = 0
    while True:
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def install() -> None:
    """Have every consumer of this process read so."""
    fetcher.MemoryRecords = _TolerantRecords
