"""A producer process on a real broker: what a run puts on `rows.v1`, and how it follows orders."""

from collections.abc import AsyncIterator
from itertools import pairwise

import msgspec
import polars as pl
import pytest

from rows.admission import said
from runtime.kafka.reading import partition_for, read_to_end
from runtime.quarantine import read_quarantine
from schemas.messages import RunEnd, RunSkip
from schemas.tasks import RunPosition
from schemas.topics import RUN_COMMANDS, RUN_POSITIONS
from storage.objects.files import Storage
from tests.support.brokers import CONTROL_PARTITIONS, DATA_PARTITIONS, Broker
from tests.support.replays import MODEL, ProducerProcess, Replays, counted, frame_of, replays, write_split_and_model
from tests.support.waiting import eventually

ROWS = 3000


@pytest.fixture(scope="module")
async def world(fresh_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replays]:
    async with replays(fresh_kafka, tmp_path_factory.mktemp("runs"), frame_of(ROWS)) as world:
        yield world


@pytest.fixture(scope="module")
async def producer(world: Replays) -> ProducerProcess:
    return await world.producer()


async def test_rows_arrive_complete_and_in_order_with_what_they_need(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(ROWS, rows_per_second=None)
    task = await world.ended(run_id)
    assert (task.status, task.attempt, task.ended_lanes, task.error) == ("COMPLETED", 1, 1, None)
    assert task.progress is not None
    assert (task.progress["sent"], task.progress["total_rows"]) == (ROWS, ROWS)
    position = await world.position(run_id)
    assert position is not None
    assert position.ended
    *rows, end = await world.records(run_id)
    assert [msgspec.json.decode(row.value)["row_index"] for row in rows] == list(range(ROWS))
    assert {row.key for row in rows} == {run_id.encode()}
    assert {row.partition for row in rows} == {partition_for(run_id.encode(), DATA_PARTITIONS)}
    assert {row.headers for row in rows} == {
        (("type", b"row"), ("content-type", b"application/json"), ("schema-version", b"1"))
    }
    assert msgspec.json.decode(rows[8].value) == {
        "features": {"F 0": 8.0, "F 1": 8.125, "F 2": 8.25, "F 3": None, "F 4": 8.5},
        "run_id": run_id,
        "epoch": task.epoch,
        "row_index": 8,
        "sample_id": "SAMPLE_1008",
        "timestamp": "2026-01-01T00:00:08Z",
        "label": "PASS",
        "model_version": MODEL,
    }
    assert dict(end.headers)["type"] == b"run-end"
    assert msgspec.json.decode(end.value)["end_index"] == ROWS


async def test_lanes_share_the_rows_and_each_has_its_end(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(1000, rows_per_second=None, lanes=3)
    assert (await world.ended(run_id)).ended_lanes == 3
    lanes = counted(await world.records(run_id))
    assert {lane: (found.rows, found.ending, found.again) for lane, found in lanes.items()} == {
        lane: (list(range(lane, 1000, 3)), "COMPLETED", 0) for lane in range(3)
    }


async def test_more_lanes_than_rows_still_end(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(2, rows_per_second=None, lanes=5)
    assert (await world.ended(run_id)).ended_lanes == 5
    lanes = counted(await world.records(run_id))
    assert [(found.rows, found.ending) for found in lanes.values()] == [([0], "COMPLETED"), ([1], "COMPLETED")] + 3 * [
        ([], "COMPLETED")
    ]


async def test_rows_keep_their_pace(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(30, rows_per_second=20)
    await world.ended(run_id)
    times = [record.timestamp for record in (await world.records(run_id))[:30]]
    assert (
        times[-1] - times[0] > 29 * 50 - 200
    )  # the first may be late; a loaded machine makes others late, never early
    assert times == sorted(times)


async def test_a_paused_run_stands_still_within_one_row_and_goes_on(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(ROWS, rows_per_second=50, warmup_seconds=0.2)
    await eventually(lambda: world.sent(run_id, 10))
    await world.order(run_id, "pause")
    paused = await world.status(run_id, "PAUSED")
    position = await world.position(run_id)
    assert position is not None
    assert position.paused
    assert paused.progress is not None
    assert paused.progress["phase"] == "streaming"
    assert len(await world.records(run_id)) == position.acknowledged[0] == paused.progress["sent"]
    await world.order(run_id, "speed", rows_per_second="max")  # stays paused
    await world.order(run_id, "pause")  # ignored
    await world.order(run_id, "resume")
    await world.ended(run_id)
    assert counted(await world.records(run_id))[0].rows == list(range(ROWS))
    assert len(await world.records(run_id)) == ROWS + 1  # nothing was sent twice


async def test_the_pace_changes_while_running(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(60, rows_per_second=0.1)
    await eventually(lambda: world.sent(run_id, 1))
    await world.order(run_id, "speed", rows_per_second=100)
    await world.ended(run_id)
    times = [record.timestamp for record in (await world.records(run_id))[1:60]]
    assert times[-1] - times[0] < 20_000  # at the old pace ten minutes
    assert all(later >= earlier for earlier, later in pairwise(times))


async def test_orders_in_quick_succession_neither_lose_nor_repeat_a_row(
    world: Replays, producer: ProducerProcess
) -> None:
    run_id = await world.start(ROWS, rows_per_second=100, lanes=3)
    for _ in range(5):
        await world.order(run_id, "speed", rows_per_second="max")
        await world.order(run_id, "speed", rows_per_second=2000)
        await world.order(run_id, "pause")
        await world.order(run_id, "resume")
    await world.order(run_id, "speed", rows_per_second="max")
    await world.ended(run_id)
    assert len(await world.records(run_id)) == ROWS + 3
    lanes = counted(await world.records(run_id))
    assert [found.rows for found in lanes.values()] == [list(range(lane, ROWS, 3)) for lane in range(3)]


async def test_a_run_may_take_fewer_rows_than_the_split_has(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(300, rows_per_second=None)
    await world.ended(run_id)
    assert counted(await world.records(run_id))[0].rows == list(range(300))


async def test_a_stopped_run_ends_right_behind_its_last_row(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(ROWS, rows_per_second=100, lanes=2)
    await eventually(lambda: world.sent(run_id, 20))
    await world.order(run_id, "stop")
    task = await world.ended(run_id)
    assert (task.status, task.ended_lanes) == ("STOPPED", 2)
    assert task.progress is not None
    lanes = counted(await world.records(run_id))
    assert all(found.ending == "STOPPED" for found in lanes.values())
    assert sorted(lanes[0].rows + lanes[1].rows) == list(range(task.progress["sent"]))
    await world.order(run_id, "stop")  # twice: ignored
    await world.order(run_id, "resume")
    assert await world.task(run_id) == task


async def test_a_run_with_too_many_dead_letters_ends_as_failed(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(ROWS, rows_per_second=50)
    await eventually(lambda: world.sent(run_id, 5))
    await world.order(run_id, "fail", attempt=2, message="of another attempt")
    await world.statistics(run_id, limit_reached=True, finished="FAILED", message="Stopped at row 3.")
    await world.order(run_id, "fail", attempt=1, message="whatever the order says")
    task = await world.ended(run_id)
    assert (task.status, task.error, task.ended_lanes) == ("FAILED", "Stopped at row 3.", 1)
    lane = counted(await world.records(run_id))[0]
    assert (lane.ending, len(lane.rows) < ROWS) == ("FAILED", True)


async def test_a_paused_run_can_be_stopped(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(ROWS, rows_per_second=10)
    await world.order(run_id, "pause")
    await world.order(run_id, "stop")
    task = await world.ended(run_id)
    assert task.status == "STOPPED"
    assert counted(await world.records(run_id))[0].ending == "STOPPED"


async def test_seeking_forward_passes_rows_over(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(1000, rows_per_second=20, lanes=2)
    await eventually(lambda: world.sent(run_id, 4))
    await world.order(run_id, "seek", row_index=901)
    await world.order(run_id, "speed", rows_per_second=None)
    assert (await world.ended(run_id)).attempt == 1
    lanes = counted(await world.records(run_id))
    assert sorted(row for found in lanes.values() for row in found.rows + found.skipped) == list(range(1000))
    assert [row for found in lanes.values() for row in found.rows if row >= 100] == [
        *range(902, 1000, 2),
        *range(901, 1000, 2),
    ]


async def test_seeking_back_and_trying_again_begin_new_attempts(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(500, rows_per_second=100)
    await eventually(lambda: world.sent(run_id, 20))
    await world.order(run_id, "seek", row_index=10)
    await world.order(run_id, "speed", rows_per_second=None)
    assert ((await world.ended(run_id)).attempt) == 2
    await world.order(run_id, "retry")
    await world.order(run_id, "seek", row_index=501)  # ignored
    await eventually(lambda: _attempt(world, run_id, 3))
    await world.order(run_id, "speed", rows_per_second=None)
    task = await world.ended(run_id)
    assert (task.attempt, task.status) == (3, "COMPLETED")
    records = await world.records(run_id)
    first, second, third = (counted(records, attempt)[0] for attempt in (1, 2, 3))
    assert (first.ending, first.rows) == ("STOPPED", list(range(len(first.rows))))
    assert (second.skipped, second.rows, second.ending) == (list(range(10)), list(range(10, 500)), "COMPLETED")
    assert (third.rows, third.ending) == (list(range(500)), "COMPLETED")


async def test_seeking_back_while_paused_stays_paused_and_seeking_on_passes_rows_over(
    world: Replays, producer: ProducerProcess
) -> None:
    run_id = await world.start(500, rows_per_second=200, lanes=2)
    await eventually(lambda: world.sent(run_id, 20))
    await world.order(run_id, "pause")
    await world.status(run_id, "PAUSED")
    await world.order(run_id, "seek", row_index=4)
    await eventually(lambda: _attempt(world, run_id, 2))
    assert (await world.task(run_id)).status == "PAUSED"
    await world.order(run_id, "seek", row_index=450)
    await world.order(run_id, "step", rows=3)
    await eventually(lambda: _counts(world, run_id, 453))
    task = await world.task(run_id)
    assert (task.status, task.attempt, [one.status for one in task.former]) == ("PAUSED", 2, ["STOPPED"])
    lanes = counted(await world.records(run_id), 2)
    assert [found.rows for found in lanes.values()] == [[450, 452], [451]]
    await world.order(run_id, "speed", rows_per_second="max")
    await world.order(run_id, "resume")
    await world.ended(run_id)
    lanes = counted(await world.records(run_id), 2)
    assert [found.rows for found in lanes.values()] == [list(range(450, 500, 2)), list(range(451, 500, 2))]
    assert sorted(row for found in lanes.values() for row in found.skipped) == list(range(450))


async def test_the_first_row_waits_for_the_warm_up_and_a_pause_does_not_shorten_it(
    world: Replays, producer: ProducerProcess
) -> None:
    run_id = await world.start(3, rows_per_second=None, warmup_seconds=2)
    begun = await world.status(run_id, "IN_PROGRESS")
    assert (begun.progress or {})["phase"] == "warmup"
    assert begun.started_at is not None
    await world.order(run_id, "pause")
    paused = await world.status(run_id, "PAUSED")
    await world.order(run_id, "resume")
    resumed = await world.status(run_id, "IN_PROGRESS", "COMPLETED")
    await world.ended(run_id)
    first = (await world.records(run_id))[0]
    waited = (
        first.timestamp / 1000 - begun.started_at.timestamp() - (resumed.updated_at - paused.updated_at).total_seconds()
    )
    assert waited > 1.9
    unwarmed = await world.start(3, rows_per_second=None, warmup_seconds=3600)
    await world.order(unwarmed, "pause")
    await world.order(unwarmed, "step")
    await eventually(lambda: _counts(world, unwarmed, 1))  # who steps does not wait
    await world.order(unwarmed, "resume")
    assert (await world.ended(unwarmed)).status == "COMPLETED"


async def test_a_step_to_the_last_row_leaves_the_end_to_the_resume(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(50, rows_per_second=5)
    await world.order(run_id, "pause")
    await world.order(run_id, "step", rows=1000)
    await eventually(lambda: _counts(world, run_id, 50))
    assert (await world.task(run_id)).status == "PAUSED"
    await world.order(run_id, "resume")
    assert (await world.ended(run_id)).status == "COMPLETED"
    assert counted(await world.records(run_id))[0].rows == list(range(50))


async def test_a_retry_keeps_the_pace_that_was_set_last_unless_one_is_given(
    world: Replays, producer: ProducerProcess
) -> None:
    run_id = await world.start(20, rows_per_second=1)
    await world.order(run_id, "speed", rows_per_second=500)
    await world.ended(run_id)
    await world.order(run_id, "retry", row_index=5)
    await eventually(lambda: _attempt(world, run_id, 2))
    task = await world.ended(run_id)
    assert (task.progress or {})["pace"] == 500
    await world.order(run_id, "retry", rows_per_second=None)
    await eventually(lambda: _attempt(world, run_id, 3))
    task = await world.ended(run_id)
    assert (task.progress or {})["pace"] is None
    assert [(one.attempt, one.status) for one in task.former] == [(1, "COMPLETED"), (2, "COMPLETED")]
    assert all(one.started_at and one.finished_at and one.finished_at >= one.started_at for one in task.former)


async def test_what_cannot_run_fails_again_when_tried_again(world: Replays, producer: ProducerProcess) -> None:
    for run_id in (await world.start(10, model_version="model-ffffffffffff"), await world.start(ROWS + 1)):
        reason = (await world.ended(run_id)).error
        await world.order(run_id, "retry")
        await eventually(lambda run_id=run_id: _attempt(world, run_id, 2))  # type: ignore[misc]
        task = await world.ended(run_id)
        assert (task.status, task.error) == ("FAILED", reason)
        assert task.former[0].error == reason


async def test_a_run_without_its_model_fails_with_the_reason(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(10, model_version="model-ffffffffffff")
    task = await world.ended(run_id)
    assert (task.status, task.ended_lanes) == ("FAILED", 0)
    assert "model-ffffffffffff" in (task.error or "")
    assert await world.records(run_id) == []


async def test_a_run_with_more_rows_than_the_split_has_fails_with_the_reason(
    world: Replays, producer: ProducerProcess
) -> None:
    run_id = await world.start(ROWS + 1, rows_per_second=None)
    assert f"{ROWS} rows" in ((await world.ended(run_id)).error or "")


async def test_an_order_that_no_run_can_have_is_in_quarantine_and_those_behind_it_are_carried_out(
    world: Replays, producer: ProducerProcess
) -> None:
    too_fast = await world.start(10, rows_per_second=1e7)
    partition = partition_for(too_fast.encode(), CONTROL_PARTITIONS)
    await world.ended(await world.start(10, rows_per_second=None, partition=partition))
    [kept] = [one for one in await read_quarantine(world.kafka) if too_fast.encode() in (one.value or b"")]
    assert (kept.topic, kept.reader, "rows_per_second" in kept.reason) == (RUN_COMMANDS.name, "producer", True)
    assert await world.records(too_fast) == []


async def test_a_row_too_large_for_the_topic_fails_the_run_and_not_the_producer(
    world: Replays, producer: ProducerProcess
) -> None:
    frame = frame_of(4).with_columns(pl.Series("__id__", ["1", "x" * 1_500_000, "x" * 5_000_000, "4"]))
    write_split_and_model(Storage(world.storage_url).initialise(), frame, ["F 0"], split_id="split-00000000000b")
    run_id = await world.start(4, rows_per_second=5, split_id="split-00000000000b")
    task = await world.ended(run_id)
    assert (task.status, task.ended_lanes) == ("FAILED", 1)
    assert "row 2" in (task.error or "")
    found = counted(await world.records(run_id))[0]
    assert found.ending == "FAILED"
    assert found.rows in ([0], [0, 1])  # what was to go out together with row 2 may be missing
    assert producer.exit_code is None


async def test_orders_to_runs_that_do_not_exist_are_ignored(world: Replays, producer: ProducerProcess) -> None:
    for order in ("pause", "resume", "speed", "seek", "stop", "retry", "cancel"):
        await world.order("sim-task-unknown", order)
    assert (await world.ended(await world.start(5, rows_per_second=None))).status == "COMPLETED"
    assert producer.exit_code is None


async def test_metrics_and_health_are_served(world: Replays, producer: ProducerProcess) -> None:
    await world.ended(await world.start(5, rows_per_second=None))
    metrics = (await producer.get("/metrics")).decode()
    assert "intelliinspect_producer_rows_confirmed_total" in metrics
    assert (await producer.get("/live")).startswith(b"HTTP/1.1 200")


async def _counts(world: Replays, run_id: str, rows: int) -> bool:
    return ((await world.task(run_id)).progress or {}).get("sent") == rows


async def _attempt(world: Replays, run_id: str, attempt: int) -> bool:
    return (await world.task(run_id)).attempt == attempt


async def test_each_marker_is_announced_before_it_is_sent(world: Replays, producer: ProducerProcess) -> None:
    run_id = await world.start(500, rows_per_second=100, lanes=2)
    await eventually(lambda: world.sent(run_id, 20))
    await world.order(run_id, "seek", row_index=200)
    await world.order(run_id, "seek", row_index=10)  # another attempt, which begins with a skip
    await eventually(lambda: _attempt(world, run_id, 2))
    await world.order(run_id, "stop")
    await world.ended(run_id)
    key = run_id.encode()
    announced = [
        (record.timestamp, msgspec.json.decode(record.value, type=RunPosition))
        async for record in read_to_end(world.kafka, RUN_POSITIONS.name, [partition_for(key, CONTROL_PARTITIONS)])
        if record.key == key
    ]
    kinds = {b"run-end": RunEnd, b"run-skip": RunSkip}
    markers = [record for record in await world.records(run_id) if dict(record.headers)["type"] in kinds]
    assert sorted(dict(record.headers)["type"] for record in markers) == [b"run-end"] * 4 + [b"run-skip"] * 4
    for record in markers:
        marker = msgspec.json.decode(record.value, type=kinds[dict(record.headers)["type"]])
        told = [
            at
            for at, position in announced
            if position.marks and position.attempt == marker.attempt and said(position.marks, marker)
        ]
        assert told[0] <= record.timestamp
