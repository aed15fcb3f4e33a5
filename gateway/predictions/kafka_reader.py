"""Predictions that Redis does not hold any more, read from Kafka: in row order over all lanes, each row once.

Belongs to no consumer group and reads only what is committed. The offsets that the view remembers say where to begin,
and those that were met when reading before; without them, the time of the run's first prediction does.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition

from gateway import metrics
from gateway.errors import RowsGone
from gateway.predictions import redriven_reader as late
from gateway.predictions.offset_index import Landmark, Landmarks
from gateway.predictions.page_scan import Reading
from runtime.kafka.clients import open_reader
from runtime.kafka.errors import answered
from schemas.topics import PREDICTIONS
from storage.view.answers import Late
from storage.view.run_view import RunView
from storage.view.views import Views

READERS = 4
"""Pages that are read at once; others wait. Reading is work for the processor: more would only make all of them
slow."""
ENOUGH_SECONDS = 3.0
"""How long a page is made whole before what there is of it will do."""
CLOCK_MARGIN_MS = 60_000
"""How far the clocks of broker, processor and gateway may be apart."""


class KafkaReader:
    """Reader of old predictions; safe to share between requests."""

    def __init__(self, kafka: dict[str, object], views: Views, *, timeout_seconds: float = 15.0) -> None:
        self._kafka = kafka
        self._views = views
        self._timeout_seconds = timeout_seconds
        self._free = asyncio.Semaphore(READERS)
        self._landmarks = Landmarks()

    async def page(self, run: RunView, after: int, until: int, limit: int) -> tuple[list[tuple[int, bytes]], int]:
        """Return the first `limit` rows with `after < row_index <= until` as (row index, record value), and up to where
        they are whole.

        That is `until`, or less when there was much to read past; what was read past is remembered, so asking again
        goes on from there. `until` must be committed already. Raises `RowsGone`, `Unavailable`.
        """
        reading = Reading(run, self._landmarks, after, until, limit)
        offsets = await self._views.offsets(run.run_id, run.attempt)
        async with self._reading() as consumer:
            await _read(consumer, reading, offsets)
        return reading.rows, reading.whole

    async def redriven(self, run: RunView, rows: Mapping[int, Late]) -> dict[int, bytes]:
        """Return the predictions of redriven rows, which stand behind others: the time of each says where. Raises
        `RowsGone`, `Unavailable`."""
        async with self._reading() as consumer:
            found = await late.read(consumer, run, rows)
        if missing := rows.keys() - found.keys():
            raise RowsGone(max(missing) + 1)
        return found

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer, for a bounded time."""
        async with answered("reading predictions", self._timeout_seconds), self._free:
            with metrics.HISTORY_SECONDS.time():
                async with open_reader(self._kafka, fetch_max_wait_ms=50) as consumer:
                    yield consumer


async def _read(consumer: AIOKafkaConsumer, reading: Reading, offsets: Iterable[Landmark]) -> None:
    """Read until all is found, or for a while: then until there is something to show."""
    partitions = [TopicPartition(PREDICTIONS.name, partition) for partition in reading.partitions]
    if not partitions:
        return
    consumer.assign(partitions)
    first, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    begins, times = reading.starts(offsets, {tp.partition: end for tp, end in ends.items()})
    asked = {
        TopicPartition(PREDICTIONS.name, partition): max(time - CLOCK_MARGIN_MS, 0) for partition, time in times.items()
    }
    for tp, place in (await consumer.offsets_for_times(asked) if asked else {}).items():
        start = place.offset if place else 0
        begins[tp.partition] = min(begins.get(tp.partition, start), start)
    for tp in partitions:
        consumer.seek(tp, max(begins[tp.partition], first[tp]))
    enough_at = asyncio.get_running_loop().time() + ENOUGH_SECONDS
    while reading.wanted and not (reading.useful and asyncio.get_running_loop().time() > enough_at):
        for tp in partitions:
            if await consumer.position(tp) >= ends[tp]:
                reading.end(tp.partition)
        wanted = [tp for tp in partitions if tp.partition in reading.wanted]
        if not wanted:
            break
        consumer.pause(*(tp for tp in partitions if tp not in wanted))
        for records in (await consumer.getmany(*wanted, timeout_ms=500)).values():
            reading.take(records)
    lost = reading.lost({tp.partition for tp in partitions if first[tp] > 0 and begins[tp.partition] <= first[tp]})
    if lost is not None:
        raise RowsGone(lost)
