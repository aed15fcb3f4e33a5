"""Server-sent events: each row once and in order, whatever happens to the connection, the lanes, Redis, or the other
clients."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import redis
from httpx_sse import ServerSentEvent, aconnect_sse

from schemas import ids
from schemas.tasks import RunSpec
from tests.support.brokers import Broker
from tests.support.run_world import World, run_world
from tests.support.view_records import prediction, task
from tests.support.waiting import eventually

KEPT = 50
CLIENTS = 200


@pytest.fixture(scope="module")
async def world(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with run_world(
        kafka, tmp_path_factory.mktemp("gateway-events"), predictions_kept=KEPT, rebuild_records=100
    ) as found:
        yield found


class Reader:
    """Follows a run as a browser does: reconnects with the last id it has, cut off at random when told to."""

    def __init__(
        self, world: World, run_id: str, *, cut: random.Random | None = None, after: int | None = None
    ) -> None:
        self.world, self.run_id, self.cut, self.after = world, run_id, cut, after
        self.rows: list[int] = []
        self.connections = 0
        self.events: list[tuple[str, Any]] = []

    async def follow(self) -> "Reader":
        while not await self._connection():
            pass
        return self

    async def _connection(self) -> bool:
        """Read until the end (true) or until cut off."""
        self.connections += 1
        headers = {"Last-Event-ID": str(self.rows[-1])} if self.rows else {}
        params = {} if self.after is None else {"after": self.after}
        left = self.cut.randint(1, 60) if self.cut else None
        async with aconnect_sse(
            self.world.client, "GET", f"/v1/runs/{self.run_id}/events", headers=headers, params=params
        ) as source:
            if source.response.status_code == 204:  # cut off between the last row and the end
                return True
            async for event in source.aiter_sse():
                if self._take(event):
                    return True
                if left is not None:
                    left -= 1
                    if not left:
                        return False
        return False

    def _take(self, event: ServerSentEvent) -> bool:
        data = orjson.loads(event.data)
        self.events.append((event.event, data))
        if event.event == "prediction":
            assert event.id == str(data["row_index"])
            self.rows.append(data["row_index"])
        return event.event == "end"


@pytest.mark.parametrize("lanes", [1, 3])
async def test_client_that_reconnects_at_random_sees_each_row_once_and_in_order(world: World, lanes: int) -> None:
    run_id = ids.new_run_id()
    await world.write_task(task(run_id))
    await eventually(lambda: world.knows(f"/v1/runs/{run_id}"))
    readers = [asyncio.create_task(Reader(world, run_id, cut=random.Random(seed)).follow()) for seed in range(3)]
    await world.replay(run_id, 300, lanes=lanes, batch=10)
    for reader in await asyncio.gather(*readers):
        assert reader.rows == list(range(300))
        assert reader.connections > 3


async def test_client_that_comes_late_reads_from_the_first_row_out_of_kafka(world: World) -> None:
    run_id = ids.new_run_id()
    await world.replay(run_id, 1500, lanes=2)
    assert (await Reader(world, run_id).follow()).rows == list(range(1500))
    assert (await Reader(world, run_id, after=1444).follow()).rows == list(range(1445, 1500))


async def test_nothing_is_missed_or_repeated_while_redis_is_flushed(world: World) -> None:
    run_id = ids.new_run_id()
    await world.write_task(task(run_id))
    await eventually(lambda: world.knows(f"/v1/runs/{run_id}"))
    reading = asyncio.create_task(Reader(world, run_id).follow())
    await world.replay(run_id, 100, batch=10, end=False)
    with redis.Redis.from_url(world.redis_url) as client:
        client.flushall()
    await world.topic.answer(run_id, [prediction(run_id, row) for row in range(100, 130)], finished="COMPLETED")
    await world.write_task(task(run_id, status="COMPLETED", ended_lanes=1))
    assert (await reading).rows == list(range(130))


async def test_stream_tells_status_statistics_and_the_end(world: World) -> None:
    run_id = ids.new_run_id()
    spec = RunSpec(dataset_id="ds", split_id="s", model_version="m", total_rows=3)
    await world.write_task(task(run_id, status="PENDING", attempt=0, spec=spec))
    await eventually(lambda: world.knows(f"/v1/runs/{run_id}"))
    reader = Reader(world, run_id)
    reading = asyncio.create_task(reader.follow())
    await eventually(lambda: reader.events)
    await world.replay(run_id, 3)
    await reading
    statuses = [data["status"] for name, data in reader.events if name == "status"]
    assert (statuses[0], statuses[-1]) == ("PENDING", "COMPLETED")
    last_stats = [data for name, data in reader.events if name == "stats"][-1]
    assert (last_stats["total_predictions"], last_stats["last_row_index"]) == (3, 2)
    name, end = reader.events[-1]
    assert (name, end["status"], end["statistics"]["total_predictions"]) == ("end", "COMPLETED", 3)
    assert end["message"] == "Simulation complete. Processed 3 records."


async def test_wrong_last_event_id_is_refused(world: World) -> None:
    run_id = ids.new_run_id()
    await world.write_task(task(run_id))
    await eventually(lambda: world.knows(f"/v1/runs/{run_id}"))
    answer = await world.client.get(f"/v1/runs/{run_id}/events", headers={"Last-Event-ID": "x"})
    assert answer.status_code == 422


async def test_two_hundred_clients_follow_a_run_and_one_that_does_not_read_harms_nobody(world: World) -> None:
    run_id = f"ext-{secrets.token_hex(4)}"
    await world.topic.answer(run_id, [prediction(run_id, 0)])
    await eventually(lambda: world.counts(run_id, 1))
    readers = [Reader(world, run_id) for _ in range(CLIENTS)]
    following = [asyncio.create_task(reader.follow()) for reader in readers]
    url = world.client.base_url
    _, stuck = await asyncio.open_connection(url.host, url.port)
    stuck.write(b"GET /v1/runs/%s/events HTTP/1.1\r\nHost: x\r\n\r\n" % run_id.encode())  # and never reads
    await eventually(lambda: all(reader.rows for reader in readers), timeout_seconds=60)
    for row in range(1, 60):
        await world.topic.answer(run_id, [prediction(run_id, row)])
    await eventually(lambda: all(len(reader.rows) == 60 for reader in readers), timeout_seconds=60)
    assert all(reader.rows == list(range(60)) for reader in readers)
    for task_ in following:
        task_.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    stuck.close()
    await eventually(lambda: _streams(world.client, 0))


async def _streams(client: httpx.AsyncClient, wanted: int) -> bool:
    text = (await client.get("/metrics")).text
    return f"gateway_event_streams {float(wanted)}" in text
