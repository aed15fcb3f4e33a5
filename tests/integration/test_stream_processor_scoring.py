"""One worker, everything that may lie on `rows.v1`."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.messages import Alias, DeadLetter, Prediction, encode
from schemas.topics import INGRESS, MAX_ROW_BYTES, MODELS, ROWS
from storage.objects.files import Storage
from tests.integration.stream_processor_kit import Committed, Run, Worker
from tests.support.brokers import Broker
from tests.support.waiting import eventually
from tests.unit.stream_processor.toys import MODEL_A, MODEL_B, NOW, redrive, row, store_model

MODEL_C = "model-00000000000c"


def run_id() -> str:
    return f"sim-task-{uuid.uuid4()}"


@pytest.fixture(scope="module")
async def worker(fresh_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    storage = Storage(f"file://{folder}/storage").initialise()
    store_model(storage, MODEL_A)
    store_model(storage, MODEL_B)
    store_model(storage, MODEL_C)
    process = await Worker(fresh_kafka, storage.url, folder).start()
    yield process
    assert await process.stop() == 0
    process.close()


@pytest.fixture(scope="module")
async def producer(fresh_kafka: Broker) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(**fresh_kafka.kwargs, enable_idempotence=True, max_request_size=4 << 20) as client:
        yield client


@pytest.fixture(scope="module")
async def log(fresh_kafka: Broker) -> AsyncIterator[Committed]:
    async with Committed(fresh_kafka) as reader:
        yield reader


async def test_several_runs_lanes_and_models_are_counted_exactly(
    log: Committed, producer: AIOKafkaProducer, worker: Worker
) -> None:
    runs = [
        Run(run_id(), 700, lanes=1, bad={0, 13, 699}),
        Run(run_id(), 1001, lanes=4, bad={5, 6, 500}, model_version=MODEL_B),
        Run(run_id(), 300, lanes=8),
        Run(run_id(), 0),
    ]
    await asyncio.gather(*[run.send(producer) for run in runs])
    await asyncio.gather(*[run.end(producer) for run in runs])
    await log.check(runs)


async def test_a_prediction_stands_in_the_rows_partition_with_its_key_and_headers(
    log: Committed, producer: AIOKafkaProducer, worker: Worker
) -> None:
    trace = [("traceparent", b"00-4bf9"), ("other", b"x"), ("correlation-id", b"\xff")]
    sent = await producer.send_and_wait(INGRESS.name, row(), key=b"line-42", headers=trace)
    await log.answer(sent)
    (record,) = [record for record, _ in log.predictions if record.key == b"line-42"]
    assert record.partition == sent.partition
    ours = [("content-type", b"application/json"), ("schema-version", b"1")]
    assert list(record.headers) == [*ours, trace[0], trace[2]]


async def test_rows_without_a_model_are_scored_by_the_latest_until_there_is_a_champion(
    log: Committed, producer: AIOKafkaProducer, worker: Worker
) -> None:
    key = b"other-system"

    async def send() -> Prediction | DeadLetter:
        sent = await producer.send_and_wait(
            INGRESS.name, json.dumps({"features": {"S1": 1, "S2": 2, "S3": None}}).encode(), key=key
        )
        return await log.answer(sent)

    async def name(alias: str, version: str, workspace: str = "default") -> None:
        value = encode(Alias(alias=alias, workspace=workspace, model_version=version, set_at=NOW))
        await producer.send_and_wait(MODELS.name, value, key=f"{alias}@{workspace}".encode())

    letter = await send()
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "no_champion"
    await name("champion", MODEL_B, "another")
    await name("latest", MODEL_A)
    first = await send()
    await name("champion", MODEL_B)
    await eventually(
        lambda: any(line["model_version"] == MODEL_B for line in worker.logged("rows without a model version"))
    )
    second = await send()
    assert isinstance(first, Prediction)
    assert isinstance(second, Prediction)
    assert (first.model_version, second.model_version) == (MODEL_A, MODEL_B)
    assert (first.run_id, first.row_index, first.lane) == (
        "ext-other-system",
        16 * first.source.offset + first.source.partition,
        first.source.partition,
    )
    assert first.reasons == "exact"
    assert set(first.top_feature_values) == {"S1", "S2", "S3"}
    (stats,) = log.lanes("ext-other-system").values()
    assert (stats.total, stats.dead_letters) == (2, 1)
    await name("latest", MODEL_C)
    await eventually(
        lambda: any(line["model_version"] == MODEL_C for line in worker.logged("model version loaded")),
        message="a model in advance",
    )


WHOLE = {"S1": 1, "S2": 2, "S3": 3}
BAD: list[tuple[str, str | None, bytes, list[tuple[str, bytes]]]] = [
    ("undecodable", None, b"\x00\xff not JSON", []),
    ("undecodable", None, b"", []),
    ("invalid_field", "$.features", b"{}", []),
    ("invalid_field", "$.features.S2", row(features=WHOLE | {"S2": "2"}), []),
    ("invalid_field", "$.label", row(label=1), []),
    ("missing_feature", "$.features.S3", row(features={"S1": 1, "S2": 2}), []),
    ("unknown_feature", "$.features.S4", row(features=WHOLE | {"S4": 4}), []),
    ("unknown_model", "$.model_version", row(model_version="model-0123456789ab"), []),
    ("unknown_model", "$.model_version", row(model_version="../../secrets"), []),
    ("oversized", None, row(sample_id="x" * MAX_ROW_BYTES), []),
    ("unsupported_encoding", None, b"\x93\x01\x02\x03", [("content-type", b"application/vnd.msgpack")]),
    ("run_owned", "$.run_id", row(run_id=run_id()), []),
]


async def test_every_kind_of_bad_record_is_dead_lettered_with_its_reason_and_its_bytes(
    log: Committed, producer: AIOKafkaProducer, worker: Worker
) -> None:
    sent = [
        await producer.send_and_wait(INGRESS.name, value, key=b"bad", headers=headers) for _, _, value, headers in BAD
    ]
    good = await producer.send_and_wait(INGRESS.name, row(), key=b"bad")
    assert isinstance(await log.answer(good), Prediction)
    for (reason, path, value, headers), record in zip(BAD, sent, strict=True):
        letter = await log.answer(record)
        assert isinstance(letter, DeadLetter)
        assert (letter.reason, letter.path, letter.value, letter.key, letter.topic) == (
            reason,
            path,
            value,
            b"bad",
            INGRESS.name,
        )
        assert letter.headers.keys() == dict(headers).keys()
    assert worker.metric("dead_letters_total") >= len(BAD)


async def test_a_record_without_a_value_is_dead_lettered(
    log: Committed, producer: AIOKafkaProducer, worker: Worker
) -> None:
    sent = await producer.send_and_wait(INGRESS.name, None, key=b"nothing")
    letter = await log.answer(sent)
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "undecodable"


async def test_rows_of_crashed_and_frozen_producers_change_nothing(
    log: Committed, producer: AIOKafkaProducer, worker: Worker
) -> None:
    run = Run(run_id(), 60, lanes=2, bad={7, 20})
    await run.send(producer, range(20), epoch=3)
    await run.send(producer, range(10), epoch=3)  # sent again
    await run.send(producer, range(24, 30), epoch=3)  # 20 to 23 were lost on the way
    await run.send(producer, range(16, 50), epoch=8)  # the successor
    await run.send(producer, range(50, 60), epoch=3)  # the frozen one wakes up
    await run.end(producer, epoch=3, ending="FAILED")
    await run.send(producer, range(50, 60), epoch=8)
    await run.end(producer, epoch=8)
    await log.check([run])
    assert worker.metric("fenced_rows_total") >= 10 + 6 + 4 + 10


async def test_a_redriven_row_counts_once(log: Committed, producer: AIOKafkaProducer, worker: Worker) -> None:
    run = Run(run_id(), 10, bad={4})
    await run.send(producer)
    await run.end(producer)
    await log.finished(run)
    key, broken = run.row(4, 1)
    run.bad, run.redriven = set(), [4]
    _, repaired = run.row(4, 1)
    for value in (broken, repaired, repaired, broken):
        sent = await producer.send_and_wait(
            ROWS.name, value, key=key, headers=redrive(run.run_id, 4, dead_letter_id="x")
        )
    last = await producer.send_and_wait(ROWS.name, row(), key=key, partition=sent.partition)
    await log.answer(last)
    await log.check([run])
    assert log.lanes(run.run_id)[0].last_row_index == 9
    assert [mark.mark for mark in log.marks if mark.run_id == run.run_id] == [
        "dead_letter",
        "answered",
        "answered",
        "answered",
    ]


async def test_a_run_of_another_system_is_one_in_whatever_partitions_its_rows_arrive(
    log: Committed, producer: AIOKafkaProducer, worker: Worker
) -> None:
    named = [
        await producer.send_and_wait(INGRESS.name, row(run_id="batch-7"), partition=partition) for partition in range(8)
    ]
    keyed = [
        await producer.send_and_wait(INGRESS.name, row(), key=b"line-7", partition=partition) for partition in range(8)
    ]
    for sent in (*named, *keyed):
        await log.answer(sent)
    for run in ("batch-7", "ext-line-7"):
        lanes = log.lanes(run)
        assert [lanes[partition].total for partition in range(8)] == [1] * 8
        assert len({answer.row_index for answer in log.answers(run)}) == 8


async def test_rows_of_other_systems_on_rows_v1_are_dead_letters_that_say_where_they_belong(
    log: Committed, producer: AIOKafkaProducer, worker: Worker
) -> None:
    sent = await producer.send_and_wait(ROWS.name, row(), key=b"old-client")
    letter = await log.answer(sent)
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.run_id, INGRESS.name in letter.message) == ("wrong_topic", "ext-old-client", True)
    headers = redrive(
        "ext-old-client", letter.row_index or 0, lane=letter.lane or 0, dead_letter_id=letter.dead_letter_id
    )
    again = await producer.send_and_wait(ROWS.name, row(), key=b"old-client", headers=headers)
    assert isinstance(await log.answer(again), Prediction)
    assert [stats.total for stats in log.lanes("ext-old-client").values()] == [1]


async def test_health_says_ready_live_and_how_far_it_is(worker: Worker, tmp_path: Path) -> None:
    def page(path: str) -> Any:
        status, body = worker.get(path)
        return status, json.loads(body)

    assert page("/ready") == page("/live") == (200, {"status": "ok", "problems": {}})
    assert worker.metric("owned_partitions") == 8
    assert worker.metric("rows_scored_total") > 0
    await eventually(lambda: worker.metric("lag") == 0)
