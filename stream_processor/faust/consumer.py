"""Faust's consumer, bent to docs/design/architecture.md: what is fetched, from where on, and when it is whose.
With `faust_edge` the only place of this package that relies on private names of Faust and aiokafka.

Faust 0.15.3 and aiokafka 0.14.0 are pinned; each point has its test. What is changed, and why:

1. `BatchScheduler` (documented setting): the fetched records of one partition become one message, so Faust's cost is
per batch, when
   scoring and when recovering the table.
2. `BatchConsumer.highwaters`: recovery asks here for the end of the changelog, so ownership is taken first
(`Hooks.own`): the former
   owner is fenced. Then a plain record is written behind the last transaction marker: Faust waits for ever, or 10 s,
   where a partition ends in a marker. A marker may land after the transaction's end was confirmed, so the end is looked
   at until it is that record.
3. `CommittedThread`: the changelog is read committed although Faust's own transactions are off. And a fetch of nothing
ends sooner than
   after Faust's 1.5 s: seeks and questions to the broker wait behind it on the same connection, three times in every
   recovery.
4. `BatchConsumer.perform_seek`: reading starts at the position in the table, not at Faust's committed offset: Faust
does not rewind a
   partition without a commit and loses what it had fetched when a rebalance comes first (seen: 180 of 8,000 rows).
5. `BatchConsumer.on_partitions_revoked`: work in hand is finished before others may take the partition.
6. Back-pressure per partition: a full one is left out of the fetch (`hold`) while the others go on. Faust would notice
only after a second
   that it is back: after a fetch of nothing, and after a sleep where all are full (half of the throughput). So a fetch
   is short meanwhile, and where all are full, the first that has room ends the wait.
7. Once recovered, the changelog is fetched no more (`paused`): Faust would fetch what the owner writes to it and never
take it, for which
   aiokafka holds back every other fetch for 100 ms, once a partition (the slow first rows of many runs).
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from schemas.topics import INLETS, STATS_CHANGELOG

OF_ROWS = frozenset(topic.name for topic in INLETS)
HELD_FETCH_SECONDS = 0.01
FETCH_MAX_WAIT_MS = 100

logging.getLogger(__name__).setLevel(
    logging.WARNING
)  # Faust logs the life of each of its services under the name of its module


class Batch(msgspec.Struct, gc=False):
    """What Faust needs to know of a record, with a list of records as its value."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    value: list[ConsumerRecord]
    headers: None = None
    key: None = None
    checksum: None = None
    serialized_key_size: int = 0
    serialized_value_size: int = 0


class BatchScheduler(DefaultSchedulingStrategy):
    """Hands a partition's fetched records on as one message."""

    def iterate(self, records: Mapping[TP, list[ConsumerRecord]]) -> Iterator[tuple[TP, Any]]:
        for tp, fetched in records.items():
            last = fetched[-1]
            yield tp, Batch(last.topic, last.partition, last.offset, last.timestamp, last.timestamp_type, fetched)


class CommittedThread(driver.AIOKafkaConsumerThread):
    """Reads committed records only, and does not let an empty fetch hold up the rest."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer


class BatchConsumer(driver.Consumer):
    """Takes ownership before recovery, and starts reading where the table says."""

    app: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._room = asyncio.Event()

    def _new_consumer_thread(self) -> CommittedThread:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def highwaters(self, *partitions: TP) -> Any:
        await self._thread.call_thread(self._changelog, "resume", {tp.partition for tp in partitions})
        await self.app.hooks.own({tp.partition for tp in partitions})
        found: dict[TP, int] = {}
        unsettled = set(partitions)
        async with asyncio.timeout(self.app.conf.broker_request_timeout):
            while unsettled:
                marked = {tp: await self.app.hooks.mark_end(tp.partition) + 1 for tp in unsettled}
                found |= await super().highwaters(*unsettled)
                unsettled = {tp for tp, end in marked.items() if found[tp] != end}
        return found

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.app.recovered.clear()
        self._buffered_partitions.clear()
        self._room.set()
        await self.app.hooks.close({tp.partition for tp in revoked if tp.topic in OF_ROWS})
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        await super().perform_seek()
        recovered: set[int] = {tp.partition for tp in self.assignment() if tp.topic in OF_ROWS} & self.app.recovered
        await self._thread.call_thread(self._changelog, "pause", recovered)
        await self.rewind(self.app.hooks.open(recovered))

    async def _changelog(self, order: Literal["pause", "resume"], partitions: set[int]) -> None:
        """In the consumer's thread: have the changelog of these partitions fetched no more, or again; orders are kept
        in order."""
        consumer = self._thread._ensure_consumer()
        wanted = [tp for tp in consumer.assignment() if tp.topic == STATS_CHANGELOG.name and tp.partition in partitions]
        getattr(consumer, order)(*wanted)

    async def rewind(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read the partitions from these offsets on, those of them that are assigned."""
        offsets = {TP(*tp): offset for tp, offset in positions.items() if tp in self.assignment()}
        if offsets:
            await self._thread.seek_wait(offsets)
            self._read_offset.update({tp: offset or None for tp, offset in offsets.items()})

    def on_buffer_drop(self, tp: TP) -> None:
        super().on_buffer_drop(tp)
        self._room.set()

    @property
    def _all_held(self) -> bool:
        return bool(self._buffered_partitions) and not self._get_active_partitions()

    async def _wait_next_records(self, timeout: float) -> Any:
        if self._all_held:
            self._room.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._room.wait()
            if self._all_held:
                return {}, set()
        return await super()._wait_next_records(timeout)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        return await super()._getmany(active_partitions, HELD_FETCH_SECONDS if self._buffered_partitions else timeout)

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Create nothing: topics are made beforehand with their settings."""


class BatchTransport(driver.Transport):
    """Faust's Kafka driver with our consumer."""

    Consumer = BatchConsumer
