"""Where a worker begins to read, what it takes for a gap, and what it does not believe."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from runtime.errors import EXIT_UNAVAILABLE, Fenced
from schemas.messages import DeadLetter
from schemas.topics import APP_ID, INGRESS, STATS_CHANGELOG
from storage.objects.files import Storage
from stream_processor.batch.counting import BatchOutcome
from stream_processor.kafka.transactions import PartitionTransactions
from tests.integration.stream_processor_kit import Committed, Run, Worker
from tests.support.brokers import DATA_PARTITIONS, Broker
from tests.support.waiting import eventually
from tests.unit.stream_processor.toys import MODEL_A, come_back, replaceable, row, store_model

PARTITION = 5
TP = TopicPartition(INGRESS.name, PARTITION)


@pytest.fixture(scope="module")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    storage = Storage(f"file://{tmp_path_factory.mktemp('storage')}").initialise()
    store_model(storage, MODEL_A)
    return storage.url


@pytest.fixture
async def worker(fresh_kafka: Broker, storage_url: str, tmp_path: Path) -> AsyncIterator[Worker]:
    process = Worker(fresh_kafka, storage_url, tmp_path)
    yield process
    process.close()


async def send(producer: AIOKafkaProducer, key: str, rows: int) -> list[int]:
    """Send rows of another system to `PARTITION`; return their offsets."""
    sent = [await producer.send(INGRESS.name, row(), key=key.encode(), partition=PARTITION) for _ in range(rows)]
    return [record.offset for record in await asyncio.gather(*sent)]


async def answered(log: Committed, key: str, offsets: list[int]) -> None:
    """Wait until exactly these rows are answered, each once."""

    async def found() -> bool:
        await log.read()
        return len([record for record, _ in log.predictions if record.key == key.encode()]) >= len(offsets)

    await eventually(found, timeout_seconds=60, message=f"{len(offsets)} answers")
    assert [answer.source.offset for record, answer in log.predictions if record.key == key.encode()] == offsets


async def test_rows_that_retention_removed_are_passed_over_and_named(
    fresh_kafka: Broker, worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    offsets = await send(producer, "retention", 20)
    admin = AIOKafkaAdminClient(**fresh_kafka.kwargs)
    await admin.start()
    await admin.delete_records({TP: RecordsToDelete(offsets[12])})
    await admin.close()
    await worker.start()
    await answered(log, "retention", offsets[12:])
    (logged,) = worker.logged("offsets without records")
    assert (logged["level"], logged["removed"]) == ("error", offsets[12])
    assert await worker.stop() == 0


async def test_a_writer_with_transactions_leaves_gaps_that_are_none_of_ours(
    fresh_kafka: Broker, worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    await worker.start()
    expected: list[int] = []
    async with AIOKafkaProducer(**fresh_kafka.kwargs, transactional_id="another-system") as other:
        for i in range(8):
            await other.begin_transaction()
            offsets = await send(other, "markers", 3)
            await (other.abort_transaction() if i % 3 == 2 else other.commit_transaction())
            expected += [] if i % 3 == 2 else offsets
            if i < 2:
                await answered(log, "markers", expected)  # so that a batch begins behind a marker
    await answered(log, "markers", expected)
    assert worker.metric("gaps_total") > 0
    assert worker.metric("rewinds_total") == 0
    async with AIOKafkaConsumer(**fresh_kafka.kwargs, group_id=APP_ID, enable_auto_commit=False) as group:
        group.assign([TP])

        async def the_groups_lag_is_zero() -> bool:  # the markers behind the last record included
            return bool(await group.committed(TP) == (await group.end_offsets([TP]))[TP])

        await eventually(the_groups_lag_is_zero, timeout_seconds=30)
    assert await worker.stop() == 0


async def test_reading_starts_at_the_position_in_the_table_whatever_the_group_has_committed(
    fresh_kafka: Broker, worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    offsets = await send(producer, "position", 10)
    nameless = await producer.send_and_wait(INGRESS.name, b"no row", partition=PARTITION)
    await worker.start()
    await answered(log, "position", offsets)
    async with AIOKafkaConsumer(**fresh_kafka.kwargs, group_id=APP_ID, enable_auto_commit=False) as group:
        group.assign([TP])

        async def lag_can_be_read_from_the_group() -> bool:
            return bool(await group.committed(TP) == nameless.offset + 1)

        await eventually(lag_can_be_read_from_the_group)
        for behind in (True, False):
            assert await worker.stop() == 0
            offsets += await send(producer, "position", 10)
            await group.commit({TP: 0 if behind else offsets[-1] + 1})
            await worker.start()
            await answered(log, "position", offsets)
    (stats,) = log.lanes("ext-position").values()
    assert stats.total == 30
    assert isinstance(await log.answer(nameless), DeadLetter)  # and there is but one
    assert await worker.stop() == 0


async def test_what_an_aborted_transaction_left_in_the_changelog_is_not_believed(
    fresh_kafka: Broker, worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    async with AIOKafkaProducer(**fresh_kafka.kwargs, transactional_id="impostor") as impostor:
        await impostor.begin_transaction()
        await impostor.send_and_wait(
            STATS_CHANGELOG.name, b"999999", key=b"__ingress__%d" % PARTITION, partition=PARTITION
        )
        await impostor.abort_transaction()
    offsets = await send(producer, "aborted", 5)
    await worker.start()
    await answered(log, "aborted", offsets)
    assert await worker.stop() == 0


async def test_a_record_read_again_after_its_state_was_kept_is_not_counted_twice(
    worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    """The second guard: an older position beside newer statistics, as an interrupted recovery may leave it."""
    offsets = await send(producer, "again", 5)
    await worker.start()
    await answered(log, "again", offsets)
    assert await worker.stop() == 0
    await producer.send_and_wait(
        STATS_CHANGELOG.name, b"%d" % (offsets[0] - 1), key=b"__ingress__%d" % PARTITION, partition=PARTITION
    )
    more = await send(producer, "again", 5)
    await worker.start()
    await answered(log, "again", offsets + more)
    assert 'fenced_rows_total{why="read_again"} 5.0' in worker.get("/metrics")[1]
    assert await worker.stop() == 0


def marked(value: bytes) -> BatchOutcome:
    return BatchOutcome(states=[(b"__test__", value)])


async def test_a_former_owner_cannot_commit_and_what_it_left_open_is_aborted(
    fresh_kafka: Broker, log: Committed
) -> None:
    first = await PartitionTransactions.take(fresh_kafka.kwargs, 0, timeout_seconds=30)
    await first.commit(marked(b"first"))
    second = await PartitionTransactions.take(fresh_kafka.kwargs, 0, timeout_seconds=30)
    with pytest.raises(Fenced):
        await first.commit(marked(b"first again"))
    await second._producer.begin_transaction()
    await second._producer.send_and_wait(STATS_CHANGELOG.name, b"left open", key=b"__test__", partition=0)
    third = await PartitionTransactions.take(fresh_kafka.kwargs, 0, timeout_seconds=30)
    await third.commit(marked(b"third"))
    await log.read()
    assert [record.value for record in log.changes if record.key == b"__test__"] == [b"first", b"third"]
    for owner in (first, second, third):
        await owner.stop()


async def test_the_changelog_ends_in_a_plain_record_when_a_worker_is_ready(fresh_kafka: Broker, worker: Worker) -> None:
    await worker.start()
    consumer = AIOKafkaConsumer(**fresh_kafka.kwargs, isolation_level="read_committed")

    async def ends_in_a_plain_record(partition: int) -> bool:
        tp = TopicPartition(STATS_CHANGELOG.name, partition)
        consumer.assign([tp])
        last = (await consumer.end_offsets([tp]))[tp] - 1
        consumer.seek(tp, last)
        found = (await consumer.getmany(tp, timeout_ms=1000)).get(tp, [])
        return [(record.offset, record.key) for record in found] == [(last, b"__end__")]

    async with consumer:
        for partition in range(DATA_PARTITIONS):
            await eventually(partial(ends_in_a_plain_record, partition))
    assert await worker.stop() == 0


async def test_a_worker_without_a_broker_stops_after_the_bound(storage_url: str, tmp_path: Path) -> None:
    nowhere = Broker.__new__(Broker)
    nowhere.bootstrap = "127.0.0.1:1"
    lost = Worker(nowhere, storage_url, tmp_path, STREAM_PROCESSOR_UNAVAILABLE_AFTER_SECONDS="1")
    await lost.start(ready=False)
    assert await lost.exit_code() == EXIT_UNAVAILABLE


async def test_a_storage_that_is_away_for_a_while_only_delays_the_rows(
    fresh_kafka: Broker, producer: AIOKafkaProducer, log: Committed, tmp_path: Path
) -> None:
    store_model(Storage(f"file://{tmp_path}/real").initialise(), MODEL_A)
    place = replaceable(tmp_path, tmp_path / "real")
    worker = await Worker(fresh_kafka, f"file://{place}", tmp_path).start()
    run = Run("sim-task-00000000-0000-4000-8000-000000000001", 10)
    await run.send(producer)
    await run.end(producer)
    await eventually(lambda: worker.logged("the storage does not answer"))
    come_back(place)
    await log.check([run])
    assert await worker.stop() == 0
