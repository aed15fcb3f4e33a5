"""What the broker really holds: where records begin behind an offset, and where a partition ends.

A batch may begin beyond the expected offset because Faust lost records, or because there are none in between: retention removed them, or
the offsets belong to transaction markers of another system. Only the broker can tell. Reads belong to no group.
"""

import asyncio
from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, TopicPartition

from runtime.tasks import stop_client
from stream_processor.errors import classify


class Broker:
    """A groupless reader of the topics of rows; one question at a time."""

    def __init__(self, kafka: dict[str, object], *, timeout_seconds: float) -> None:
        self._kafka = kafka
        self._timeout_seconds = timeout_seconds
        self._lock = asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None

    async def first_offset(self, tp: TopicPartition, wanted: int) -> int | None:
        """Return the offset of the first committed record at or behind `wanted`, null when there is none. Raises `Unavailable`."""
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
        return (await self._offsets([tp], beginning=True))[tp]

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end of each partition as a reader of committed records sees it. Raises `Unavailable`."""
        return await self._offsets(partitions, beginning=False)

    async def _offsets(self, partitions: Collection[TopicPartition], *, beginning: bool) -> dict[TopicPartition, int]:
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    consumer = await self._started()
                    wanted = list(partitions)
                    found: dict[TopicPartition, int] = await (
                        consumer.beginning_offsets(wanted) if beginning else consumer.end_offsets(wanted)
                    )
                    return found
            except BaseException as error:
                raise classify(error, "asking for offsets") from error

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._kafka, enable_auto_commit=False, auto_offset_reset="earliest", isolation_level="read_committed"
            )
            try:
                await consumer.start()
            except BaseException:
                await stop_client(consumer)
                raise
            self._consumer = consumer
        return self._consumer

    async def stop(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            await stop_client(self._consumer)
