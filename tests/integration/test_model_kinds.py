"""A kind of model that somebody else brings: scored, explained and counted by the stream, and refused where it is not
installed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from models.bundle import MODEL, load_bundle, score, write_bundle
from schemas.messages import DeadLetter
from schemas.topics import INGRESS
from storage.objects.files import Storage
from tests.integration.stream_processor_kit import Committed, Run, Worker, features
from tests.support.brokers import Broker
from tests.support.linear_kind import Linear, installed
from tests.unit.stream_processor.toys import FEATURES, MODEL_A, manifest, row, store_model

LINEAR, NOWHERE = "model-00000000011e", "model-000000000bad"
WEIGHTS = [1.5, -0.25, 0.5]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    found = Storage(f"file://{tmp_path_factory.mktemp('kinds')}/storage").initialise()
    store_model(found, MODEL_A)
    for version, kind in ((LINEAR, "linear"), (NOWHERE, "of-nobody")):
        described = manifest(version).model_copy(update={"kind": kind})
        write_bundle(found, described, {MODEL: json.dumps(WEIGHTS).encode()})
    return found


@pytest.fixture(scope="module")
async def worker(
    fresh_kafka: Broker, storage: Storage, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worker]:
    path = installed(tmp_path_factory.mktemp("site"))
    folder = tmp_path_factory.mktemp("worker")
    process = await Worker(fresh_kafka, storage.url, folder, PYTHONPATH=str(path)).start()
    yield process
    assert await process.stop() == 0
    process.close()


async def test_rows_of_a_kind_in_one_file_are_scored_explained_and_counted(
    worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    run = Run("sim-task-00000000-0000-4000-8000-0000000000aa", rows=60, model_version=LINEAR)
    await run.send(producer)
    await run.end(producer)
    lane = (await log.finished(run))[0]
    answers = sorted(log.answers(run.run_id), key=lambda answer: answer.row_index)
    inputs = np.array([tuple(features(index).values()) for index in range(60)], np.float32)
    line = Linear().load(manifest(LINEAR), json.dumps(WEIGHTS).encode(), threads=1)
    wanted = line.score(inputs).tolist()
    assert [answer.probability_fail for answer in answers] == wanted
    assert {answer.prediction for answer in answers} == {"PASS", "FAIL"}
    assert (lane.total, lane.fail_count) == (60, sum(p >= 0.4 for p in wanted))
    explained = [answer for answer in answers if answer.top_features]
    assert explained
    for answer in explained:
        parts = line.contributions(inputs[answer.row_index : answer.row_index + 1], approximate=False)[0]
        assert answer.top_features == pytest.approx(
            {name: part for name, part in zip(FEATURES, parts.tolist(), strict=True) if name in answer.top_features}
        )


async def test_a_kind_that_is_not_installed_is_said_and_others_go_on(
    worker: Worker, producer: AIOKafkaProducer, log: Committed
) -> None:
    sent = await producer.send_and_wait(INGRESS.name, row(model_version=NOWHERE), key=b"line-1")
    letter = await log.answer(sent)
    assert isinstance(letter, DeadLetter)
    assert "there is no kind of models 'of-nobody' here" in letter.message
    sent = await producer.send_and_wait(INGRESS.name, row(model_version=MODEL_A), key=b"line-1")
    assert not isinstance(await log.answer(sent), DeadLetter)


def test_a_bundle_of_the_kind_scores_like_any_other_where_it_is_installed(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed(tmp_path)))
    bundle = load_bundle(storage, LINEAR)
    assert score(bundle, np.zeros((2, 3), np.float32)).tolist() == [0.5, 0.5]
    assert score(bundle, np.empty((0, 3), np.float32)).tolist() == []
