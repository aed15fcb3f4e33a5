"""Hostile records on every control topic beside a live run: all processes live on, figures are right, each record is in
quarantine."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from runtime.kafka.clients import open_reader
from runtime.kafka.reading import partition_for
from schemas import topics
from schemas.http.runs import Run, RunCreate
from schemas.messages import encode
from schemas.tasks import Command, RunPosition, RunSpec, TaskState
from tests.chaos.evidence import gather
from tests.chaos.judge import Case, judge_attempt
from tests.chaos.load import Ordered
from tests.chaos.play import recounted
from tests.chaos.world import World, world
from tests.support.brokers import CONTROL_PARTITIONS
from tests.support.hostile import BODIES
from tests.support.waiting import eventually

CONTROL = (
    topics.TASKS,
    topics.RUN_COMMANDS,
    topics.TRAINING_COMMANDS,
    topics.RUN_POSITIONS,
    topics.MODELS,
    topics.DATASETS,
    topics.TASK_LOGS,
)
PROJECTED = (topics.PREDICTIONS, topics.DEAD_LETTERS, topics.STATS_CHANGELOG)
PROCESSES = ("gateway", "stream_processor", "producer", "trainer", "kafka", "redis")
ROWS = 4000
UNDER_WAY = 100


@pytest.fixture
async def sender(tmp_path: Path) -> AsyncIterator[tuple[World, AIOKafkaProducer]]:
    async with (
        world(tmp_path, rows=ROWS, seed=5, workers=1, producers=1) as place,
        AIOKafkaProducer(**place.kafka, max_request_size=4 << 20) as producer,
    ):
        yield place, producer


@pytest.mark.timeout(600)
async def test_no_record_on_a_control_topic_stops_or_changes_more_than_itself(
    sender: tuple[World, AIOKafkaProducer],
) -> None:
    place, producer = sender
    model = place.models[0]
    run = await place.client.start_run(
        RunCreate(split_id=place.split.split_id, model_version=model, rows_per_second=20.0, warmup_seconds=0)
    )
    await eventually(lambda: counted(place, run.run_id, UNDER_WAY))
    wanted: set[str] = set()
    for topic in CONTROL:
        for body in BODIES.values():
            wanted.add(await send(producer, topic, run.run_id.encode(), body))
    for topic in PROJECTED:
        for body in BODIES.values():
            if body:  # empty bodies are the processor's own markers there
                wanted.add(await send(producer, topic, b"r:1:0", body))
    state = await newest(place, run.run_id)
    for topic, key, body in forged(state, run):
        wanted.add(await send(producer, topic, key, body))
    home = partition_for(run.run_id.encode(), CONTROL_PARTITIONS)
    wanted.add(
        await send(
            producer, topics.TASKS, run.run_id.encode(), encode(state), partition=(home + 1) % CONTROL_PARTITIONS
        )
    )
    before = (await place.client.run(run.run_id)).statistics.total_predictions
    await eventually(lambda: counted(place, run.run_id, before + 40), message="the run goes on")
    await eventually(lambda: quarantined(place, wanted), timeout_seconds=60, message="every record in quarantine")
    assert await place.client.run(run.run_id) is not None
    await place.patient.set_speed(run.run_id, None)
    ended = await place.patient.wait_for_run(run.run_id, timeout_seconds=90)
    assert (ended.status, ended.attempt) == ("COMPLETED", 1), ended.error
    evidence = await gather(place.kafka, without=wanted)
    case = Case(Ordered(run.run_id, model, 1), 1, evidence.answers[run.run_id, 1], [], evidence.stats(run.run_id, 1))
    assert [*judge_attempt(case, recounted(place, model), "COMPLETED")] == []
    assert {name: place.stack.process(name).restarts for name in PROCESSES} == dict.fromkeys(PROCESSES, 0)
    await asyncio.to_thread(place.stack.process("producer").restart)  # the takeover reads all of it again
    await asyncio.to_thread(place.stack.process("trainer").restart)
    again = await place.client.start_run(
        RunCreate(split_id=place.split.split_id, model_version=model, rows_per_second=None, warmup_seconds=0)
    )
    assert (
        await place.patient.wait_for_run(again.run_id, timeout_seconds=90)
    ).statistics == ended.statistics.model_copy(
        update={
            name: getattr((await place.client.run(again.run_id)).statistics, name)
            for name in ("rows_per_second", "first_scored_at", "last_scored_at")
        }
    )
    shown = await place.client.quarantined(next(iter(wanted)))
    assert shown.reason


def forged(state: TaskState, run: Run) -> list[tuple[topics.Topic, bytes, bytes]]:
    """Well-formed records that would end, freeze or fail the run, or start what must not be."""
    now, key = datetime.now(UTC), run.run_id.encode()
    over = {"status": "FAILED", "error": "forged", "finished_at": now}
    position = RunPosition(
        kind="position",
        run_id=run.run_id,
        attempt=1,
        epoch=2**50,
        owner="me",
        acknowledged=[0],
        rows_per_second=None,
        paused=True,
        written_at=now,
    )
    spec = msgspec.to_builtins(RunSpec(dataset_id="ds-0", split_id="x", model_version="m", total_rows=1))
    stranger = TaskState(
        task_id="evil",
        kind="run",
        workspace="default",
        status="PENDING",
        attempt=0,
        epoch=0,
        created_at=now,
        updated_at=now,
        spec={**spec, "split_id": "../../x"},
    )
    naive = encode(state).replace(encode(state.created_at)[1:-1], encode(state.created_at)[1:-2])
    records: list[tuple[topics.Topic, bytes, Any]] = [
        (topics.TASKS, key, msgspec.structs.replace(state, epoch=state.epoch + 1_000_000, **over)),
        (topics.TASKS, key, msgspec.structs.replace(state, attempt=2, **over)),
        (topics.TASKS, key, msgspec.structs.replace(state, attempt=2**31 - 1, epoch=2**53 - 1, **over)),
        (topics.TASKS, key, naive),
        (topics.TASKS, key, msgspec.structs.replace(state, spec={"lanes": 10**9})),
        (topics.TASKS, key, msgspec.structs.replace(state, workspace="default\nii:by-time:task:default:run")),
        (topics.TASKS, key, msgspec.structs.replace(state, created_at=now + timedelta(days=365 * 5000))),
        (
            topics.RUN_COMMANDS,
            key,
            Command(command="fail", task_id=run.run_id, issued_at=now, arguments={"attempt": 1, "message": "forged"}),
        ),
        (topics.RUN_COMMANDS, b"evil", Command(command="start", task_id="evil", issued_at=now, task=stranger)),
        (topics.RUN_COMMANDS, b"another", Command(command="stop", task_id=run.run_id, issued_at=now)),
        (topics.RUN_COMMANDS, b"a\xff", b'{"command":"stop","task_id":"a\xff","issued_at":"2026-01-01T00:00:00Z"}'),
        (topics.RUN_POSITIONS, key, position),
        (topics.RUN_POSITIONS, key, msgspec.structs.replace(position, attempt=2**31 - 1, epoch=0)),
    ]
    return [(topic, name, body if isinstance(body, bytes) else encode(body)) for topic, name, body in records]


async def send(
    producer: AIOKafkaProducer, topic: topics.Topic, key: bytes, body: bytes, *, partition: int | None = None
) -> str:
    """Put a record on a topic; return its place."""
    written = await producer.send_and_wait(topic.name, body, key=key, partition=partition)
    return f"{topic.name}:{written.partition}:{written.offset}"


async def newest(place: World, run_id: str) -> TaskState:
    """The newest state of the run that its producer wrote."""
    partition = TopicPartition(topics.TASKS.name, partition_for(run_id.encode(), CONTROL_PARTITIONS))
    found: list[TaskState] = []
    async with open_reader(place.kafka) as consumer:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            found += [
                msgspec.json.decode(record.value, type=TaskState)
                for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, [])
                if record.key == run_id.encode()
                and record.value
                and record.value.startswith(b'{"task_id":"' + record.key)
            ]
    return found[-1]


async def counted(place: World, run_id: str, rows: int) -> bool:
    return (await place.client.run(run_id)).statistics.total_predictions >= rows


async def quarantined(place: World, wanted: set[str]) -> bool:
    found = await place.client.quarantine(limit=500)
    missing = wanted - {one.place for one in found.items}
    assert not missing, (len(missing), sorted(missing)[:10])
    return True
