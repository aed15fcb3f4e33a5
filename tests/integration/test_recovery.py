"""How long rows wait after a worker was killed, with a thousand runs in its table; and that a worker which is stuck
does not stay so."""

import asyncio
import os
import time
from pathlib import Path

from aiokafka import AIOKafkaProducer

from runtime.errors import EXIT_UNAVAILABLE
from schemas.topics import INGRESS
from storage.objects.files import Storage
from stream_processor.settings import StreamProcessorSettings
from tests.integration.stream_processor_kit import Committed, Worker
from tests.support.brokers import DATA_PARTITIONS, Broker
from tests.support.waiting import eventually
from tests.unit.stream_processor.toys import MODEL_A, MODEL_B, row, store_model

RUNS = 1000


async def answered(log: Committed, rows: int) -> bool:
    await log.read()
    return len(log.predictions) >= rows


async def test_rows_are_scored_again_after_a_worker_with_a_thousand_runs_was_killed(
    fresh_kafka: Broker, producer: AIOKafkaProducer, log: Committed, tmp_path: Path
) -> None:
    storage = Storage(f"file://{tmp_path}/storage").initialise()
    store_model(storage, MODEL_A)
    session = str(StreamProcessorSettings.model_fields["session_timeout_seconds"].default)
    worker = await Worker(fresh_kafka, storage.url, tmp_path, STREAM_PROCESSOR_SESSION_TIMEOUT_SECONDS=session).start()
    await asyncio.gather(*[await producer.send(INGRESS.name, row(), key=b"run-%d" % number) for number in range(RUNS)])
    await eventually(lambda: answered(log, RUNS), timeout_seconds=60, message="a thousand runs counted")
    await worker.kill()
    killed = time.monotonic()
    await asyncio.gather(
        *[producer.send_and_wait(INGRESS.name, row(), key=b"after", partition=p) for p in range(DATA_PARTITIONS)]
    )
    await worker.start(ready=False)
    await eventually(
        lambda: answered(log, RUNS + DATA_PARTITIONS), timeout_seconds=60, message="every partition is scored again"
    )
    took = time.monotonic() - killed
    print(f"recovered {took:.1f} s after kill -9, session {session} s")
    assert await worker.stop() == 0


async def test_a_worker_that_is_behind_and_does_not_move_ends_itself(
    fresh_kafka: Broker, producer: AIOKafkaProducer, log: Committed, tmp_path: Path
) -> None:
    """Its storage hangs: a read that never ends, neither an error nor an answer."""
    storage = Storage(f"file://{tmp_path}/storage").initialise()
    store_model(storage, MODEL_A)
    store_model(storage, MODEL_B)
    manifest = tmp_path / "storage" / "models" / MODEL_B / "manifest.json"
    kept = manifest.read_bytes()
    manifest.unlink()
    os.mkfifo(manifest)
    impatient = {"STREAM_PROCESSOR_STALL_TIMEOUT_SECONDS": "2", "STREAM_PROCESSOR_UNAVAILABLE_AFTER_SECONDS": "600"}
    worker = await Worker(fresh_kafka, storage.url, tmp_path, **impatient).start()
    await log.read()
    before = len(log.predictions)
    await producer.send_and_wait(INGRESS.name, row(model_version=MODEL_B), key=b"stuck")
    assert await worker.exit_code() == EXIT_UNAVAILABLE
    assert worker.logged("stopping: a part is unavailable")
    manifest.unlink()
    manifest.write_bytes(kept)
    worker.close()
    patient = await Worker(fresh_kafka, storage.url, tmp_path).start()
    await eventually(lambda: answered(log, before + 1), message="the row is answered")
    assert await patient.stop() == 0
    patient.close()
