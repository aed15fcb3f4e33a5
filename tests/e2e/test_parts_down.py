"""While parts are down: scoring goes on without Redis, uploads and reads without Kafka, and the whole stack stops
quickly at work."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from client.aio import AsyncClient
from client.errors import GatewayUnavailable
from schemas.http.runs import Run, RunCreate
from schemas.messages import TERMINAL
from schemas.topics import PREDICTIONS
from tests.chaos.evidence import gather
from tests.chaos.judge import Case, judge_attempt
from tests.chaos.load import Ordered
from tests.chaos.play import recounted
from tests.chaos.world import World, world
from tests.support.brokers import DATA_PARTITIONS
from tests.support.stack import running_stack
from tests.support.waiting import eventually

A = TypeVar("A")
T = TypeVar("T")
STOP_SECONDS = 30.0
ROWS = 16_000
PROCESSES = ("gateway", "stream_processor", "producer", "trainer")


@pytest.mark.timeout(600)
async def test_redis_and_kafka_go_and_come_back_and_a_stop_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, rows=ROWS, seed=3, workers=1, producers=1) as place:
        options = RunCreate(
            split_id=place.split.split_id, model_version=place.models[0], rows_per_second=200.0, warmup_seconds=0
        )
        run = await place.client.start_run(options)
        await eventually(lambda: _counted(place.client, run.run_id, 100))
        await _without_redis(place, run)
        await _without_kafka(place, run)
        await place.patient.set_speed(run.run_id, None)
        counted = (await place.patient.run(run.run_id)).statistics.total_predictions
        await eventually(lambda: _counted(place.client, run.run_id, counted + 2000))
        began = time.monotonic()
        await asyncio.to_thread(place.stack.stop)
        took = time.monotonic() - began
        print(f"stopped under load in {took:.1f} s")
        assert took < STOP_SECONDS
        assert {name: place.stack.process(name).exit_code for name in PROCESSES} == dict.fromkeys(PROCESSES, 0)
    with running_stack(tmp_path / "stack", STORAGE_URL=f"file://{tmp_path}/place") as again:
        async with AsyncClient(again.gateway_url) as client:
            ended = await client.wait_for_run(run.run_id, timeout_seconds=90)
        evidence = await gather(again.kafka)
    answers, lanes = evidence.answers[run.run_id, 1], evidence.stats(run.run_id, 1)
    assert ended.status == "COMPLETED"
    case = Case(Ordered(run.run_id, place.models[0], 1), 1, answers, [], lanes)
    assert [*judge_attempt(case, recounted(place, place.models[0]), "COMPLETED")] == []


async def _without_redis(place: World, run: Run) -> None:
    """Reads are answered 503, rows are scored, and the view catches up."""
    server = place.stack.process("redis")
    before = await _written(place)
    await asyncio.to_thread(server.stop)
    with pytest.raises(GatewayUnavailable) as refused:
        await place.client.run(run.run_id)
    assert (refused.value.status, refused.value.retry_after is not None) == (503, True)
    await eventually(lambda: _more_written(place, before + 200), message="rows are scored without Redis")
    await asyncio.to_thread(server.start)
    await eventually(lambda: _counted(place.client, run.run_id, 300), timeout_seconds=60, message="the view caught up")


async def _without_kafka(place: World, run: Run) -> None:
    """What is there can be read, orders are answered 503, and the run goes on by itself. A file can be uploaded,
    survives its gateway, and is a dataset like any other when Kafka is back."""
    broker, gateway = place.stack.process("kafka"), place.stack.process("gateway")
    await asyncio.to_thread(broker.stop)
    shown = await place.client.run(run.run_id)
    assert shown.status not in TERMINAL
    assert (await place.client.dataset(place.split.dataset_id)).dataset_id == place.split.dataset_id
    with pytest.raises(GatewayUnavailable) as refused:
        await place.client.pause_run(run.run_id)
    assert (refused.value.status, refused.value.retry_after is not None) == (503, True)
    uploaded = await place.client.upload(place.csv)
    await asyncio.to_thread(gateway.kill)
    suggesting = partial(_answered, place.client.suggest_split, uploaded.dataset_id)
    suggested = await eventually(suggesting, timeout_seconds=60, message="the upload is shown")
    assert suggested is not None
    assert [one.dataset_id for one in (await place.client.datasets()).items] == [
        uploaded.dataset_id,
        place.split.dataset_id,
    ]
    with pytest.raises(GatewayUnavailable):
        await place.client.split(suggested)
    await asyncio.to_thread(broker.start)
    splitting = partial(_answered, place.client.split, suggested)
    split = await eventually(splitting, timeout_seconds=90, message="the upload is split once its features are ranked")
    assert split is not None
    assert (split.dataset_id, split.simulation.rows) == (uploaded.dataset_id, ROWS // 5)
    more = shown.statistics.total_predictions + 200
    await eventually(lambda: _counted(place.client, run.run_id, more), timeout_seconds=90, message="the run goes on")


async def _answered(ask: Callable[[A], Awaitable[T]], about: A) -> T | None:
    """The answer; none while a part is away."""
    try:
        return await ask(about)
    except GatewayUnavailable:
        return None


async def _counted(client: AsyncClient, run_id: str, rows: int) -> bool:
    try:
        return (await client.run(run_id)).statistics.total_predictions >= rows
    except GatewayUnavailable:
        return False


async def _written(place: World) -> int:
    async with AIOKafkaConsumer(**place.kafka) as consumer:
        ends = await consumer.end_offsets(
            [TopicPartition(PREDICTIONS.name, partition) for partition in range(DATA_PARTITIONS)]
        )
        return sum(ends.values())


async def _more_written(place: World, rows: int) -> bool:
    return await _written(place) >= rows
