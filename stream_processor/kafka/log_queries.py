"""What the broker really holds: where records begin behind an offset, and where a partition ends.

A batch may begin beyond the expected offset because Faust lost records, or because there are none in between: retention
removed them, or the offsets belong to transaction markers of another system. Only the broker can tell. Reads belong to
no group."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from runtime.kafka.aiokafka_patches import ask, leader_of
from runtime.kafka.broker_requests import DescribeProducers
from runtime.kafka.clients import lone_consumer, started
from runtime.kafka.errors import classify
from runtime.tasks import stop_client


class Ends(NamedTuple):
    """Where a partition ends: for everybody, and for readers of committed records, who stop at a transaction that is
    open."""

    high: int
    stable: int


class Broker:
    """A groupless reader of the topics of rows; one question at a time."""

    def __init__(self, kafka: dict[str, object], *, timeout_seconds: float) -> None:
        self._kafka = kafka
        self._timeout_seconds = timeout_seconds
        self._lock = asyncio.Lock()
        self._consumers: dict[str, AIOKafkaConsumer] = {}

    async def first_offset(self, tp: TopicPartition, wanted: int) -> int | None:
        """Return the offset of the first committed record at or behind `wanted`, null when there is none. Raises
        `Unavailable`."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    consumer = await self._started()
                    consumer.assign([tp])
                    start, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
                    consumer.seek(tp, max(wanted, start))
                    while await consumer.position(tp) < end:
                        for record in (await consumer.getmany(tp, timeout_ms=200, max_records=1)).get(tp, ()):
                            return int(record.offset)
                    return None
            except BaseException as error:
                raise classify(error, f"asking for the rows of {tp.topic} partition {tp.partition}") from error

    async def log_start(self, tp: TopicPartition) -> int:
        """Return the first offset that retention has left. Raises `Unavailable`."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    return int((await (await self._started()).beginning_offsets([tp]))[tp])
            except BaseException as error:
                raise classify(error, "asking for offsets") from error

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Ends]:
        """Return the ends of each partition; they differ only while a transaction is open. Raises `Unavailable`."""
        wanted = list(partitions)
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    high = await (await self._started("read_uncommitted")).end_offsets(
                        wanted
                    )  # first, or what comes between would differ
                    stable = await (await self._started()).end_offsets(wanted)
                    return {tp: Ends(high[tp], min(stable[tp], high[tp])) for tp in wanted}
            except BaseException as error:
                raise classify(error, "asking for offsets") from error

    async def open_producers(self, tp: TopicPartition) -> list[int]:
        """Return the ids of the producers with an open transaction, the oldest first; none when the broker does not
        tell."""
        found: list[tuple[int, int]] = []
        with suppress(Exception):  # only for the log: old brokers and missing rights are no failure
            async with self._lock, asyncio.timeout(2):
                consumer = await self._started()
                if (node := leader_of(consumer, tp)) is None:
                    return []
                answer: Any = await ask(consumer, node, DescribeProducers(tp.topic, tp.partition))
                for _, partitions, _ in answer.topics:
                    for _, _, _, producers, _ in partitions:
                        found += [(start, producer) for producer, _, _, _, _, start, _ in producers if start >= 0]
        return [producer for _, producer in sorted(found)]

    async def _started(self, isolation: str = "read_committed") -> AIOKafkaConsumer:
        if isolation not in self._consumers:
            self._consumers[isolation] = await started(lone_consumer(self._kafka, isolation_level=isolation))
        return self._consumers[isolation]

    async def stop(self) -> None:
        """Close the connections."""
        await asyncio.gather(*[stop_client(consumer) for consumer in self._consumers.values()])
