"""A worker and bundles that are not what they should be: their rows are dead letters with the reason, everything else
goes on."""

import json
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from models.bundle import MODEL, BundleFiles, bundle_path, write_bundle
from models.trial import Trial
from schemas.messages import DeadLetter
from schemas.topics import INGRESS, MODELS
from storage.objects.files import Storage
from tests.integration.stream_processor_kit import Committed, Worker
from tests.integration.test_bundle_trial import mutated
from tests.support.brokers import Broker
from tests.support.waiting import eventually
from tests.unit.stream_processor.toys import FEATURES, MODEL_A, MODEL_B, manifest, row, store_model

HOSTILE, EDITED, LATE = "model-0000000000bb", "model-0000000000ed", "model-0000000000ee"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    found = Storage(f"file://{tmp_path_factory.mktemp('bundles')}/storage").initialise()
    for version in (MODEL_A, MODEL_B, EDITED, LATE):
        store_model(found, version)
    return found


@pytest.fixture(scope="module")
async def worker(
    fresh_kafka: Broker, storage: Storage, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worker]:
    async with AIOKafkaProducer(**fresh_kafka.kwargs) as client:
        await client.send_and_wait(
            MODELS.name, storage.read_bytes(bundle_path(EDITED, "manifest.json")), key=EDITED.encode()
        )
    process = await Worker(fresh_kafka, storage.url, tmp_path_factory.mktemp("worker")).start()
    yield process
    assert await process.stop() == 0
    process.close()


def crashing() -> bytes:
    """A model file that ends the process which loads it."""
    trial = Trial()
    try:
        for seed in range(200):
            content = mutated(seed)
            if "crashed" in (
                trial.problem(BundleFiles(manifest(MODEL_A).model_copy(update={"seed": seed}), content, None)) or ""
            ):
                return content
    finally:
        trial.close()
    raise AssertionError("none of these crashes the library any more: find others")


def edit(storage: Storage, version: str, **changes: object) -> None:
    path = bundle_path(version, "manifest.json")
    storage.write_bytes(path, json.dumps(json.loads(storage.read_bytes(path)) | changes).encode())


async def answer(producer: AIOKafkaProducer, log: Committed, version: str) -> str:
    """Send a row for a model version; return what became of it: its prediction, or why it is a dead letter."""
    sent = await producer.send_and_wait(INGRESS.name, row(model_version=version), key=b"line-1")
    found = await log.answer(sent)
    return f"{found.reason}: {found.message}" if isinstance(found, DeadLetter) else found.prediction


async def test_a_model_that_crashes_the_library_crashes_a_child_and_its_rows_are_dead_letters(
    storage: Storage, worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    write_bundle(storage, manifest(HOSTILE), {MODEL: crashing()})
    for _ in range(2):
        assert (await answer(producer, log, HOSTILE)).startswith("unknown_model: ")
        assert await answer(producer, log, MODEL_A) in ("PASS", "FAIL")
    assert await worker.is_ready()


@pytest.mark.parametrize("change", [{"threshold": 0.01}, {"features": [*reversed(FEATURES)]}])
async def test_a_manifest_that_was_edited_is_never_scored_by(
    storage: Storage, worker: Worker, producer: AIOKafkaProducer, log: Committed, change: dict[str, object]
) -> None:
    edit(storage, EDITED, **change)
    assert "not the one that was registered" in await answer(producer, log, EDITED)
    assert await answer(producer, log, MODEL_A) in ("PASS", "FAIL")


async def test_what_was_loaded_before_it_was_registered_as_something_else_is_loaded_no_longer(
    storage: Storage, worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    registered = storage.read_bytes(bundle_path(LATE, "manifest.json"))
    edit(storage, LATE, threshold=0.01)
    assert await answer(producer, log, LATE) in ("PASS", "FAIL")
    await producer.send_and_wait(MODELS.name, registered, key=LATE.encode())

    async def refused() -> bool:
        return "not the one that was registered" in await answer(producer, log, LATE)

    await eventually(refused, timeout_seconds=30)
