"""One owned partition at work: its queue, its task, its next offset. Lanes do not wait for each other.

A lane begins where the table says, takes only records that follow what it has done, and commits batch by batch. After `close` it finishes
the batch in hand, starts no other and touches the table no more: what it wrote stands in the changelog.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import NamedTuple, Protocol

import structlog
from aiokafka import ConsumerRecord

from runtime.errors import Unavailable
from stream_processor.book import Outcome
from stream_processor.metrics import BATCH_ROWS, DEAD_LETTERS, FENCED_ROWS, GAPS, POSITION, REWINDS, ROWS_SCORED, TRANSACTION_SECONDS
from stream_processor.owner import Owner

REWIND_SECONDS = 1.0
STORAGE_PAUSE_SECONDS = 0.5

log = structlog.get_logger()


class Surroundings(Protocol):
    """What a lane needs of its worker."""

    async def scored(self, records: list[ConsumerRecord]) -> Outcome:
        """Score the records on the table as it is."""

    def store(self, outcome: Outcome) -> None:
        """Put the committed states into the table."""

    async def first_offset(self, partition: int, wanted: int) -> int | None:
        """Return the offset of the first record at or behind `wanted`."""

    async def log_start(self, partition: int) -> int:
        """Return the first offset that retention has left."""

    async def rewind(self, partition: int, offset: int) -> None:
        """Have the partition read again from this offset on."""

    def hold(self, partition: int) -> None:
        """Fetch no more of the partition for now."""

    def release(self, partition: int) -> None:
        """Fetch it again."""


class Fetched(NamedTuple):
    """Consecutive records, at least one, and the bytes of their values."""

    records: list[ConsumerRecord]
    bytes: int


class Lane:
    """Scores one partition from `next_offset` on. `run` is its task."""

    def __init__(self, around: Surroundings, owner: Owner, next_offset: int, *, batch_rows: int, batch_bytes: int) -> None:
        self.partition = owner.partition
        self.next_offset = next_offset
        self.closed = False
        self.busy = False
        """Whether a batch is being scored and committed."""
        self.moved_at = time.monotonic()
        self._around = around
        self._owner = owner
        self._batch_rows, self._batch_bytes = batch_rows, batch_bytes
        self._queue: deque[Fetched] = deque()
        self._queued = self._queued_bytes = 0
        self._held = False
        self._filled = asyncio.Event()
        self._closing = asyncio.Event()
        self._rewound_at = -REWIND_SECONDS

    def offer(self, records: list[ConsumerRecord]) -> None:
        """Queue fetched records; when more than two batches wait, the partition is left out of the fetch until half are done."""
        fetched = Fetched(records, _bytes(records))
        self._queue.append(fetched)
        self._queued += len(records)
        self._queued_bytes += fetched.bytes
        self._filled.set()
        if not self._held and (self._queued >= 2 * self._batch_rows or self._queued_bytes >= 2 * self._batch_bytes):
            self._held = True
            self._around.hold(self.partition)

    @property
    def waiting(self) -> bool:
        """Whether it has nothing to do until records are fetched."""
        return not (self.busy or self._queue or self.closed)

    async def read_again(self) -> None:
        """Have everything fetched again that is not done."""
        REWINDS.inc()
        await self._around.rewind(self.partition, self.next_offset)

    def close(self) -> None:
        """Start no other batch."""
        self.closed = True
        self._closing.set()
        self._queue.clear()
        self._filled.set()

    async def run(self) -> None:
        """Work until closed. Raises `Fenced`, `Unavailable` (of Kafka), or whatever a bug raises."""
        POSITION.labels(self.partition).set(self.next_offset)
        while not self.closed:
            await self._filled.wait()
            if records := await self._following():
                self.busy = True
                await self._handle(records)
                self.busy = False

    async def _handle(self, records: list[ConsumerRecord]) -> None:
        outcome = await self._scored(records)
        if outcome is None or self.closed:
            return
        started = time.perf_counter()
        await self._owner.commit(outcome)
        TRANSACTION_SECONDS.observe(time.perf_counter() - started)
        if not self.closed:
            self._around.store(outcome)
        self.next_offset = outcome.position + 1
        self.moved_at = time.monotonic()
        self._measure(outcome, len(records))

    async def _scored(self, records: list[ConsumerRecord]) -> Outcome | None:
        """Score them; a storage that is away is waited for until the lane is closed. Nothing is written meanwhile."""
        while not self.closed:
            try:
                return await self._around.scored(records)
            except Unavailable as error:
                if error.part != "storage":
                    raise
                self.moved_at = time.monotonic()  # it waits for a part that is named: no stall
                log.warning("rows wait for the storage", partition=self.partition, offset=self.next_offset, error=str(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(STORAGE_PAUSE_SECONDS):
                        await self._closing.wait()
        return None

    def _measure(self, outcome: Outcome, records: int) -> None:
        POSITION.labels(self.partition).set(self.next_offset)
        BATCH_ROWS.observe(records)
        ROWS_SCORED.inc(len(outcome.predictions))
        for reason, times in outcome.dead_reasons.items():
            DEAD_LETTERS.labels(reason).inc(times)
        for why, times in outcome.passed_by.items():
            FENCED_ROWS.labels(why).inc(times)

    async def _following(self) -> list[ConsumerRecord]:
        """Take up to a batch of records from the queue that follow what is done; empty when there are none."""
        taken: list[ConsumerRecord] = []
        wanted, size = self.next_offset, 0
        while self._queue and len(taken) < self._batch_rows and size < self._batch_bytes:
            fetched = self._queue[0]
            if fetched.records[0].offset < wanted:
                left = self._replace_first([record for record in fetched.records if record.offset >= wanted])
                if left is None:
                    continue
                fetched = left
            if fetched.records[0].offset > wanted and (taken or not await self._is_gap(wanted, fetched.records[0].offset)):
                break  # after what was taken a gap is looked at in the next round
            if self.closed:
                return []
            fitting = _fitting(fetched, self._batch_rows - len(taken), self._batch_bytes - size)
            taken += fetched.records[:fitting]
            left = self._replace_first(fetched.records[fitting:])
            size += fetched.bytes - (left.bytes if left else 0)
            wanted = taken[-1].offset + 1
        if not self._queue:
            self._filled.clear()
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
            self._around.release(self.partition)
        return left

    async def _is_gap(self, wanted: int, found: int) -> bool:
        """Say whether there are no records between the wanted and the found offset; if there are, have them read again."""
        first = await self._around.first_offset(self.partition, wanted)
        if self.closed:
            return False
        if first == found:
            GAPS.inc()
            start = await self._around.log_start(self.partition)
            gone = max(0, min(start, found) - wanted)
            (log.error if gone else log.info)("offsets without records", partition=self.partition, wanted=wanted, found=found, removed=gone)
            return True
        self._forget()
        if time.monotonic() - self._rewound_at > REWIND_SECONDS:  # old batches may still come in
            self._rewound_at = time.monotonic()
            log.warning("records are missing, reading again", partition=self.partition, wanted=wanted, found=found)
            await self.read_again()
        return False

    def _forget(self) -> None:
        self._queue.clear()
        self._queued = self._queued_bytes = 0
        if self._held:
            self._held = False
            self._around.release(self.partition)


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
