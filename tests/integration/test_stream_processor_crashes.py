"""Workers that are killed, join, leave and freeze, and a broker that is killed, while runs go on. The numbers stay
exact."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from runtime.errors import EXIT_BUG
from storage.objects.files import Storage
from tests.integration.stream_processor_kit import SESSION_TIMEOUT_SECONDS, Committed, Run, Worker
from tests.support.brokers import Broker
from tests.support.waiting import eventually
from tests.unit.stream_processor.toys import MODEL_A, MODEL_B, store_model

NewWorker = Callable[..., Worker]


@pytest.fixture(scope="module")
def storage_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    storage = Storage(f"file://{tmp_path_factory.mktemp('storage')}").initialise()
    store_model(storage, MODEL_A)
    store_model(storage, MODEL_B)
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


def new_runs(rows: int) -> list[Run]:
    return [
        Run(f"sim-task-{uuid.uuid4()}", rows, lanes=8, bad={3, rows // 2}),
        Run(f"sim-task-{uuid.uuid4()}", rows, lanes=2, model_version=MODEL_B),
        Run(f"sim-task-{uuid.uuid4()}", rows // 4, bad={0}),
    ]


async def replay(runs: list[Run], producer: AIOKafkaProducer, part: int = 0, parts: int = 1) -> None:
    """Send one part of each run, the runs at once, in small pieces so that there are many batches; the last part ends
    them."""

    async def one(run: Run) -> None:
        begin, end = run.rows * part // parts, run.rows * (part + 1) // parts
        for start in range(begin, end, 50):
            await run.send(producer, range(start, min(start + 50, end)))
        if part == parts - 1:
            await run.end(producer)

    await asyncio.gather(*[one(run) for run in runs])


async def scored(worker: Worker, rows: int) -> None:
    await eventually(lambda: asyncio.to_thread(worker.metric, "rows_scored_total"), timeout_seconds=60)
    await eventually(
        lambda: worker.metric("rows_scored_total") >= rows, timeout_seconds=60, message=f"{rows} rows scored"
    )


async def test_workers_killed_joining_and_leaving_in_the_middle_of_runs(
    log: Committed, producer: AIOKafkaProducer, new_worker: NewWorker
) -> None:
    runs = new_runs(2000)
    small = {"STREAM_PROCESSOR_BATCH_ROWS": "10"}
    first, second, third = new_worker(**small), new_worker(**small), new_worker(**small)
    sending = asyncio.create_task(replay(runs, producer, 0, 4))
    await first.start()
    await scored(first, 100)
    await first.kill()
    await asyncio.gather(first.start(), second.start())
    await sending
    sending = asyncio.create_task(replay(runs, producer, 1, 4))
    await scored(second, 100)
    await first.kill()
    await sending
    sending = asyncio.create_task(replay(runs, producer, 2, 4))
    await third.start()
    await sending
    sending = asyncio.create_task(replay(runs, producer, 3, 4))
    await scored(third, 100)
    assert await second.stop() == 0
    await sending
    await log.check(runs)
    assert await third.stop() == 0


async def test_a_worker_frozen_longer_than_its_session_changes_nothing_when_it_wakes_up(
    log: Committed, producer: AIOKafkaProducer, new_worker: NewWorker
) -> None:
    runs = new_runs(1500)
    sending = asyncio.create_task(replay(runs, producer))
    frozen = await new_worker(
        STREAM_PROCESSOR_BATCH_ROWS="10", STREAM_PROCESSOR_TRANSACTION_TIMEOUT_SECONDS="60"
    ).start()
    await scored(frozen, 200)
    frozen.send_signal(signal.SIGSTOP)
    other = await new_worker().start(ready=False)
    await eventually(other.is_ready, timeout_seconds=SESSION_TIMEOUT_SECONDS + 30)
    await scored(other, 1)
    frozen.send_signal(signal.SIGCONT)
    taken_again = await eventually(
        lambda: frozen.ended or len(frozen.logged("partitions taken")) > 1, timeout_seconds=60
    )
    if frozen.ended:  # a batch was in hand: the broker refused it
        assert await frozen.exit_code() == EXIT_BUG
        assert frozen.logged("stopping without acknowledging")
    else:
        assert taken_again
    await sending
    await log.check(runs)
    assert await other.stop() == 0


async def supervise(worker: Worker) -> None:
    """Start the worker again whenever it ends, as the supervisor does."""
    while True:
        await worker.exit_code(timeout_seconds=1000)
        await worker.start(ready=False)


async def test_a_broker_that_is_killed_and_comes_back(
    fresh_kafka: Broker, log: Committed, producer: AIOKafkaProducer, new_worker: NewWorker
) -> None:
    runs = new_runs(1000)
    worker = await new_worker(STREAM_PROCESSOR_BATCH_ROWS="20").start()
    supervisor = asyncio.create_task(supervise(worker))
    sending = asyncio.create_task(replay(runs, producer))
    await scored(worker, 200)
    fresh_kafka.kill()
    await asyncio.to_thread(fresh_kafka.start)
    await sending
    await log.check(runs)
    supervisor.cancel()
    assert await worker.stop() == 0
