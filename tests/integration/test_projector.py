"""The projector on a real Kafka and a real Redis: rebuilt after a flush, shared, frozen, and never showing half a
view."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from gateway import unassigned as idle
from gateway.projector import Projector
from runtime.kafka.reading import partition_for
from schemas import topics
from schemas.messages import encode
from schemas.tasks import RunSpec
from storage.view import redis_keys as keys
from storage.view.projection import PROJECTED
from storage.view.redis_store import RedisStore, RedisUnavailable, ViewRebuilding
from storage.view.views import Views
from tests.support.brokers import DATA_PARTITIONS, Broker, redis_server
from tests.support.topic_writer import Writer, writer
from tests.support.view_records import dataset, lane_stats, log_entry, model, prediction, task
from tests.support.waiting import eventually

SESSION_TIMEOUT_MS = 3000


def dump(url: str, *, containing: str = "") -> dict[str, Any]:
    """Everything in Redis that does not depend on when it was written."""
    found: dict[str, Any] = {}
    with redis.Redis.from_url(url) as client:
        for key in sorted(client.keys()):
            assert isinstance(key, bytes)
            name = key.decode()
            if name in (keys.POSITIONS, keys.READY, keys.BEAT) or containing not in name:
                continue
            found[name] = (
                client.hgetall(key) if client.type(key) == b"hash" else client.zrange(key, 0, -1, withscores=True)
            )
    return found


@asynccontextmanager
async def projecting(kafka: Broker, redis_url: str, group: str, **settings: Any) -> AsyncIterator[Views]:
    """A projector at work, and its reader."""
    store = RedisStore(redis_url)
    settings = {"rebuild_records": 100_000, "session_timeout_ms": SESSION_TIMEOUT_MS} | settings
    work = asyncio.create_task(Projector(kafka.kwargs, store, group=group, **settings).run())
    try:
        yield Views(store)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await store.close()


async def is_ready(views: Views) -> bool:
    try:
        await views.ready()
    except (ViewRebuilding, RedisUnavailable):
        return False
    return True


async def total(views: Views, run_id: str) -> int:
    """Predictions counted, 0 where nothing can be read."""
    try:
        run = await views.run(run_id)
    except (ViewRebuilding, RedisUnavailable):
        return 0
    return run.totals.total if run else 0


def new_names() -> tuple[str, str]:
    suffix = secrets.token_hex(4)
    return f"group-{suffix}", f"run-{suffix}"


async def write_run(topic: Writer, run_id: str, rows: int, *, first: int = 0) -> None:
    """A run of one lane in batches of 50, every fourth of which was aborted first."""
    for start in range(first, first + rows, 50):
        batch = [prediction(run_id, row) for row in range(start, min(start + 50, first + rows))]
        if start % 200 == 0:
            await topic.answer(run_id, batch, abort=True)
        await topic.answer(run_id, batch)


async def write_objects(topic: Writer, run_id: str) -> None:
    await topic.write(
        topics.TASKS,
        run_id,
        encode(task(run_id, spec=RunSpec(dataset_id="d", split_id="s", model_version="m", total_rows=9))),
    )
    await topic.write(
        topics.DATASETS, f"ds-{run_id}", dataset(f"ds-{run_id}", workspace=run_id).model_dump_json().encode()
    )
    await topic.write(
        topics.MODELS, f"model-{run_id}", model(f"model-{run_id}", workspace=run_id).model_dump_json().encode()
    )
    await topic.write(topics.TASK_LOGS, run_id, encode(log_entry(run_id, 1)))


async def test_flushed_redis_is_rebuilt_to_the_same_view(kafka: Broker, fresh_redis_url: str) -> None:
    group, run_id = new_names()
    async with writer(kafka.kwargs) as topic, projecting(kafka, fresh_redis_url, group) as views:
        await write_objects(topic, run_id)
        await write_run(topic, run_id, 1500)
        await eventually(lambda: is_ready(views))
        await eventually(lambda: has_all(views, run_id, 1500))
        before = dump(fresh_redis_url)
        with redis.Redis.from_url(fresh_redis_url) as client:
            client.flushall()
        seen = []

        async def rebuilt() -> bool:
            if not await is_ready(views):
                return False
            seen.append(await total(views, run_id))
            return True

        await eventually(rebuilt)
        assert seen == [1500]  # nothing less was ever shown
        assert dump(fresh_redis_url) == before


async def has_all(views: Views, run_id: str, rows: int) -> bool:
    """Whether both the statistics and the last prediction are in Redis; they come from two topics."""
    found = await views.answered(run_id, 1, rows - 2, 1)
    return found is not None and found.run.totals.total == rows and [row for row, _ in found.rows] == [rows - 1]


async def test_redis_killed_and_started_empty_is_rebuilt(kafka: Broker, tmp_path: Path) -> None:
    group, run_id = new_names()
    part, url = redis_server(tmp_path / "redis")
    part.start()
    try:
        async with writer(kafka.kwargs) as topic, projecting(kafka, url, group) as views:
            await write_run(topic, run_id, 100)
            await eventually(lambda: total_is(views, run_id, 100))
            part.kill()
            with pytest.raises(RedisUnavailable):
                await views.run(run_id)
            await write_run(topic, run_id, 100, first=100)
            part.start()
            await eventually(lambda: is_ready(views))
            assert await total(views, run_id) == 200
    finally:
        part.stop()


async def total_is(views: Views, run_id: str, wanted: int) -> bool:
    return await total(views, run_id) == wanted


async def test_unreadable_records_are_passed_over(kafka: Broker, fresh_redis_url: str) -> None:
    group, run_id = new_names()
    async with writer(kafka.kwargs) as topic, projecting(kafka, fresh_redis_url, group) as views:
        for bad in (
            topics.TASKS,
            topics.PREDICTIONS,
            topics.MODELS,
            topics.DATASETS,
            topics.TASK_LOGS,
            topics.STATS_CHANGELOG,
        ):
            await topic.write(bad, run_id, b"\xff not ours")
        await topic.write(topics.TASKS, run_id, encode(task(run_id)))
        await eventually(lambda: known(views, run_id))


async def known(views: Views, run_id: str) -> bool:
    try:
        return await views.task(run_id) is not None
    except ViewRebuilding:
        return False


async def test_two_projectors_share_the_work_and_make_the_view_of_one(kafka: Broker, tmp_path: Path) -> None:
    group, run_id = new_names()
    alone, shared = redis_server(tmp_path / "alone"), redis_server(tmp_path / "shared")
    for part, _ in (alone, shared):
        part.start()
    try:
        async with (
            writer(kafka.kwargs) as topic,
            projecting(kafka, shared[1], group) as views,
            projecting(kafka, alone[1], group + "a") as one,
        ):
            await write_run(topic, run_id, 300)
            await eventually(lambda: total_is(views, run_id, 300))
            async with projecting(kafka, shared[1], group):  # joins while rows come in
                await write_run(topic, run_id, 300, first=300)
                await eventually(lambda: total_is(views, run_id, 600))
            await write_run(topic, run_id, 300, first=600)  # and has left
            await eventually(lambda: has_all(views, run_id, 900))
            await eventually(lambda: is_ready(one))
            await eventually(lambda: has_all(one, run_id, 900))
            assert dump(shared[1], containing=run_id) == dump(alone[1], containing=run_id)
    finally:
        for part, _ in (alone, shared):
            part.stop()


async def test_frozen_gateway_that_wakes_up_does_no_harm(kafka: Broker, fresh_redis_url: str, tmp_path: Path) -> None:
    group, run_id = new_names()
    environment = os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "REDIS_URL": fresh_redis_url,
        "STORAGE_URL": f"file://{tmp_path}",
        "GATEWAY_PORT": "0",
        "GATEWAY_PROJECTOR_GROUP": group,
        "GATEWAY_PROJECTOR_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
        "GATEWAY_REBUILD_RECORDS": "100000",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    store = RedisStore(fresh_redis_url)
    reader = Views(store)
    try:
        async with writer(kafka.kwargs) as topic:
            await write_run(topic, run_id, 300)
            await eventually(lambda: total_is(reader, run_id, 300), timeout_seconds=60)
            process.send_signal(signal.SIGSTOP)
            await write_run(topic, run_id, 300, first=300)
            async with projecting(kafka, fresh_redis_url, group):
                await eventually(lambda: total_is(reader, run_id, 600))  # taken over once its session is out
                await write_run(topic, run_id, 300, first=600)
                await eventually(lambda: has_all(reader, run_id, 900))
                before = dump(fresh_redis_url)
                process.send_signal(signal.SIGCONT)
                await write_run(topic, run_id, 10, first=900)  # while it comes back and the work is shared out again
                await eventually(lambda: has_all(reader, run_id, 910))
            await write_run(topic, run_id, 10, first=910)  # it goes on alone
            await eventually(lambda: has_all(reader, run_id, 920))
            assert set(dump(fresh_redis_url)) == set(before)
            first_rows = await reader.answered(run_id, 1, -1, 1000)
            assert first_rows is not None
            assert [row for row, _ in first_rows.rows] == list(range(920))
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
        await store.close()


async def test_statistics_that_are_foreign_or_older_or_deleted_change_nothing(
    kafka: Broker, fresh_redis_url: str
) -> None:
    group, run_id = new_names()
    async with writer(kafka.kwargs) as topic, projecting(kafka, fresh_redis_url, group) as views:
        rows = [prediction(run_id, row) for row in range(3)]
        await topic.answer(run_id, rows)
        await eventually(lambda: total_is(views, run_id, 3))
        home = partition_for(run_id.encode(), DATA_PARTITIONS)
        name, old, foreign = (
            f"{run_id}:1:0",
            lane_stats(run_id, rows[:1], partition=home),
            lane_stats(run_id, [], partition=home + 1),
        )
        async with AIOKafkaProducer(**kafka.kwargs) as other:
            for partition, value in (
                (home, encode(old)),
                (home, None),
                ((home + 1) % DATA_PARTITIONS, encode(foreign)),
                (home, b"\xff"),
            ):
                await other.send_and_wait(topics.STATS_CHANGELOG.name, value, key=name.encode(), partition=partition)
        await topic.answer(run_id, [prediction(run_id, 3)])
        await eventually(lambda: total_is(views, run_id, 4))


async def test_view_of_other_topics_is_dropped(kafka: Broker, fresh_redis_url: str) -> None:
    group, run_id = new_names()
    with redis.Redis.from_url(fresh_redis_url) as client:
        client.hset(keys.POSITIONS, f"{topics.TASKS.name}:0", 1_000_000)
        client.hset(keys.record("task", run_id), mapping={"offset": 999_999, "value": encode(task(run_id)).decode()})
        client.set(keys.READY, 1)
    async with projecting(kafka, fresh_redis_url, group) as views:
        await eventually(lambda: is_unknown(views, run_id))


async def is_unknown(views: Views, run_id: str) -> bool:
    return await is_ready(views) and await views.task(run_id) is None


async def test_group_that_cannot_be_joined_is_said(kafka: Broker, fresh_redis_url: str) -> None:
    store = RedisStore(fresh_redis_url)
    projector = Projector(kafka.kwargs, store, group=new_names()[0], session_timeout_ms=10)
    work = asyncio.create_task(projector.run())
    try:
        await eventually(lambda: "InvalidSessionTimeout" in (projector.problem or ""))
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await store.close()


class Greedy(RoundRobinPartitionAssignor):  # type: ignore[misc]
    """Gives one member, whose name begins with this, all partitions."""

    @classmethod
    def assign(cls, cluster: Any, members: Any) -> Any:
        found = super().assign(cluster, members)
        greedy = next(member for member in found if member.startswith("greedy"))
        everything = [part for one in found.values() for part in one.assignment]
        topics_ = sorted({topic for topic, _ in everything})
        whole = [
            (topic, sorted(n for name, numbers in everything if name == topic for n in numbers)) for topic in topics_
        ]
        return {member: ConsumerProtocolMemberAssignment(0, whole if member == greedy else [], b"") for member in found}


async def test_a_projector_without_partitions_is_ready_only_while_others_keep_the_view_up(
    kafka: Broker, fresh_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "LOOK_SECONDS", 0.5)
    group, run_id = new_names()
    store = RedisStore(fresh_redis_url)
    projector = Projector(
        kafka.kwargs, store, group=group, session_timeout_ms=SESSION_TIMEOUT_MS, rebuild_records=100_000
    )
    others = AIOKafkaConsumer(
        **kafka.kwargs,
        group_id=group,
        client_id="greedy",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=SESSION_TIMEOUT_MS // 6,
        partition_assignment_strategy=(Greedy,),
    )
    others.subscribe([topic.name for topic in PROJECTED])
    work: asyncio.Task[None] | None = None
    try:
        async with writer(kafka.kwargs) as topic:
            await write_run(topic, run_id, 50)
            await others.start()  # deals the partitions out, and projects nothing
            work = asyncio.create_task(projector.run())
            await eventually(lambda: "nobody projects" in (projector.problem or ""))
            async with projecting(kafka, fresh_redis_url, f"{group}-2") as views:  # somebody does
                await eventually(lambda: is_ready(views))
                await eventually(lambda: projector.problem is None)
            await write_run(topic, run_id, 50, first=50)
            await eventually(lambda: "nobody projects" in (projector.problem or ""))
            await others.stop()
            await eventually(lambda: projector.problem is None)
            await eventually(lambda: total_is(Views(store), run_id, 100))
    finally:
        await others.stop()
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        await store.close()
