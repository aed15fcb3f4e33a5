"""A producer that replays what stands on the topic: each row once and in order, whatever happened to the original or to
the producer."""

import signal
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
import pytest

from runtime.kafka.reading import partition_for
from schemas.ids import row_key
from schemas.messages import TERMINAL, Redrive, encode
from schemas.tasks import ReplaySource, TaskState, TopicRange
from schemas.topics import ROWS
from storage.objects.files import Storage
from storage.objects.replays import are_kept, folder
from tests.support.brokers import DATA_PARTITIONS, Broker
from tests.support.replays import MODEL, ProducerProcess, Replays, counted, frame_of, replays
from tests.support.storage_away import bring_back, take_away
from tests.support.waiting import eventually

ROWS_ = 6000
IDENTITY = ("run_id", "attempt", "epoch", "lane", "lanes", "row_index")


@pytest.fixture(scope="module")
async def world(fresh_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replays]:
    async with replays(fresh_kafka, tmp_path_factory.mktemp("replays"), frame_of(ROWS_)) as world:
        yield world


@pytest.fixture(scope="module")
async def producer(world: Replays) -> ProducerProcess:
    return await world.producer()


async def source_of(world: Replays, run_id: str, lanes: int = 1, **more: Any) -> ReplaySource:
    """The whole run, as the gateway would ask for it."""
    parts: dict[int, list[int]] = {}
    for lane in range(lanes):
        parts.setdefault(partition_for(row_key(run_id, lane, lanes), DATA_PARTITIONS), []).append(lane)
    ends = {record.partition: record.offset + 1 for record in await world.records(run_id)}
    ranges = [
        TopicRange(partition=p, from_offset=0, to_offset=ends[p], lanes=found) for p, found in sorted(parts.items())
    ]
    return ReplaySource(**{"run_id": run_id, "attempt": 1, "lanes": lanes, "ranges": ranges, "check": "rows", **more})


async def replayed(world: Replays, source: ReplaySource, **spec: Any) -> tuple[TaskState, list[dict[str, Any]]]:
    """Replay and return the ended task with the rows it sent, in row order."""
    run_id = await world.start(None, rows_per_second=None, replay=source, **spec)
    return await world.ended(run_id), await rows_of(world, run_id)


async def rows_of(world: Replays, run_id: str) -> list[dict[str, Any]]:
    records = await world.records(run_id)
    lanes = counted(records)
    assert all(found.ending == "COMPLETED" for found in lanes.values())
    taken = {row_index for found in lanes.values() for row_index in found.rows}
    rows = {row["row_index"]: row for record in records if "row_index" in (row := msgspec.json.decode(record.value))}
    assert sorted(taken) == list(range(len(taken)))
    return [rows[row_index] for row_index in sorted(taken)]


def content(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in IDENTITY}


async def test_a_replay_sends_every_row_of_a_run_of_lanes_once_in_order_and_other_lanes(
    world: Replays, producer: ProducerProcess
) -> None:
    original = await world.start(ROWS_, rows_per_second=None, lanes=3)
    await world.ended(original)
    task, rows = await replayed(world, await source_of(world, original, 3), lanes=2)
    assert (task.status, task.ended_lanes, task.spec["total_rows"], task.spec["unreplayable"]) == (
        "COMPLETED",
        2,
        ROWS_,
        0,
    )
    assert [content(row) for row in rows] == [content(row) for row in await rows_of(world, original)]
    task, rows = await replayed(
        world, await source_of(world, original, 3, from_row=5990, keep_models=False), model_version="model-b"
    )
    assert [(row["sample_id"], row["model_version"]) for row in rows] == [
        (f"SAMPLE_{1000 + i}", "model-b") for i in range(5990, ROWS_)
    ]


async def test_rows_sent_twice_stale_and_repaired_are_each_replayed_once(
    world: Replays, producer: ProducerProcess
) -> None:
    original = await world.start(20, rows_per_second=None)
    await world.ended(original)
    first = msgspec.json.decode((await world.records(original))[0].value)
    await world.write(ROWS.name, original, msgspec.json.encode(first | {"epoch": first["epoch"] - 1, "label": "PASS"}))
    await world.write(ROWS.name, original, b"no row of anybody")
    header = encode(Redrive(dead_letter_id="0-0", run_id=original, row_index=7))
    await world.write(ROWS.name, original, b'{"features": {"F 0": 7.5}, "row_index": 3}', redrive=header)
    task, rows = await replayed(world, await source_of(world, original))
    assert (len(rows), task.spec["unreplayable"]) == (20, 0)
    assert content(rows[0]) == content(first)
    assert content(rows[7]) == {"features": {"F 0": 7.5}, "sample_id": "SAMPLE_7", "model_version": MODEL}


async def test_rows_of_another_system_are_replayed_and_what_is_no_row_is_counted(
    world: Replays, producer: ProducerProcess
) -> None:
    key = "line-7"
    begin = await world.write(ROWS.name, key, b'{"features":{"F 0":0.5}}')
    for i in range(1, 5):
        await world.write(ROWS.name, key, b'{"features":{"F 0":%d.5}}' % i)
    await world.write(ROWS.name, key, b"{broken")
    end = await world.write(
        ROWS.name, key, b'{"features":{"F 0":9.5},"sample_id":"S","label":"FAIL","model_version":"model-own"}'
    )
    part = TopicRange(
        partition=partition_for(key.encode(), DATA_PARTITIONS), from_offset=begin, to_offset=end + 1, lanes=[0]
    )
    source = ReplaySource(run_id=f"ext-{key}", attempt=1, lanes=1, ranges=[part], external=True)
    task, rows = await replayed(world, source, dataset_id=None, split_id=None)
    assert (task.status, len(rows), task.spec["unreplayable"]) == ("COMPLETED", 6, 1)
    assert [row["features"]["F 0"] for row in rows] == [0.5, 1.5, 2.5, 3.5, 4.5, 9.5]
    assert [row["sample_id"] for row in rows] == [*(f"SAMPLE_{begin + i}" for i in range(5)), "S"]
    assert [row["model_version"] for row in rows] == [*[MODEL] * 5, "model-own"]


async def test_a_replay_is_steered_like_any_run_and_tried_again_when_the_topic_may_be_gone(
    world: Replays, producer: ProducerProcess
) -> None:
    original = await world.start(500, rows_per_second=None)
    await world.ended(original)
    run_id = await world.start(None, rows_per_second=200, replay=await source_of(world, original), lanes=2)
    await eventually(lambda: world.sent(run_id, 10))
    await world.order(run_id, "pause")
    await world.status(run_id, "PAUSED")
    await world.order(run_id, "seek", row_index=490)
    await world.order(run_id, "step", rows=2)
    await world.order(run_id, "resume")
    assert (await world.ended(run_id)).status == "COMPLETED"
    await world.order(run_id, "retry", row_index=498)
    await eventually(lambda: _ended_attempt(world, run_id, 2))
    lanes = counted(await world.records(run_id), 2)
    assert [found.rows for found in lanes.values()] == [[498], [499]]


async def test_rows_that_retention_took_fail_the_replay_with_the_first_offset_that_is_left(
    world: Replays, producer: ProducerProcess
) -> None:
    original = await world.start(1000, rows_per_second=None, lanes=1)
    await world.ended(original)
    whole = await source_of(world, original)
    records = await world.records(original)
    middle = records[400]
    await world.remove_before(middle.partition, middle.offset)
    task = await world.ended(await world.start(None, rows_per_second=None, replay=whole))
    assert task.status == "FAILED"
    assert f"first available offset of partition {middle.partition} is {middle.offset}" in (task.error or "")
    task, rows = await replayed(world, msgspec.structs.replace(whole, from_row=400))
    assert len(rows) == 600
    part = msgspec.structs.replace(whole.ranges[0], from_offset=middle.offset - 1)
    task = await world.ended(
        await world.start(None, replay=msgspec.structs.replace(whole, ranges=[part], check="offsets"))
    )
    assert (task.status, task.ended_lanes) == ("FAILED", 0)


@pytest.mark.timeout(120)
async def test_a_producer_killed_while_it_reads_or_sends_a_replay_loses_and_repeats_nothing(
    world: Replays, producer: ProducerProcess
) -> None:
    original = await world.start(ROWS_, rows_per_second=None)
    await world.ended(original)
    source = await source_of(world, original)
    producer.end()
    first = await world.producer()
    run_id = await world.start(None, rows_per_second=1000, replay=source)
    await eventually(world.spooling, message="it reads")
    first.signal(signal.SIGKILL)
    second = await world.producer()
    await eventually(lambda: world.sent(run_id, 1500), timeout_seconds=60)
    second.signal(signal.SIGKILL)
    await world.producer()
    task = await world.ended(run_id)
    assert task.spec["total_rows"] == ROWS_
    assert [content(row) for row in await rows_of(world, run_id)] == [
        content(row) for row in await rows_of(world, original)
    ]


@pytest.mark.timeout(120)
async def test_rows_of_old_replays_are_removed_and_read_again_from_the_topic_while_it_has_them(world: Replays) -> None:
    for process in world.producers:
        process.end()
    await world.producer(PRODUCER_REPLAYS_KEPT="1")
    storage = Storage(world.storage_url).initialise()
    original = await world.start(300, rows_per_second=None)
    await world.ended(original)
    source = await source_of(world, original)
    older = await world.start(None, partition=1, rows_per_second=None, replay=source)
    await world.ended(older)
    newer = await world.start(None, partition=1, rows_per_second=None, replay=source)
    await world.ended(newer)
    await eventually(lambda: not storage.exists(folder(older)))
    assert are_kept(storage, newer)
    await world.order(older, "retry", row_index=290, rows_per_second=0.5)
    await eventually(lambda: are_kept(storage, older))
    await world.ended(await world.start(None, partition=1, rows_per_second=None, replay=source))
    await eventually(lambda: not storage.exists(folder(newer)))
    assert are_kept(storage, older)  # it goes on
    await world.order(older, "speed", rows_per_second=None)
    await eventually(lambda: _ended_attempt(world, older, 2))
    assert counted(await world.records(older), 2)[0].rows == list(range(290, 300))
    last = (await world.records(original))[-1]
    await world.remove_before(last.partition, last.offset)
    for run_id in (newer, older):  # one is read again, in vain; the other has its rows
        await world.order(run_id, "retry")
        await eventually(lambda: _attempt_is_over(world, run_id, 2 + (run_id == older)))  # noqa: B023
    assert (await world.task(older)).status == "COMPLETED"
    failed = await world.task(newer)
    assert (failed.status, "first available offset" in (failed.error or "")) == ("FAILED", True)


async def _attempt_is_over(world: Replays, run_id: str, attempt: int) -> bool:
    task = await world.task(run_id)
    return task.attempt == attempt and task.status in TERMINAL


async def _ended_attempt(world: Replays, run_id: str, attempt: int) -> bool:
    task = await world.task(run_id)
    return task.attempt == attempt and task.status == "COMPLETED"


async def test_a_run_and_a_replay_wait_for_a_storage_that_is_away_and_complete(
    world: Replays, producer: ProducerProcess
) -> None:
    original = await world.start(ROWS_, rows_per_second=None)
    await world.ended(original)
    source = await source_of(world, original)
    take_away(world.storage_url)
    run_ids = [
        await world.start(ROWS_, rows_per_second=None),
        await world.start(None, rows_per_second=None, replay=source),
    ]

    async def waits(run_id: str) -> bool:
        return ((await world.task(run_id)).progress or {}).get("waiting_for") == "storage"

    for run_id in run_ids:
        await eventually(partial(waits, run_id), timeout_seconds=30, message="it says that it waits for the storage")
    alive = world.producers[-1]  # tests before this one kill producers
    assert b"storage" in await alive.get("/ready")
    other = await world.start(ROWS_, rows_per_second=None)
    await world.order(other, "stop")
    assert (await world.ended(other)).status == "STOPPED"  # orders are taken meanwhile
    bring_back(world.storage_url)
    for run_id in run_ids:
        task = await world.ended(run_id)
        assert (task.status, task.attempt, task.error) == ("COMPLETED", 1, None)
        assert [content(row) for row in await rows_of(world, run_id)] == [
            content(row) for row in await rows_of(world, original)
        ]
    assert alive.exit_code is None
