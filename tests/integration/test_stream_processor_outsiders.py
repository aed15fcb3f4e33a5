"""Others write to our topics, hold transactions open, have clocks of their own, and retention removes rows: no number
is wrong, and no run and no worker hangs."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import InvalidTransactionTimeout

from runtime.kafka.reading import partition_for, read_to_end
from schemas.ids import position_key, stats_key
from schemas.messages import LaneStats, Purge, encode
from schemas.tasks import Command, RunPosition
from schemas.topics import INGRESS, PACKED, ROWS, RUN_COMMANDS, RUN_POSITIONS, STATS_CHANGELOG
from storage.objects.files import Storage
from tests.integration.stream_processor_kit import Committed, Run, Worker
from tests.support.brokers import DATA_PARTITIONS, Broker
from tests.support.waiting import eventually
from tests.unit.stream_processor.toys import MODEL_A, redrive, row, store_model

FORGED = 2**60
AHEAD_SECONDS = 7200


@pytest.fixture(scope="module")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    storage = Storage(f"file://{tmp_path_factory.mktemp('storage')}").initialise()
    store_model(storage, MODEL_A)
    return storage.url


@pytest.fixture
async def worker(fresh_kafka: Broker, storage_url: str, tmp_path: Path) -> AsyncIterator[Worker]:
    process = Worker(fresh_kafka, storage_url, tmp_path)
    yield process
    assert not process.ended
    process.close()


def run_of(rows: int) -> Run:
    return Run(f"sim-task-{uuid.uuid4()}", rows)


def home_of(run: Run) -> int:
    return partition_for(run.run_id.encode(), DATA_PARTITIONS)


async def at_row(log: Committed, run: Run, total: int) -> None:
    """Wait until so many rows are counted."""

    async def counted() -> bool:
        await log.read()
        return bool(lanes := log.lanes(run.run_id)) and lanes[0].total == total

    await eventually(counted, timeout_seconds=60, message=f"{total} rows of {run.run_id}")


async def position(producer: AIOKafkaProducer, run: Run, acknowledged: int, *, ended: bool = False) -> None:
    """What its producer says of the run."""
    value = RunPosition(
        kind="position",
        run_id=run.run_id,
        attempt=1,
        epoch=1,
        owner="test",
        acknowledged=[acknowledged],
        rows_per_second=None,
        paused=False,
        written_at=datetime.now(UTC),
        ended=ended,
    )
    await producer.send_and_wait(RUN_POSITIONS.name, encode(value), key=run.run_id.encode())


async def remove_rows(kafka: Broker, producer: AIOKafkaProducer, partition: int) -> int:
    """Remove everything on the partition; return the offset that it begins at then."""
    end = int((await producer.send_and_wait(ROWS.name, b"{", key=b"somebody", partition=partition)).offset) + 1
    admin = AIOKafkaAdminClient(**kafka.kwargs)
    await admin.start()
    await admin.delete_records({TopicPartition(ROWS.name, partition): RecordsToDelete(end)})
    await admin.close()
    return end


async def test_records_about_a_live_run_from_others_change_no_number(
    worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    run = run_of(60)
    home = home_of(run)
    away = (home + 1) % DATA_PARTITIONS
    whose: dict[str, Any] = {"run_id": run.run_id, "attempt": 1, "epoch": 1, "lane": 0, "lanes": 1}
    end, skip = whose | {"end_index": 0, "ending": "STOPPED"}, whose | {"from_index": 0, "to_index": 50}
    purge = encode(Purge(dead_letter_id="9-9", run_id=run.run_id, row_index=3))
    forged_row = row(**whose | {"epoch": FORGED}, row_index=0, features={})
    hostile: list[tuple[int, bytes | None, list[tuple[str, bytes | None]], str]] = [
        (away, purge, [("type", b"purge")], "misplaced"),
        (away, row(), [*redrive(run.run_id, 3)], "misplaced"),
        (away, json.dumps(end).encode(), [("type", b"run-end")], "misplaced"),
        (away, json.dumps(end | {"epoch": 0}).encode(), [("type", b"run-end")], "misplaced"),
        (away, row(**whose, row_index=0), [], "misplaced"),
        (home, forged_row, [], "not_owner"),
        (home, json.dumps(end | {"epoch": FORGED}).encode(), [("type", b"run-end")], "not_owner"),
        (home, json.dumps(skip | {"epoch": FORGED}).encode(), [("type", b"run-skip")], "not_owner"),
        (home, json.dumps(skip | {"lanes": 0}).encode(), [("type", b"run-skip")], "invalid_field"),
        (home, json.dumps(skip | {"lanes": 2**62}).encode(), [("type", b"run-skip")], "invalid_field"),
        (home, row(), [("content-type", None)], "wrong_topic"),
        (home, row(model_version="../" * 100), [], "wrong_topic"),
        (home, row(run_id=run.run_id), [], "run_owned"),
        (home, b'{"zz":' + b"[" * 5000, [], "undecodable"),
        (home, b"\xdd\xff\xff\xff\xff", [("content-type", PACKED)], "undecodable"),
    ]
    on_ingress: list[tuple[int, bytes | None, list[tuple[str, bytes | None]], str]] = [
        (home, purge, [("type", b"purge")], "invalid_field"),
        (home, row(), [*redrive(run.run_id, 3)], "invalid_field"),
        (home, json.dumps(end).encode(), [("type", b"run-end")], "invalid_field"),
        (home, json.dumps(skip).encode(), [("type", b"run-skip")], "invalid_field"),
        (home, row(**whose, row_index=0), [], "invalid_field"),
        (home, row(run_id=run.run_id), [], "run_owned"),
        (home, row(model_version="../" * 100), [], "unknown_model"),
    ]
    await worker.start()
    await run.claim(producer, 1)
    told = [(ROWS.name, *one) for one in hostile] + [(INGRESS.name, *one) for one in on_ingress]
    for start in range(0, 60, 20):  # before the first row, too
        for topic, partition, value, headers, reason in told:
            sent = await producer.send_and_wait(topic, value, partition=partition, headers=headers)
            letter = await log.answer(sent)
            assert getattr(letter, "reason", None) == reason, letter
            assert letter.run_id == "ext-no-key"
        await run.send(producer, range(start, start + 20))
    await run.end(producer)
    await log.check([run])
    assert not log.marks


async def test_a_run_whose_rows_were_removed_while_no_worker_was_there_ends_as_failed(
    fresh_kafka: Broker, worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    going_on, over, untouched, later = run_of(100), run_of(30), run_of(10), run_of(10)
    await going_on.send(producer, range(40))
    await worker.start()
    await at_row(log, going_on, 40)
    assert await worker.stop() == 0
    await going_on.send(producer, range(40, 70))
    await over.send(producer)
    await over.end(producer)
    await position(producer, over, 30, ended=True)
    ends = [
        await remove_rows(fresh_kafka, producer, partition) for partition in sorted({home_of(going_on), home_of(over)})
    ]
    assert ends
    await going_on.send(producer, range(70, 80))
    await position(producer, going_on, 80)
    await untouched.claim(producer, 1)  # a run whose rows are still to come
    await later.send(producer)
    await position(producer, later, 10)
    await worker.start()
    lane = (await log.finished(going_on))[0]
    assert (lane.finished, lane.total, lane.last_row_index) == ("FAILED", 40, 39)
    assert lane.message.startswith("Stopped at row 40: rows 40 to 79 are missing; offsets ")
    gone = (await log.finished(over))[0]
    assert (gone.finished, gone.total) == ("FAILED", 0)
    assert gone.message.startswith("Stopped at row 0: rows 0 to 29 are missing")
    orders = [
        msgspec.json.decode(record.value, type=Command)
        async for record in read_to_end(fresh_kafka.kwargs, RUN_COMMANDS.name)
    ]
    (order,) = [order for order in orders if order.task_id in (going_on.run_id, over.run_id)]
    assert (order.command, order.task_id, order.arguments) == (
        "fail",
        going_on.run_id,
        {"attempt": 1, "message": lane.message},
    )
    await untouched.send(producer)
    await untouched.end(producer)
    await later.end(producer)
    await log.check([untouched, later])


async def test_a_partition_that_ends_in_removed_records_has_no_lag(
    fresh_kafka: Broker, worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    run = run_of(20)
    await run.send(producer)
    await run.end(producer)
    await position(producer, run, 20, ended=True)
    await remove_rows(fresh_kafka, producer, home_of(run))
    await worker.start()
    lane = (await log.finished(run))[0]
    assert (lane.finished, lane.total) == ("FAILED", 0)
    await eventually(lambda: worker.metric("lag") == 0, timeout_seconds=30, message="no lag")


async def test_an_open_transaction_of_another_system_is_said_and_waited_for(
    fresh_kafka: Broker, worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    run = run_of(40)
    await run.send(producer, range(20))
    await worker.start()
    await at_row(log, run, 20)
    other = AIOKafkaProducer(**fresh_kafka.kwargs, transactional_id="somebody", transaction_timeout_ms=60_000)
    await other.start()
    await other.begin_transaction()
    await other.send_and_wait(ROWS.name, row(), key=b"k", partition=home_of(run))
    await run.send(producer, range(20, 40))

    async def said() -> bool:
        status, text = await asyncio.to_thread(worker.get, "/ready")
        return status == 503 and "open transaction of another system, producer id" in text

    await eventually(said, timeout_seconds=30, message="an open transaction in /ready")
    assert worker.metric("lag") >= 21
    assert worker.metric("blocked_seconds") >= 3
    (logged,) = worker.logged("rows wait behind an open transaction")
    assert (logged["partition"], len(logged["producer_ids"])) == (home_of(run), 1)
    assert (await asyncio.to_thread(worker.get, "/live"))[0] == 200
    await other.abort_transaction()
    await other.stop()
    await run.end(producer)
    await log.check([run])
    await eventually(worker.is_ready, timeout_seconds=30, message="a ready worker")


async def test_no_transaction_can_be_opened_for_longer_than_a_minute(fresh_kafka: Broker) -> None:
    other = AIOKafkaProducer(**fresh_kafka.kwargs, transactional_id="patient", transaction_timeout_ms=120_000)
    with pytest.raises(InvalidTransactionTimeout):
        await other.start()
    await other.stop()


async def test_no_clock_stops_the_scoring(
    fresh_kafka: Broker, storage_url: str, tmp_path: Path, producer: AIOKafkaProducer, log: Committed
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import time\nreal, real_ns = time.time, time.time_ns\ntime.time = lambda: real() + {AHEAD_SECONDS}\n"
        f"time.time_ns = lambda: real_ns() + {AHEAD_SECONDS} * 10**9\n"
    )
    run = run_of(30)
    await run.send(producer, range(10))
    strange = []
    for milliseconds in (0, 1, int(time.time() * 1000) + 10**10, 2**62):
        strange.append(await producer.send_and_wait(INGRESS.name, row(), key=b"clock", timestamp_ms=milliseconds))
        await run.send(producer, range(10, 20))
    ahead = Worker(fresh_kafka, storage_url, tmp_path, PYTHONPATH=str(tmp_path))
    await ahead.start()
    for sent in strange:
        assert (await log.answer(sent)).run_id == "ext-clock"
    assert await ahead.stop() == 0
    ahead = await Worker(fresh_kafka, storage_url, tmp_path, PYTHONPATH=str(tmp_path)).start()
    await run.send(producer, range(20, 30))
    await run.end(producer)
    await log.check([run])
    assert await ahead.stop() == 0


async def test_what_others_write_to_the_changelog_is_set_aside(
    fresh_kafka: Broker, worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    run = run_of(40)
    home = home_of(run)
    await run.send(producer, range(20))
    await worker.start()
    await at_row(log, run, 20)
    assert await worker.stop() == 0
    right = log.lanes(run.run_id)[0]
    key = stats_key(run.run_id, 1, 0)
    forged = msgspec.structs.replace(right, partition=(home + 1) % DATA_PARTITIONS, total=7)
    hostile: list[tuple[int, bytes | None, bytes | None]] = [
        (home, key, b"\xff"),
        (home, key, b"[" * 5000),
        (home, key, None),
        (home, key, encode(forged)),
        (forged.partition, key, encode(right)),
        (home, position_key(home), b"soon"),
        (home, position_key((home + 1) % DATA_PARTITIONS), b"999999"),
        (home, b"\xff", b"1"),
    ]
    for partition, name, value in hostile:
        await producer.send_and_wait(STATS_CHANGELOG.name, value, key=name, partition=partition)
    await worker.start()
    assert worker.metric("changelog_set_aside_total") == len(hostile)
    await run.send(producer, range(20, 40))
    await run.end(producer)
    lane = await ended_lane(fresh_kafka, key, home)
    assert (lane.total, lane.finished, lane.last_row_index) == (40, "COMPLETED", 39)


async def ended_lane(kafka: Broker, key: bytes, partition: int) -> LaneStats:
    """Wait for the end of a lane, as the processor itself wrote it."""

    async def found() -> LaneStats | None:
        newest = None
        async for record in read_to_end(kafka.kwargs, STATS_CHANGELOG.name, [partition]):
            if record.key == key and record.headers:
                newest = msgspec.json.decode(record.value, type=LaneStats)
        return newest if newest and newest.finished else None

    lane = await eventually(found, timeout_seconds=60, message="the end of the lane")
    assert lane is not None
    return lane
