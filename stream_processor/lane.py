"""One owned partition at work: an inlet for each topic of rows, and what scores their batches. Partitions do not wait for each other.

A lane begins where the table says and commits batch by batch: one batch is records of one inlet and one transaction, and the inlets take
turns; one that waits for the broker does not hold up the other. After `close` it finishes the batch in hand, starts no other and touches
the table no more: what it wrote stands in the changelog.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from aiokafka import ConsumerRecord, TopicPartition

from stream_processor.book import Outcome
from stream_processor.inlet import Inlet, Source
from stream_processor.metrics import BATCH_ROWS, DEAD_LETTERS, FENCED_ROWS, ROWS_SCORED, TRANSACTION_SECONDS
from stream_processor.owner import Owner


class Surroundings(Source, Protocol):
    """What a lane needs of its worker."""

    async def scored(self, records: list[ConsumerRecord]) -> Outcome:
        """Score the records on the table as it is."""

    def store(self, outcome: Outcome) -> None:
        """Put the committed states into the table."""


class Lane:
    """Scores one partition; `begins` says for each topic from where on. `run` is its task."""

    def __init__(self, around: Surroundings, owner: Owner, begins: Mapping[str, int], *, batch_rows: int, batch_bytes: int) -> None:
        self.partition = owner.partition
        self.closed = False
        self._around = around
        self._owner = owner
        self._turn = asyncio.Lock()
        """Whoever waits for it longest has it next."""
        self.inlets = {
            topic: Inlet(TopicPartition(topic, owner.partition), around, begin, batch_rows=batch_rows, batch_bytes=batch_bytes)
            for topic, begin in begins.items()
        }

    def offer(self, records: list[ConsumerRecord]) -> None:
        """Queue fetched records of one topic."""
        self.inlets[records[0].topic].offer(records)

    def close(self) -> None:
        """Start no other batch."""
        self.closed = True
        for inlet in self.inlets.values():
            inlet.close()

    async def run(self) -> None:
        """Work until closed. Raises `Fenced`, `Unavailable`, or whatever a bug raises."""
        try:
            await asyncio.gather(*[self._work(inlet) for inlet in self.inlets.values()])
        finally:
            self.close()

    async def _work(self, inlet: Inlet) -> None:
        while not self.closed:
            if records := await inlet.following():
                async with self._turn:
                    if not self.closed:
                        await self._handle(inlet, records)
                inlet.busy = False

    async def _handle(self, inlet: Inlet, records: list[ConsumerRecord]) -> None:
        outcome = await self._around.scored(records)
        if self.closed:
            return
        started = time.perf_counter()
        await self._owner.commit(outcome)
        TRANSACTION_SECONDS.observe(time.perf_counter() - started)
        if not self.closed:
            self._around.store(outcome)
        inlet.done(outcome.position + 1)
        _measure(outcome, len(records))


def _measure(outcome: Outcome, records: int) -> None:
    BATCH_ROWS.observe(records)
    ROWS_SCORED.inc(len(outcome.predictions))
    for reason, times in outcome.dead_reasons.items():
        DEAD_LETTERS.labels(reason).inc(times)
    for why, times in outcome.passed_by.items():
        FENCED_ROWS.labels(why).inc(times)
