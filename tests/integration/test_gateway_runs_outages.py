"""Kafka or Redis away, and rows whose retention time has passed: said at once and truly, and over when they are
back."""

import time
from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from runtime.kafka.reading import partition_for, read_to_end
from schemas import ids, topics
from storage.objects.files import Storage
from tests.support.brokers import DATA_PARTITIONS, Broker, redis_server
from tests.support.gateway_process import gateway
from tests.support.run_world import World, run_world
from tests.support.topic_writer import writer
from tests.support.waiting import eventually

BOUND_SECONDS = 2.0
MARGIN_SECONDS = 8.0
"""What a loaded machine may add."""


@pytest.fixture(scope="module")
async def world(fresh_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("gateway-outages")
    async with run_world(fresh_kafka, folder, predictions_kept=20, dependency_timeout_seconds=BOUND_SECONDS) as found:
        yield found


async def delete_before(world: World, run_id: str, row_index: int) -> None:
    """Let retention pass for a run's rows before an index."""
    partition = partition_for(run_id.encode(), DATA_PARTITIONS)
    records = read_to_end(world.kafka.kwargs, topics.PREDICTIONS.name, [partition])
    wanted = f'"row_index":{row_index},'.encode()
    offsets = [
        record.offset async for record in records if record.key == run_id.encode() and wanted in (record.value or b"")
    ]
    admin = AIOKafkaAdminClient(**world.kafka.kwargs)
    await admin.start()
    try:
        await admin.delete_records(
            {TopicPartition(topics.PREDICTIONS.name, partition): RecordsToDelete(before_offset=offsets[0])}
        )
    finally:
        await admin.close()


async def test_rows_past_retention_are_gone_and_the_first_that_is_left_is_named(world: World) -> None:
    run_id = ids.new_run_id()
    await world.replay(run_id, 200)
    await delete_before(world, run_id, 70)
    path = f"/v1/runs/{run_id}/predictions"
    answer = await world.client.get(path)
    assert (answer.status_code, answer.json()["code"], answer.json()["first_available"]) == (410, "expired", 70)
    assert (await world.client.get(path, params={"after": 68})).status_code == 410
    assert await world.all_pages(run_id, 50, after=69) == list(range(70, 200))
    stream = await world.client.get(f"/v1/runs/{run_id}/events")
    assert "event: gone" in stream.text
    assert '"first_available":70' in stream.text
    assert (await world.client.get(f"/v1/runs/{run_id}/events", params={"after": 69})).text.count(
        "event: prediction"
    ) == 130


async def test_kafka_away_is_said_within_the_bound_and_reads_go_on(world: World) -> None:
    name = await world.workspace()
    headers = {"X-Workspace": name}
    run_id = (await world.client.post("/simulation/start", headers=headers)).json()["task_id"]
    world.kafka.kill()
    began = time.monotonic()
    answer = await world.client.post("/simulation/start", headers=headers)
    assert time.monotonic() - began < BOUND_SECONDS + MARGIN_SECONDS
    assert (answer.status_code, answer.json()["detail"]) == (503, "kafka is unavailable; try again.")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await world.status(run_id))["status"] == "PENDING"
    ready = await world.client.get("/ready")
    assert (ready.status_code, ready.json()["dependencies"]["redis"]) == (503, "ok")
    assert ready.json()["dependencies"]["kafka"] != "ok"
    states = await part_states(world)
    assert (states["kafka"], states["redis"], states["trainer"]) == ("down", "up", "unknown")
    world.kafka.start()
    await eventually(lambda: world.knows("/ready"), timeout_seconds=60)
    started = await eventually(
        lambda: start_run(world, headers), timeout_seconds=60
    )  # the broker may need longer than the bound at first
    assert [order.command for order in await world.commands(started)] == ["start"]
    listed = (await world.client.get("/v1/runs", headers=headers)).json()["items"]
    assert {started, run_id} <= {run["run_id"] for run in listed}


async def part_states(world: World) -> dict[str, str]:
    """What the system page says of each part; it answers within the bounds whatever is down."""
    began = time.monotonic()
    answer = await world.client.get("/v1/system")
    assert time.monotonic() - began < 2 * BOUND_SECONDS + MARGIN_SECONDS
    found = answer.json()
    assert found["status"] == "degraded"  # this world has a gateway alone
    return {part["name"]: part["state"] for part in found["parts"]}


async def start_run(world: World, headers: dict[str, str]) -> str:
    """The new run's id; empty when it was refused."""
    answer = await world.client.post("/simulation/start", headers=headers)
    return str(answer.json()["task_id"]) if answer.status_code == 200 else ""


async def test_redis_away_is_said_and_over_when_it_is_back(
    fresh_kafka: Broker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("gateway-redis")
    part, url = redis_server(folder / "redis")
    part.start()
    try:
        async with (
            writer(fresh_kafka.kwargs) as topic,
            gateway(fresh_kafka, url, folder, projector_group="redis-away") as client,
        ):
            world = World(fresh_kafka, url, client, topic, Storage(f"file://{folder}").initialise())
            run_id = ids.new_run_id()
            await world.replay(run_id, 30)
            part.kill()
            for path in (
                f"/simulation/status/{run_id}",
                f"/v1/runs/{run_id}",
                "/v1/runs",
                f"/v1/runs/{run_id}/predictions",
            ):
                answer = await client.get(path)
                assert (answer.status_code, answer.json()["detail"]) == (503, "redis is unavailable; try again.")
                assert int(answer.headers["Retry-After"]) > 0
            states = await part_states(world)
            assert (states["redis"], states["view"], states["kafka"], states["producer"]) == (
                "down",
                "down",
                "up",
                "down",
            )
            part.start()
            await eventually(lambda: world.knows(f"/v1/runs/{run_id}"))
            assert await world.counts(run_id, 30)
    finally:
        part.stop()
