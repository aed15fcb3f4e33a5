"""What Faust's fetch does when lanes are full: without a connection, so only which partitions it would ask for."""

import asyncio
from typing import Any, cast

from faust.types import TP

from schemas.topics import ROWS
from stream_processor.faust_edge import BatchConsumer, Hooks, build
from stream_processor.settings import Settings

LANES = [TP(ROWS.name, partition) for partition in range(2)]
LONG = 3600.0


class Asked(BatchConsumer):
    """Notes what it would fetch."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        return {tp: [] for tp in active_partitions or ()}


async def test_the_first_lane_with_room_ends_the_wait() -> None:
    async def ignore(message: Any) -> None:
        pass

    app = build(Settings(kafka_bootstrap_servers="127.0.0.1:1"), cast(Hooks, None), ignore)
    consumer = Asked(app.transport, ignore, ignore, ignore)
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
