"""Both topics of rows side by side: what others do on theirs holds up nothing of ours, and the owner of a partition
owns it in both."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from runtime.kafka.reading import partition_for
from schemas.topics import INGRESS, ROWS
from storage.objects.files import Storage
from tests.integration.stream_processor_kit import Committed, Run, Worker
from tests.support.brokers import DATA_PARTITIONS, Broker
from tests.support.waiting import eventually
from tests.unit.stream_processor.toys import MODEL_A, row, store_model

NewWorker = Callable[..., Worker]


@pytest.fixture(scope="module")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    storage = Storage(f"file://{tmp_path_factory.mktemp('storage')}").initialise()
    store_model(storage, MODEL_A)
    return storage.url


@pytest.fixture
async def new_worker(fresh_kafka: Broker, storage_url: str, tmp_path: Path) -> AsyncIterator[NewWorker]:
    workers: list[Worker] = []

    def make(**environment: str) -> Worker:
        workers.append(Worker(fresh_kafka, storage_url, tmp_path, **environment))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


async def test_a_transaction_that_another_system_leaves_open_holds_up_only_its_own_topic(
    fresh_kafka: Broker, log: Committed, producer: AIOKafkaProducer, new_worker: NewWorker
) -> None:
    run = Run(f"sim-task-{uuid.uuid4()}", 120, bad={7})
    home = partition_for(run.run_id.encode(), DATA_PARTITIONS)
    await new_worker().start()
    async with AIOKafkaProducer(**fresh_kafka.kwargs, transactional_id="another-system") as other:
        await other.begin_transaction()
        waiting = [await other.send_and_wait(INGRESS.name, row(), key=b"open", partition=home) for _ in range(3)]
        await run.send(producer)
        await run.end(producer)
        await log.check([run])
        assert not log.answers("ext-open")
        await other.commit_transaction()
    for sent in waiting:
        await log.answer(sent)
    assert len(log.answers("ext-open")) == 3


async def test_foreign_rows_and_our_runs_stay_exact_while_workers_join_and_are_killed(
    log: Committed, producer: AIOKafkaProducer, new_worker: NewWorker
) -> None:
    run = Run(f"sim-task-{uuid.uuid4()}", 400, lanes=8, bad={3, 200})
    sent = 0

    async def foreign(count: int) -> None:
        nonlocal sent
        places = [number % DATA_PARTITIONS for number in range(count)]
        sending = [
            await producer.send(INGRESS.name, row(run_id="batch-7"), partition=partition) for partition in places
        ]
        await asyncio.gather(*sending)
        sent += count

    first = await new_worker().start()
    await asyncio.gather(foreign(200), run.send(producer, range(200)))
    second = await new_worker().start()
    await asyncio.gather(foreign(200), run.send(producer, range(200, 400)))
    await first.kill()
    await foreign(80)
    await run.end(producer)
    await log.check([run])

    async def all_answered() -> bool:
        await log.read()
        return len(log.answers("batch-7")) >= sent

    await eventually(all_answered, timeout_seconds=60)
    assert Counter(answer.row_index for answer in log.answers("batch-7")).most_common(1)[0][1] == 1
    assert {partition: stats.total for partition, stats in log.lanes("batch-7").items()} == dict.fromkeys(
        range(8), sent // 8
    )
    await eventually(lambda: second.metric("lag") == 0)
    assert second.metric("owned_partitions") == DATA_PARTITIONS
    assert ROWS.name in second.get("/metrics")[1]
