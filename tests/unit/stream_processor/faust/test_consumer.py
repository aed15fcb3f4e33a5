"""What Faust's fetch asks for when lanes are full, and behind a recovery. Without a connection."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from schemas.topics import ROWS, STATS_CHANGELOG
from stream_processor.faust.app import Hooks, build
from stream_processor.faust.consumer import BatchConsumer
from stream_processor.settings import StreamProcessorSettings

LANES = [TP(ROWS.name, partition) for partition in range(2)]
LONG = 3600.0


class Asked(BatchConsumer):
    """Returns the partitions that it would fetch, instead of what they hold."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        return {tp: [] for tp in active_partitions or ()}


async def ignore(message: Any) -> None:
    """Take it."""


def consumer_of_nothing() -> Asked:
    app = build(StreamProcessorSettings(kafka_bootstrap_servers="127.0.0.1:1"), cast(Hooks, None), ignore)
    return Asked(app.transport, ignore, ignore, ignore)


async def test_the_first_lane_with_room_ends_the_wait() -> None:
    consumer = consumer_of_nothing()
    consumer.resume_partitions(LANES)
    for tp in LANES:
        consumer.on_buffer_full(tp)
    assert await consumer._wait_next_records(0.01) == ({}, set())
    fetched = asyncio.create_task(consumer._wait_next_records(LONG))
    await asyncio.sleep(0)
    assert not fetched.done()
    consumer.on_buffer_drop(LANES[1])
    async with asyncio.timeout(LONG / 60):
        records, active = await fetched
    assert set(records) == active == {LANES[1]}


async def test_the_changelog_is_fetched_only_while_it_is_recovered() -> None:
    changelog = [TopicPartition(STATS_CHANGELOG.name, partition) for partition in range(3)]
    kafka = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    kafka.assign([*changelog, *[TopicPartition(ROWS.name, partition) for partition in range(3)]])
    consumer = consumer_of_nothing()
    consumer._thread = cast(Any, SimpleNamespace(_ensure_consumer=lambda: kafka))
    await consumer._changelog("pause", {0, 2})
    assert kafka.paused() == {changelog[0], changelog[2]}
    await consumer._changelog("resume", {0, 1, 2})
    assert kafka.paused() == set()
    await kafka.stop()
