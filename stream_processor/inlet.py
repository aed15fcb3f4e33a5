"""A topic's part of a partition: its queue of fetched records and its next offset. What is taken from it follows what
is done.

Each inlet is held, released and rewound by itself, so that a flood or an open transaction on one topic does not touch
the other."""

import asyncio
import time
from collections import deque
from typing import NamedTuple, Protocol

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from stream_processor.metrics import GAPS, POSITION, REWINDS

REWIND_SECONDS = 1.0

log = structlog.get_logger()


class InletSource(Protocol):
    """What an inlet needs of the broker and of the consumer."""

    async def first_offset(self, tp: TopicPartition, wanted: int) -> int | None:
        """Return the offset of the first record at or behind `wanted`."""

    async def log_start(self, tp: TopicPartition) -> int:
        """Return the first offset that retention has left."""

    async def rewind(self, tp: TopicPartition, offset: int) -> None:
        """Have the partition read again from this offset on."""

    def hold(self, tp: TopicPartition) -> None:
        """Fetch no more of the partition for now."""

    def release(self, tp: TopicPartition) -> None:
        """Fetch it again."""


class Fetched(NamedTuple):
    """Consecutive records, at least one, and the bytes of their values."""

    records: list[ConsumerRecord]
    bytes: int


class Inlet:
    """Takes batches from `next_offset` on."""

    def __init__(
        self, tp: TopicPartition, source: InletSource, next_offset: int, *, batch_rows: int, batch_bytes: int
    ) -> None:
        self.tp = tp
        self.next_offset = next_offset
        self.closed = False
        self.busy = False
        """Whether a batch that was taken is still to be scored and committed."""
        self.moved_at = time.monotonic()
        self._source = source
        self._batch_rows, self._batch_bytes = batch_rows, batch_bytes
        self._queue: deque[Fetched] = deque()
        self._queued = self._queued_bytes = 0
        self._held = False
        self._filled = asyncio.Event()
        self._rewound_at = -REWIND_SECONDS
        POSITION.labels(tp.topic, tp.partition).set(next_offset)

    def offer(self, records: list[ConsumerRecord]) -> None:
        """Queue fetched records; when more than two batches wait, the partition is left out of the fetch until half are
        done."""
        fetched = Fetched(records, _bytes(records))
        self._queue.append(fetched)
        self._queued += len(records)
        self._queued_bytes += fetched.bytes
        self._filled.set()
        if not self._held and (self._queued >= 2 * self._batch_rows or self._queued_bytes >= 2 * self._batch_bytes):
            self._held = True
            self._source.hold(self.tp)

    @property
    def waiting(self) -> bool:
        """Whether it has nothing to do until records are fetched."""
        return not (self.busy or self._queue or self.closed)

    def done(self, next_offset: int) -> None:
        """Everything before this offset is committed, or there is nothing."""
        self.next_offset = next_offset
        self.moved_at = time.monotonic()
        POSITION.labels(self.tp.topic, self.tp.partition).set(next_offset)

    def nothing_before(self, offset: int, wanted: int) -> None:
        """There are no records between `wanted` and this offset: removed, or never more than markers."""
        if self.waiting and self.next_offset == wanted < offset:
            log.info(
                "offsets without records", topic=self.tp.topic, partition=self.tp.partition, wanted=wanted, found=offset
            )
            self.done(offset)

    async def read_again(self) -> None:
        """Have everything fetched again that is not done."""
        REWINDS.inc()
        await self._source.rewind(self.tp, self.next_offset)

    def close(self) -> None:
        """Take nothing more."""
        self.closed = True
        self._queue.clear()
        self._filled.set()

    async def following(self) -> list[ConsumerRecord]:
        """Wait for records and take up to a batch that follow what is done, `busy` from then on; empty when those that
        came do not."""
        await self._filled.wait()
        taken: list[ConsumerRecord] = []
        wanted, size = self.next_offset, 0
        while self._queue and len(taken) < self._batch_rows and size < self._batch_bytes:
            fetched = self._queue[0]
            if fetched.records[0].offset < wanted:
                left = self._replace_first([record for record in fetched.records if record.offset >= wanted])
                if left is None:
                    continue
                fetched = left
            if fetched.records[0].offset > wanted and (
                taken or not await self._is_gap(wanted, fetched.records[0].offset)
            ):
                break  # after what was taken a gap is looked at in the next round
            if self.closed:
                return []
            fitting = _fitting(fetched, self._batch_rows - len(taken), self._batch_bytes - size)
            taken += fetched.records[:fitting]
            left = self._replace_first(fetched.records[fitting:])
            size += fetched.bytes - (left.bytes if left else 0)
            wanted = taken[-1].offset + 1
        if not self._queue and not self.closed:
            self._filled.clear()
        self.busy = bool(taken)
        return taken

    def _replace_first(self, records: list[ConsumerRecord]) -> Fetched | None:
        """Keep only these records of the first fetch in the queue, or none of it."""
        first = self._queue.popleft()
        left = Fetched(records, _bytes(records)) if records else None
        self._queued -= len(first.records) - len(records)
        self._queued_bytes -= first.bytes - (left.bytes if left else 0)
        if left:
            self._queue.appendleft(left)
        if self._held and self._queued <= self._batch_rows and self._queued_bytes <= self._batch_bytes:
            self._held = False
            self._source.release(self.tp)
        return left

    async def _is_gap(self, wanted: int, found: int) -> bool:
        """Say whether there are no records between the wanted and the found offset; if there are, have them read
        again."""
        first = await self._source.first_offset(self.tp, wanted)
        if self.closed:
            return False
        where = {"topic": self.tp.topic, "partition": self.tp.partition, "wanted": wanted, "found": found}
        if first == found:
            GAPS.inc()
            start = await self._source.log_start(self.tp)
            gone = max(0, min(start, found) - wanted)
            (log.error if gone else log.info)("offsets without records", **where, removed=gone)
            return True
        self._forget()
        if time.monotonic() - self._rewound_at > REWIND_SECONDS:  # old batches may still come in
            self._rewound_at = time.monotonic()
            log.warning("records are missing, reading again", **where)
            await self.read_again()
        return False

    def _forget(self) -> None:
        self._queue.clear()
        self._queued = self._queued_bytes = 0
        if self._held:
            self._held = False
            self._source.release(self.tp)


def _fitting(fetched: Fetched, rows: int, size: int) -> int:
    """How many of the records fit: up to the first that fills the batch, that one included."""
    if fetched.bytes <= size:
        return min(len(fetched.records), rows)
    for number, record in enumerate(fetched.records[:rows], 1):
        size -= len(record.value or b"")
        if size <= 0:
            return number
    return rows


def _bytes(records: list[ConsumerRecord]) -> int:
    return sum([len(record.value or b"") for record in records])
