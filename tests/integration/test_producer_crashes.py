"""Producers that are killed, frozen, stopped and joined by others, on a real broker: nothing is missing, nothing counts
twice."""

import signal
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from runtime.kafka.reading import partition_for
from runtime.quarantine import read_quarantine
from schemas.messages import encode
from schemas.tasks import Command, TaskState
from schemas.topics import APP_ID, CONTENT_TYPE_HEADER, JSON, PACKED, RUN_COMMANDS, RUN_POSITIONS, TASKS
from schemas.topics import ROWS as ROWS_TOPIC
from tests.support.brokers import CONTROL_PARTITIONS, DATA_PARTITIONS, Broker
from tests.support.replays import Replays, counted, frame_of, replays
from tests.support.waiting import eventually

ROWS = 20_000


@pytest.fixture(scope="module")
async def module_world(fresh_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replays]:
    async with replays(fresh_kafka, tmp_path_factory.mktemp("crashes"), frame_of(ROWS)) as world:
        yield world


@pytest.fixture
async def world(module_world: Replays) -> AsyncIterator[Replays]:
    """Without producers, before and after."""
    yield module_world
    for process in module_world.producers:
        process.end()


async def test_a_producer_killed_at_full_speed_leaves_no_hole_and_nothing_counts_twice(world: Replays) -> None:
    producer = await world.producer()
    run_id = await world.start(ROWS, rows_per_second=None, lanes=3)
    for kills in range(1, 4):
        await eventually(lambda: world.sent(run_id, kills * 5_000))  # noqa: B023
        producer.end()
        producer = await world.producer()
    task = await world.ended(run_id)
    assert (task.status, task.attempt, task.ended_lanes) == ("COMPLETED", 1, 3)
    lanes = counted(await world.records(run_id))
    assert {lane: (found.rows, found.ending) for lane, found in lanes.items()} == {
        lane: (list(range(lane, ROWS, 3)), "COMPLETED") for lane in range(3)
    }
    assert sum(found.again for found in lanes.values()) > 0  # the kills did hit


async def test_packed_rows_are_whole_too_when_a_successor_cuts_them_into_other_records(world: Replays) -> None:
    producer = await world.producer(PRODUCER_ENCODING="packed")
    run_id = await world.start(5_000, rows_per_second=2_500, lanes=2)
    await eventually(lambda: world.sent(run_id, 60))
    producer.end()
    await world.producer()  # goes on in JSON
    await world.ended(run_id)
    records = await world.records(run_id)
    lanes = counted(records)
    assert [(found.rows, found.ending) for found in lanes.values()] == [
        (list(range(lane, 5_000, 2)), "COMPLETED") for lane in range(2)
    ]
    assert {dict(record.headers)[CONTENT_TYPE_HEADER] for record in records} == {PACKED, JSON}
    assert 60 <= sum(dict(record.headers)[CONTENT_TYPE_HEADER] == PACKED for record in records) < 2_000


async def test_full_speed_does_not_outrun_scoring_and_waits_for_as_long_as_nothing_is_scored(world: Replays) -> None:
    await world.producer(PRODUCER_MAX_LAG_ROWS="1000")
    run_id = await world.start(6_000, rows_per_second=None)
    async with AIOKafkaConsumer(**world.kafka, group_id=APP_ID, enable_auto_commit=False) as scoring:
        (partition,) = [
            TopicPartition(ROWS_TOPIC.name, number) for number in [partition_for(run_id.encode(), DATA_PARTITIONS)]
        ]
        scoring.assign([partition])

        async def waits() -> bool:
            task = await world.status(run_id, "IN_PROGRESS", "COMPLETED")
            return (task.progress or {}).get("waiting_for") == "stream_processor"

        await eventually(waits, message="the run waits")
        assert 1000 <= len(await world.records(run_id)) < 2000
        while (await world.status(run_id, "IN_PROGRESS", "COMPLETED")).status != "COMPLETED":
            await scoring.commit({partition: (await scoring.end_offsets([partition]))[partition]})
    assert counted(await world.records(run_id))[0].rows == list(range(6_000))


async def test_a_producer_that_leaves_politely_sends_nothing_twice(world: Replays) -> None:
    leaving = await world.producer()
    run_id = await world.start(ROWS, rows_per_second=100)
    await eventually(lambda: world.sent(run_id, 100))
    leaving.signal(signal.SIGTERM)
    await eventually(lambda: leaving.exit_code is not None)
    assert leaving.exit_code == 0
    assert (await world.task(run_id)).status == "IN_PROGRESS"
    await world.producer()
    await finish(world, run_id)
    found = counted(await world.records(run_id))[0]
    assert (found.rows, found.again, found.stale, found.ending) == (list(range(ROWS)), 0, 0, "COMPLETED")


async def test_a_frozen_producer_that_wakes_up_changes_nothing_and_ends(world: Replays) -> None:
    frozen = await world.producer()
    run_id = await world.start(ROWS, rows_per_second=2000, lanes=2)
    await eventually(lambda: world.sent(run_id, 1000))
    before = await world.task(run_id)
    frozen.signal(signal.SIGSTOP)
    await world.producer()
    newer = await eventually(lambda: _newer_epoch(world, run_id, before.epoch))
    assert newer is not None
    frozen.signal(signal.SIGCONT)
    await eventually(lambda: frozen.exit_code is not None)
    assert frozen.exit_code == 70
    assert "fenced" in frozen.log()
    await finish(world, run_id)
    records = await world.records(run_id)
    assert {before.epoch, newer.epoch} <= {msgspec.json.decode(record.value)["epoch"] for record in records}
    lanes = counted(records)
    assert sorted(row for found in lanes.values() for row in found.rows) == list(range(ROWS))
    assert [found.ending for found in lanes.values()] == ["COMPLETED", "COMPLETED"]


async def test_two_producers_share_the_runs_and_one_takes_over_the_others(world: Replays) -> None:
    first = await world.producer()
    second = await world.producer()
    runs = await _one_run_per_partition(world)
    owners = {position.owner for run_id in runs if (position := await world.position(run_id))}
    assert len(owners) == 2
    first.end()
    for run_id in runs:
        await finish(world, run_id)
        assert counted(await world.records(run_id))[0].rows == list(range(ROWS))
    assert second.exit_code is None


async def test_a_joining_producer_does_not_disturb_what_stays(world: Replays) -> None:
    await world.producer()
    runs = await _one_run_per_partition(world)
    epochs = [(await world.task(run_id)).epoch for run_id in runs]
    await world.producer()
    kept = [epoch == (await world.task(run_id)).epoch for run_id, epoch in zip(runs, epochs, strict=True)]
    assert sorted(kept) == [False, False, True, True]
    for run_id in runs:
        await finish(world, run_id)
        assert counted(await world.records(run_id))[0].rows == list(range(ROWS))


async def test_a_paused_run_stays_paused_in_new_hands(world: Replays) -> None:
    killed = await world.producer()
    run_id = await world.start(ROWS, rows_per_second=100)
    await eventually(lambda: world.sent(run_id, 20))
    await world.order(run_id, "pause")
    warming = await world.start(3, rows_per_second=None, warmup_seconds=2)
    await world.order(warming, "pause")
    before = {one: await world.status(one, "PAUSED") for one in (run_id, warming)}
    sent = len(await world.records(run_id))
    killed.end()
    await world.producer()
    for one, paused in before.items():
        taken_up = await eventually(lambda: _newer_epoch(world, one, paused.epoch))  # noqa: B023
        assert taken_up is not None
        assert taken_up.status == "PAUSED"
    assert (len(await world.records(run_id)), await world.records(warming)) == (sent, [])
    for one in before:
        await world.order(one, "resume")
    resumed = await world.status(warming, "IN_PROGRESS")
    assert (await world.ended(warming)).status == "COMPLETED"
    first, *_ = await world.records(warming)
    assert first.timestamp / 1000 - resumed.updated_at.timestamp() > 1.8  # its warm-up began anew
    await finish(world, run_id)
    assert counted(await world.records(run_id))[0].rows == list(range(ROWS))


async def test_a_stop_that_was_ordered_stays_ordered(world: Replays) -> None:
    """A producer died between taking the order and its end markers."""
    first = await world.producer()
    run_id = await world.start(ROWS, rows_per_second=100)
    await eventually(lambda: world.sent(run_id, 20))
    first.signal(signal.SIGTERM)
    await eventually(lambda: first.exit_code is not None)
    position = await world.position(run_id)
    assert position is not None
    await world.write(RUN_POSITIONS.name, run_id, encode(msgspec.structs.replace(position, stopping=True)))
    await world.producer()
    assert (await world.ended(run_id)).status == "STOPPED"
    found = counted(await world.records(run_id))[0]
    assert (found.rows, found.ending) == (list(range(position.acknowledged[0])), "STOPPED")


async def test_a_failure_that_was_ordered_stays_a_failure_with_its_reason(world: Replays) -> None:
    """A producer died between taking the order and its end markers."""
    first = await world.producer()
    run_id = await world.start(ROWS, rows_per_second=100)
    await eventually(lambda: world.sent(run_id, 20))
    await world.statistics(run_id, limit_reached=True, finished="FAILED", message="Stopped at row 3.")
    await world.order(run_id, "fail", attempt=1, message="whatever the order says")
    ended = await world.ended(run_id)
    first.end()
    position = [found for found in await world.positions(run_id) if found is not None][
        -1
    ]  # as it was written with the order
    assert position.stopping
    began = msgspec.structs.replace(ended, status="IN_PROGRESS", finished_at=None, error=None, ended_lanes=0)
    await world.write(RUN_POSITIONS.name, run_id, encode(position))
    await world.write(TASKS.name, run_id, encode(began))
    await world.producer()
    again = await world.ended(run_id)
    assert (again.status, again.error, again.epoch > ended.epoch) == ("FAILED", "Stopped at row 3.", True)
    assert counted(await world.records(run_id))[0].ending == "FAILED"


@pytest.mark.parametrize(
    "said", [{}, {"finished": "COMPLETED"}, {"attempt": 2, "limit_reached": True, "finished": "FAILED"}]
)
async def test_a_failure_that_the_statistics_do_not_bear_out_is_forged_and_the_run_goes_on(
    world: Replays, said: dict[str, Any]
) -> None:
    await world.producer()
    run_id = await world.start(ROWS, rows_per_second=100)
    await eventually(lambda: world.sent(run_id, 20))
    await world.statistics(run_id, **said)
    await world.order(run_id, "fail", attempt=1, message="forged")
    await world.order(run_id, "seek", row_index="../../x")
    await finish(world, run_id)
    assert counted(await world.records(run_id))[0].ending == "COMPLETED"
    [kept] = [one for one in await read_quarantine(world.kafka) if run_id.encode() in (one.value or b"")]
    assert (kept.topic, kept.reader) == (RUN_COMMANDS.name, "producer")
    assert "statistics" in kept.reason


async def test_a_run_that_was_started_once_is_not_started_again(world: Replays) -> None:
    first = await world.producer()
    run_id = await world.start(ROWS, rows_per_second=None)
    ended = await world.ended(run_id)
    pending = msgspec.structs.replace(
        ended, status="PENDING", attempt=0, epoch=0, ended_lanes=0, finished_at=None, progress=None
    )
    again = encode(Command(command="start", task_id=run_id, issued_at=ended.created_at, task=pending))
    await world.write(RUN_COMMANDS.name, run_id, again)
    first.end()
    await world.producer()
    await world.write(RUN_COMMANDS.name, run_id, again)
    other = await world.start(3, rows_per_second=None)
    await world.ended(other)
    assert (await world.ended(run_id)).epoch == ended.epoch


async def test_a_run_whose_position_is_gone_begins_again_and_counts_once(world: Replays) -> None:
    first = await world.producer()
    run_id = await world.start(ROWS, rows_per_second=100)
    await eventually(lambda: world.sent(run_id, 20))
    first.end()
    await world.write(RUN_POSITIONS.name, run_id, None)
    await world.producer()
    await finish(world, run_id)
    found = counted(await world.records(run_id))[0]
    assert (found.rows, found.ending, found.again >= 20) == (list(range(ROWS)), "COMPLETED", True)


async def test_a_run_goes_on_when_the_broker_is_killed_and_comes_back(world: Replays) -> None:
    producer = await world.producer()
    run_id = await world.start(ROWS, rows_per_second=2000, lanes=2)
    await eventually(lambda: world.sent(run_id, 2000))
    world.broker.kill()
    world.broker.start()
    await world.order(run_id, "speed", rows_per_second=None)
    await world.ended(run_id, timeout_seconds=90)
    lanes = counted(await world.records(run_id))
    assert sorted(row for found in lanes.values() for row in found.rows) == list(range(ROWS))
    assert [found.ending for found in lanes.values()] == ["COMPLETED", "COMPLETED"]
    assert producer.exit_code is None


async def finish(world: Replays, run_id: str) -> None:
    """Let the run go at full speed to its end."""
    await world.order(run_id, "speed", rows_per_second=None)
    assert (await world.ended(run_id, timeout_seconds=120)).status == "COMPLETED"


async def _one_run_per_partition(world: Replays) -> list[str]:
    runs = [await world.start(ROWS, partition=partition, rows_per_second=50) for partition in range(CONTROL_PARTITIONS)]
    for run_id in runs:
        await eventually(lambda: _begun(world, run_id))  # noqa: B023
    return runs


async def _begun(world: Replays, run_id: str) -> bool:
    progress = (await world.task(run_id)).progress
    return progress is not None and progress["sent"] > 10


async def _newer_epoch(world: Replays, run_id: str, epoch: int) -> TaskState | None:
    task = await world.task(run_id)
    return task if task.epoch > epoch else None
