"""Whether the view is kept up while a projector has no partitions: others may have them all, or nobody.

Somebody projects what is behind as long as its position in Redis moves. So a gateway beyond the number of partitions is
as ready as the others, and one that a rebalance left without any says so.
"""

import asyncio
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, TopicPartition

from storage.view.redis_store import RedisStore

LOOK_SECONDS = 5.0
"""Longer than a rebalance takes in which nobody has died."""
KAFKA_TIMEOUT_SECONDS = 20.0


class Idle:
    """The time a projector has been without partitions."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self.over()

    def over(self) -> None:
        """There are partitions again."""
        self._look_at: float | None = None
        self._behind: dict[str, int] = {}

    def due(self, now: float) -> bool:
        """Whether it is time for a `look`."""
        if self._look_at is None:
            self._look_at = now
        return now >= self._look_at

    async def look(self, consumer: AIOKafkaConsumer, topics: Collection[str], now: float) -> str | None:
        """What is wrong: records wait that were waiting at the last look. Raises what Kafka and Redis raise."""
        partitions = [
            TopicPartition(topic, number)
            for topic in topics
            for number in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        names = [f"{tp.topic}:{tp.partition}" for tp in partitions]
        async with asyncio.timeout(KAFKA_TIMEOUT_SECONDS):
            ends = await consumer.end_offsets(partitions)
        positions = [position or 0 for position in await self._store.positions(names)]
        behind = {
            name: position
            for name, tp, position in zip(names, partitions, positions, strict=True)
            if position < ends[tp]
        }
        still = behind.items() & self._behind.items()
        self._look_at, self._behind = now + LOOK_SECONDS, behind
        return (
            f"no partitions to project are assigned, and nobody projects {len(still)} that have records"
            if still
            else None
        )
