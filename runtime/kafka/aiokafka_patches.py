"""Everything of aiokafka that is not public and is used or changed all the same, written for aiokafka 0.14.

What is changed (`install`, called once by `runtime.process.run`):

How every consumer reads what a fetch brought: aiokafka's way, but for two things.

Kafka takes any bytes as the name of a header. aiokafka raises in its fetcher on such a record, so its partition is
blocked for good, and everyone who reads it crashes again and again (seen with a real broker). Here a name that is no
UTF-8 is read with `?` for each byte that is not ASCII. Only a batch that holds such a name is read this slow way.

The checksum of a batch is verified with the processor's own instruction: aiokafka's loop over a table took 14 times as
long."""

import asyncio
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer import fetcher
from aiokafka.producer import sender
from aiokafka.protocol.api import Request, Response
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from crc32c import crc32c

AGAIN_SECONDS = 0.002
"""Until a transaction is tried again that began before the markers of the one before it were written: aiokafka's 20 ms
were seen in the slowest rows at 100 rows/s, and in those behind them."""
ASK_AGAIN_SECONDS = 0.05
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
    """Have every client of this process work so."""
    fetcher.MemoryRecords = _TolerantRecords
    sender.BACKOFF_OVERRIDE = AGAIN_SECONDS


async def fetch_cluster(consumer: AIOKafkaConsumer) -> ClusterMetadata:
    """All topics, partitions and brokers, as the broker names them now. The public calls answer from a cache that never
    asks for topics that the consumer does not read."""
    return await consumer._client.fetch_all_metadata()


async def ask(client: AIOKafkaConsumer | AIOKafkaAdminClient, node: int, question: "Request[Any]") -> Response:
    """The answer of one broker to a question that aiokafka has no method for. Waits for its connection: the caller has
    a bound."""
    while True:
        if await client._client.ready(node):
            return await client._client.send(node, question)
        await asyncio.sleep(ASK_AGAIN_SECONDS)


def leader_of(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """The broker that leads a partition, as far as it is known."""
    leader: int | None = consumer._client.cluster.leader_for_partition(tp)
    return leader


def touch(producer: AIOKafkaProducer, tp: TopicPartition) -> None:
    """Make a partition part of the open transaction without a record in it."""
    producer._txn_manager.maybe_add_partition_to_txn(tp)


def drop(producer: AIOKafkaProducer) -> None:
    """End what a producer would still do: it would carry a write out after it was said to have failed. Its connections
    stay."""
    if producer._sender is not None and producer._sender.sender_task is not None:
        producer._sender.sender_task.cancel()
