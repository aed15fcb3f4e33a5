"""The Kafka edge that several processes share: read a topic to its end, choose a partition, wait for the broker.

Everyone reads with `isolation_level=read_committed`. Nothing here holds a connection open longer than the call.
"""

import asyncio
from collections.abc import AsyncIterator, Collection

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from runtime.errors import Unavailable
from runtime.kafka.aiokafka_patches import fetch_cluster
from runtime.kafka.clients import open_reader

log = structlog.get_logger()


def partition_for(key: bytes, partitions: int) -> int:
    """Where the Java and aiokafka default partitioner puts a key."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """The partitions of a topic; none when it does not exist."""
    cluster = await fetch_cluster(consumer)
    return set(cluster.partitions_for_topic(topic) or ())


async def wait_for_kafka(kafka: dict[str, object], topic: str, *, timeout_seconds: float = 60.0) -> int:
    """Wait until the broker answers and the topic exists; return its partition count. Raises `Unavailable` after the
    bound."""
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    detail = "no answer"
    while asyncio.get_running_loop().time() < deadline:
        try:
            async with open_reader(kafka) as consumer:
                if partitions := await partitions_of(consumer, topic):
                    return len(partitions)
                detail = f"topic {topic} does not exist"
        except (KafkaError, OSError) as error:
            detail = str(error)
        await asyncio.sleep(0.5)
    raise Unavailable("kafka", f"{detail} (waited {timeout_seconds:.0f} s)")


async def read_to_end(
    kafka: dict[str, object],
    topic: str,
    partitions: Collection[int] | None = None,
    *,
    from_offsets: dict[int, int] | None = None,
    wait_for_open_transactions: bool = False,
) -> AsyncIterator[ConsumerRecord]:
    """Yield every committed record of the topic (or of some partitions) up to the end as it was at the call, in order
    per partition.

    Belongs to no group and commits nothing. `from_offsets` starts later than the log's start. Transaction markers and
    aborted records are passed over; an open transaction ends the reading of its partition at its first record, or is
    waited for (until its owner or the broker ends it).
    """
    async with open_reader(kafka, max_partition_fetch_bytes=4 << 20) as consumer:
        wanted = [
            TopicPartition(topic, p)
            for p in sorted(partitions if partitions is not None else await partitions_of(consumer, topic))
        ]
        if not wanted:
            return
        consumer.assign(wanted)
        ends = await (
            _high_watermarks(kafka, wanted) if wait_for_open_transactions else consumer.end_offsets(wanted)
        )  # the latter: last stable
        starts = await consumer.beginning_offsets(wanted)
        for tp in wanted:
            consumer.seek(tp, max(starts[tp], (from_offsets or {}).get(tp.partition, 0)))
        unfinished = {tp for tp in wanted if await consumer.position(tp) < ends[tp]}
        while unfinished:
            for tp, records in (await consumer.getmany(*unfinished, timeout_ms=500)).items():
                for record in records:
                    if record.offset < ends[tp]:
                        yield record
            for tp in list(unfinished):
                if await consumer.position(tp) >= ends[tp]:
                    unfinished.discard(tp)


async def _high_watermarks(kafka: dict[str, object], partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    async with open_reader(kafka, isolation_level="read_uncommitted") as consumer:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return ends
