"""One owned partition at work: an inlet for each topic of rows, and what scores their batches. Partitions do not wait
for each other.

A lane begins where the table says and commits batch by batch: one batch is records of one inlet and one transaction,
and the inlets take turns; one that waits for the broker or the storage does not hold up the other. After `close` it
finishes the batch in hand, starts no other and touches the table no more: what it wrote stands in the changelog.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from runtime.errors import Unavailable
from schemas.topics import ROWS
from stream_processor.batch.counting import BatchOutcome
from stream_processor.inlet import Inlet, InletSource
from stream_processor.kafka.transactions import PartitionTransactions
from stream_processor.metrics import BATCH_ROWS, DEAD_LETTERS, FENCED_ROWS, ROWS_SCORED, TRANSACTION_SECONDS

STORAGE_PAUSE_SECONDS = 0.5
Decide = Callable[[int], BatchOutcome | None]

log = structlog.get_logger()


class Surroundings(InletSource, Protocol):
    """What a lane needs of its worker."""

    async def scored(self, records: list[ConsumerRecord]) -> BatchOutcome:
        """Score the records on the table as it is."""

    def store(self, outcome: BatchOutcome) -> None:
        """Put the committed states into the table."""


class PartitionWorker:
    """Scores one partition; `begins` says for each topic from where on. `run` is its task."""

    def __init__(
        self,
        around: Surroundings,
        owner: PartitionTransactions,
        begins: Mapping[str, int],
        *,
        batch_rows: int,
        batch_bytes: int,
    ) -> None:
        self.partition = owner.partition
        self.closed = False
        self._around = around
        self._owner = owner
        self._turn = asyncio.Lock()
        """Whoever waits for it longest has it next."""
        self._between: deque[Decide] = deque()
        self._asked = asyncio.Event()
        self._closing = asyncio.Event()
        self.inlets = {
            topic: Inlet(
                TopicPartition(topic, owner.partition), around, begin, batch_rows=batch_rows, batch_bytes=batch_bytes
            )
            for topic, begin in begins.items()
        }

    def offer(self, records: list[ConsumerRecord]) -> None:
        """Queue fetched records of one topic."""
        self.inlets[records[0].topic].offer(records)

    def between(self, decide: Decide) -> None:
        """Have this asked, with the next offset of `rows.v1`, when no batch is being scored, and what it answers
        committed."""
        self._between.append(decide)
        self._asked.set()

    def close(self) -> None:
        """Start no other batch."""
        self.closed = True
        self._closing.set()
        self._asked.set()
        for inlet in self.inlets.values():
            inlet.close()

    async def run(self) -> None:
        """Work until closed. Raises `Fenced`, `Unavailable` (of Kafka), or whatever a bug raises."""
        try:
            await asyncio.gather(self._decide(), *[self._work(inlet) for inlet in self.inlets.values()])
        finally:
            self.close()

    async def _work(self, inlet: Inlet) -> None:
        while not self.closed:
            if records := await inlet.following():
                while not (self.closed or await self._tried(inlet, records)):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(STORAGE_PAUSE_SECONDS):
                            await self._closing.wait()
                inlet.busy = False

    async def _tried(self, inlet: Inlet, records: list[ConsumerRecord]) -> bool:
        """Handle a batch; false when that needs a storage which is away. Nothing is written then, and the other inlet
        has its turn."""
        async with self._turn:
            if self.closed:
                return True
            try:
                outcome = await self._around.scored(records)
            except Unavailable as error:
                if error.part != "storage":
                    raise
                inlet.moved_at = time.monotonic()  # it waits for a part that is named: no stall
                where = {"topic": inlet.tp.topic, "partition": self.partition, "offset": inlet.next_offset}
                log.warning("rows wait for the storage", **where, error=str(error))
                return False
            if self.closed:
                return True
            started = time.perf_counter()
            await self._commit(outcome)
            TRANSACTION_SECONDS.observe(time.perf_counter() - started)
            inlet.done(outcome.position + 1)
        _measure(outcome, len(records))
        return True

    async def _decide(self) -> None:
        while not self.closed:
            await self._asked.wait()
            self._asked.clear()
            while self._between:
                async with self._turn:
                    decide = self._between.popleft()
                    outcome = None if self.closed else decide(self.inlets[ROWS.name].next_offset)
                    if outcome is not None:
                        await self._commit(outcome)

    async def _commit(self, outcome: BatchOutcome) -> None:
        await self._owner.commit(outcome)
        if not self.closed:
            self._around.store(outcome)


def _measure(outcome: BatchOutcome, records: int) -> None:
    BATCH_ROWS.observe(records)
    ROWS_SCORED.inc(len(outcome.predictions))
    for reason, times in outcome.dead_reasons.items():
        DEAD_LETTERS.labels(reason).inc(times)
    for why, times in outcome.passed_by.items():
        FENCED_ROWS.labels(why).inc(times)
