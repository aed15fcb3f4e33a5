"""Dead letters from the topic to a person and back: a real worker, a real gateway, real Kafka and Redis."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import polars as pl
import pytest
import redis.asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from httpx_sse import aconnect_sse

from runtime.kafka.reading import partition_for, read_to_end
from schemas.ids import external_run_id
from schemas.messages import encode
from schemas.tasks import Command, RunSpec
from schemas.topics import DEAD_LETTERS, INGRESS, MAX_ROW_BYTES, ROWS, RUN_COMMANDS, TASKS
from storage.objects.files import Storage
from tests.integration.stream_processor_kit import Committed, Run, Worker, features
from tests.support.brokers import CONTROL_PARTITIONS, DATA_PARTITIONS, Broker, redis_server
from tests.support.gateway_process import gateway
from tests.support.raw_records import batch_with_names
from tests.support.replays import Replays, frame_of, write_split
from tests.support.view_records import task
from tests.support.waiting import eventually
from tests.unit.stream_processor.toys import MODEL_A, redrive, row, store_model

Headers = list[tuple[str, bytes | None]]
KEPT = 20
"""Predictions of a run that the gateway keeps in Redis: few, and of few runs, so that pages come from Kafka too."""


def run_id() -> str:
    return f"sim-task-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    found = Storage(f"file://{tmp_path_factory.mktemp('letters')}/storage").initialise()
    store_model(found, MODEL_A)
    return found


@pytest.fixture(scope="module")
async def worker(
    fresh_kafka: Broker, storage: Storage, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    limits = {"STREAM_PROCESSOR_MAX_CONSECUTIVE_DEAD_LETTERS": "30", "STREAM_PROCESSOR_EXACT_REASONS_MAX_ROWS": "0"}
    process = await Worker(fresh_kafka, storage.url, folder, **limits).start()
    yield process
    process.close()


@pytest.fixture(scope="module")
async def producer(fresh_kafka: Broker) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(**fresh_kafka.kwargs, enable_idempotence=True, max_request_size=4 << 20) as client:
        yield client


@pytest.fixture(scope="module")
async def log(fresh_kafka: Broker) -> AsyncIterator[Committed]:
    async with Committed(fresh_kafka) as reader:
        yield reader


@pytest.fixture(scope="module")
async def redis_of_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    part, url = redis_server(tmp_path_factory.mktemp("letters-redis"))
    part.start()
    yield url
    part.stop()


@pytest.fixture(scope="module")
async def api(
    fresh_kafka: Broker, worker: Worker, redis_of_gateway: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("gateway")
    async with gateway(
        fresh_kafka,
        redis_of_gateway,
        folder,
        predictions_kept=KEPT,
        dead_letters_kept=200,
        runs_kept_whole=2,
        rebuild_records=30,
    ) as client:
        yield client


async def shown(api: httpx.AsyncClient, run: str, *, dead: int) -> dict[str, Any]:
    """The run as the API shows it once so many dead letters of it are listed."""

    async def look() -> dict[str, Any]:
        found = (await api.get(f"/v1/runs/{run}")).json()
        assert found.get("statistics", {}).get("dead_letters") == dead, found
        return dict(found)

    return await eventually(look)


async def letters(api: httpx.AsyncClient, count: int, **filters: Any) -> list[dict[str, Any]]:
    async def look() -> dict[str, Any]:
        page = (await api.get("/v1/dead-letters", params=filters)).json()
        assert page["total"] == count, page
        return dict(page)

    return list((await eventually(look))["items"])


async def completed(producer: AIOKafkaProducer, run: Run) -> None:
    """What its producer says of a run in the end."""
    spec = RunSpec(dataset_id="ds-0", split_id="split-0", model_version=MODEL_A, total_rows=run.rows, lanes=run.lanes)
    state = task(run.run_id, spec=spec, status="COMPLETED", ended_lanes=run.lanes)
    await producer.send_and_wait(TASKS.name, encode(state), key=run.run_id.encode())


async def all_rows(api: httpx.AsyncClient, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = -1
    while True:
        answer = await api.get(f"/v1/runs/{run}/predictions", params={"after": after, "limit": 7})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_after"] == after:
            return found
        after = page["next_after"]


async def measured(api: httpx.AsyncClient, *words: str) -> bool:
    lines = (await api.get("/metrics")).text.splitlines()
    return any(all(word in line for word in words) for line in lines)


async def test_letters_are_listed_repaired_and_counted_once_in_their_place(
    api: httpx.AsyncClient, producer: AIOKafkaProducer, log: Committed
) -> None:
    run = Run(run_id(), 60, lanes=2, bad={0, 7, 30, 59})
    await run.send(producer)
    await run.end(producer)
    await completed(producer, run)
    await shown(api, run.run_id, dead=4)
    found = await letters(api, 4, run_id=run.run_id)
    assert {item["row_index"] for item in found} == run.bad
    assert {(item["state"], item["reason"], item["path"]) for item in found} == {
        ("open", "unknown_feature", "$.features.S0")
    }
    first = await api.get("/v1/dead-letters", params={"run_id": run.run_id, "limit": 3})
    rest = await api.get(
        "/v1/dead-letters", params={"run_id": run.run_id, "limit": 3, "cursor": first.json()["next_cursor"]}
    )
    assert [item["dead_letter_id"] for item in first.json()["items"] + rest.json()["items"]] == [
        item["dead_letter_id"] for item in found
    ]
    assert rest.json()["next_cursor"] is None
    assert first.json()["by_reason"] == {"unknown_feature": 4}
    names = {item["row_index"]: item["dead_letter_id"] for item in found}

    whole = (await api.get(f"/v1/dead-letters/{names[7]}")).json()
    assert whole["whole"]
    assert base64.b64decode(whole["value_base64"]).decode() == whole["value_text"]
    repaired = json.loads(whole["value_text"])
    del repaired["features"]["S0"]
    answers = await asyncio.gather(
        *[api.post(f"/v1/dead-letters/{names[7]}/redrive", json={"value": repaired}) for _ in range(3)]
    )
    assert {answer.json()["outcome"]["prediction_id"] for answer in answers} == {f"{run.run_id}:1:7"}
    assert {answer.json()["state"] for answer in answers} == {"redriven"}
    again = (await api.post(f"/v1/dead-letters/{names[7]}/redrive", json={"value": repaired})).json()
    assert again["outcome"]["outcome"] == "answered"

    failed = (await api.post(f"/v1/dead-letters/{names[30]}/redrive")).json()
    assert failed["outcome"]["outcome"] == "dead_letter", failed
    newer = failed["outcome"]["dead_letter_id"]
    refused = await api.post(f"/v1/dead-letters/{names[30]}/redrive")
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    assert newer in refused.json()["detail"]
    for name, text in ((newer, run.row(30, 1)[1]), (names[0], run.row(0, 1)[1]), (names[59], run.row(59, 1)[1])):
        good = text.decode().replace('"S0": 1.0', "").replace(", }", "}")
        assert (await api.post(f"/v1/dead-letters/{name}/redrive", json={"value": good})).json()["state"] == "redriven"

    run.bad, run.redriven = set(), [7, 30, 0, 59]
    ended = await shown(api, run.run_id, dead=0)
    assert (ended["status"], ended["statistics"]["total_predictions"]) == ("COMPLETED", 60)
    await log.finished(run)
    stats = log.lanes(run.run_id)
    expected = run.probabilities()
    for lane, found_lane in stats.items():
        mine = [index for index in expected if index % 2 == lane]
        assert found_lane.probability_fail_sum == _sum(expected[index] for index in mine)
    assert await letters(api, 0, run_id=run.run_id, state="open") == []
    rows = await all_rows(api, run.run_id)
    assert [item["row_index"] for item in rows] == list(range(60))
    assert {item["row_index"] for item in rows if item["redriven"]} == {0, 7, 30, 59}
    assert {item["row_index"]: item["probability_fail"] for item in rows} == expected


def _sum(values: Any) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


async def test_all_that_match_are_sent_and_purged_letters_never_come_back(
    api: httpx.AsyncClient, producer: AIOKafkaProducer, log: Committed
) -> None:
    run = Run(run_id(), 20, bad=set(range(0, 20, 2)))
    await run.send(producer, model_version="model-of-nobody")  # every row is a dead letter: the model is not there
    await run.end(producer)
    await shown(api, run.run_id, dead=20)
    found = await letters(api, 20, run_id=run.run_id)
    report = (await api.post("/v1/dead-letters/redrive", json={"run_id": run.run_id, "reason": "unknown_model"})).json()
    assert report == {"matched": 20, "sent": 20, "failed": [], "left": 0}
    await letters(api, 20, run_id=run.run_id, state="redriven")
    newer = await letters(api, 20, run_id=run.run_id, state="open")
    assert {
        item["outcome"]["dead_letter_id"] for item in await letters(api, 20, run_id=run.run_id, state="redriven")
    } == {item["dead_letter_id"] for item in newer}
    purged = [item["dead_letter_id"] for item in newer[:2]]
    report = (await api.post("/v1/dead-letters/purge", json={"ids": [*purged, "7-99999"]})).json()
    assert (report["sent"], [item["dead_letter_id"] for item in report["failed"]]) == (2, ["7-99999"])
    await letters(api, 18, run_id=run.run_id, state="open")
    await letters(api, 2, run_id=run.run_id, state="purged")
    for name in purged:
        assert (await api.post(f"/v1/dead-letters/{name}/redrive")).status_code == 409
    key, value = run.row(newer[0]["row_index"], 1)
    headers = redrive(run.run_id, newer[0]["row_index"], dead_letter_id=purged[0])  # not even by hand
    await producer.send_and_wait(ROWS.name, value, key=key, partition=newer[0]["partition"], headers=headers)
    last = await producer.send_and_wait(ROWS.name, row(), key=key, partition=newer[0]["partition"])
    await log.answer(last)
    assert log.lanes(run.run_id)[0].dead_letters == 20
    assert (await api.post("/v1/dead-letters/purge", json={"run_id": run.run_id})).json()["sent"] == 38
    await letters(api, 0, run_id=run.run_id)
    await letters(api, 40, run_id=run.run_id, state="purged")
    assert (await shown(api, run.run_id, dead=20))["statistics"]["total_predictions"] == 0
    assert (await api.post("/v1/dead-letters/purge", json={})).status_code == 422
    assert len(found) == 20


async def test_everything_is_there_again_after_redis_was_emptied(
    api: httpx.AsyncClient, producer: AIOKafkaProducer, redis_of_gateway: str
) -> None:
    run = Run(run_id(), 40, bad={3, 12})
    await run.send(producer)
    await run.end(producer)
    await completed(producer, run)
    await shown(api, run.run_id, dead=2)
    found = {item["row_index"]: item["dead_letter_id"] for item in await letters(api, 2, run_id=run.run_id)}
    good = run.row(3, 1)[1].decode().replace('"S0": 1.0', "").replace(", }", "}")
    assert (await api.post(f"/v1/dead-letters/{found[3]}/redrive", json={"value": good})).json()["state"] == "redriven"
    before = await all_rows(api, run.run_id)
    elsewhere = (
        partition_for(run.run_id.encode(), DATA_PARTITIONS) + 1
    ) % DATA_PARTITIONS  # of the run's own partition too few are read again
    for _ in range(40):
        await producer.send(INGRESS.name, b"{", partition=elsewhere)
    await letters(api, 40, run_id="ext-no-key")
    listed = (await api.get("/v1/dead-letters", params={"run_id": run.run_id})).json()
    async with redis.asyncio.Redis.from_url(redis_of_gateway) as client:
        await client.flushdb()

    async def rebuilt() -> bool:
        found = (await api.get("/v1/dead-letters", params={"run_id": run.run_id})).json()
        return bool(found.get("items") == listed["items"])

    await eventually(rebuilt)
    assert await all_rows(api, run.run_id) == before
    page = (await api.get("/v1/dead-letters", params={"run_id": "ext-no-key"})).json()
    assert (page["total"] < 40, page["older_on_topic_only"]) == (True, True)
    assert [item["row_index"] for item in before] == [index for index in range(40) if index != 12]


async def events(
    api: httpx.AsyncClient, run: str, last: str | None = None
) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    headers = {"Last-Event-ID": last} if last else {}
    async with aconnect_sse(api, "GET", f"/v1/runs/{run}/events", headers=headers) as source:
        async for event in source.aiter_sse():
            if event.data:
                yield event.event, json.loads(event.data)


async def test_an_event_stream_tells_redriven_rows_wherever_it_stands(
    api: httpx.AsyncClient, producer: AIOKafkaProducer
) -> None:
    run = Run(run_id(), 30, bad={2, 9})
    await run.send(producer)
    await shown(api, run.run_id, dead=2)
    names = {item["row_index"]: item["dead_letter_id"] for item in await letters(api, 2, run_id=run.run_id)}

    async def redrive_row(index: int) -> None:
        good = run.row(index, 1)[1].decode().replace('"S0": 1.0', "").replace(", }", "}")
        assert (await api.post(f"/v1/dead-letters/{names[index]}/redrive", json={"value": good})).json()[
            "state"
        ] == "redriven"

    met: list[tuple[str, int]] = []
    async with aclosing(events(api, run.run_id)) as stream:
        async for name, data in stream:
            if name in ("prediction", "redriven"):
                met.append((name, data["row_index"]))
            if len(met) == 28:
                await redrive_row(9)
            if name == "redriven":
                break
    assert met == [*[("prediction", index) for index in range(30) if index not in (2, 9)], ("redriven", 9)]
    await redrive_row(2)
    await run.end(producer)
    await completed(producer, run)
    for last, late, behind in (
        ("14", [2, 9], range(15, 30)),
        ("29", [2, 9], range(0)),
        (None, [], range(30)),
        ("5", [2], range(6, 30)),
    ):
        told = [(name, data.get("row_index")) async for name, data in events(api, run.run_id, last)]
        rows = [one for one in told if one[0] in ("redriven", "prediction")]
        assert rows == [*[("redriven", index) for index in late], *[("prediction", index) for index in behind]]
        assert told[-1][0] == "end"


async def test_too_many_dead_letters_in_a_row_end_the_run_as_failed(
    fresh_kafka: Broker, api: httpx.AsyncClient, producer: AIOKafkaProducer, log: Committed
) -> None:
    run = Run(run_id(), 80, bad=set(range(20, 70)))
    await run.send(producer)
    await run.end(producer)
    await completed(producer, run)  # its producer had sent everything by then

    async def failed() -> dict[str, Any]:
        found = (await api.get(f"/v1/runs/{run.run_id}")).json()
        assert found.get("status") == "FAILED"  # 404 until it is projected
        return dict(found)

    found = await eventually(failed)
    assert found["error"] == "Stopped at row 50: 31 rows in a row could not be scored, allowed are 30."
    assert (found["statistics"]["total_predictions"], found["statistics"]["dead_letters"]) == (20, 31)
    assert (await api.get(f"/simulation/status/{run.run_id}")).json()["error"] == found["error"]
    home = partition_for(run.run_id.encode(), CONTROL_PARTITIONS)
    orders = [
        msgspec.json.decode(record.value, type=Command)
        async for record in read_to_end(fresh_kafka.kwargs, RUN_COMMANDS.name, [home])
        if record.key == run.run_id.encode()
    ]
    assert [(order.command, order.arguments) for order in orders] == [
        ("fail", {"attempt": 1, "message": found["error"]})
    ]
    (name,) = {item["dead_letter_id"] for item in await letters(api, 31, run_id=run.run_id) if item["row_index"] == 20}
    good = run.row(20, 1)[1].decode().replace('"S0": 1.0', "").replace(", }", "}")
    assert (await api.post(f"/v1/dead-letters/{name}/redrive", json={"value": good})).json()["state"] == "redriven"
    assert (await shown(api, run.run_id, dead=30))["status"] == "FAILED"


async def test_letters_of_a_paused_run_count_once_and_leave_it_paused(
    fresh_kafka: Broker, storage: Storage, api: httpx.AsyncClient, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    rows, scrap = 400, {3, 12, 390}
    labels = (
        pl.col("__index__").is_in(scrap).replace_strict({True: "SCRAP", False: "PASS"}).alias("__label__")
    )  # no label that scoring takes
    values = pl.DataFrame([features(index) for index in range(rows)])
    write_split(storage, pl.concat([frame_of(rows, features=0), values], how="horizontal").with_columns(labels))

    async def order(run_id: str, verb: str, **body: Any) -> dict[str, Any]:
        answer = await api.post(f"/v1/runs/{run_id}/{verb}", json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    async with AIOKafkaConsumer(**fresh_kafka.kwargs) as consumer, AsyncExitStack() as ends:
        world = Replays(fresh_kafka, storage.url, tmp_path, producer, consumer)
        ends.callback((await world.producer()).end)
        running = await world.start(rows, rows_per_second=20)
        await shown(api, running, dead=2)
        assert (await order(running, "pause"))["status"] == "PAUSED"
        warming = await world.start(rows, rows_per_second=None, warmup_seconds=3600)
        await eventually(lambda: knows(api, warming))
        assert (await order(warming, "pause"))["status"] == "PAUSED"
        await order(warming, "step", rows=5)
        for run_id, dead in ((running, 2), (warming, 1)):
            before = await shown(api, run_id, dead=dead)
            for item in await letters(api, dead, run_id=run_id):
                path = f"/v1/dead-letters/{item['dead_letter_id']}"
                good = (await api.get(path)).json()["value_text"].replace('"SCRAP"', '"PASS"')
                answers = [await api.post(f"{path}/redrive", json={"value": good}) for _ in range(2)]
                assert [answer.json()["outcome"]["outcome"] for answer in answers] == ["answered", "answered"]
            after = await shown(api, run_id, dead=0)
            counts = [one["statistics"]["total_predictions"] for one in (before, after)]
            assert (after["status"], counts[1] - counts[0]) == ("PAUSED", dead)
            assert (await world.task(run_id)).status == "PAUSED"
        await order(running, "speed", rows_per_second=None)
        for run_id, redriven, bad in ((running, [3, 12], {390}), (warming, [3], {12, 390})):
            await order(run_id, "resume")
            assert (await world.ended(run_id)).status == "COMPLETED"
            ended = await shown(api, run_id, dead=len(bad))
            assert (ended["statistics"]["total_predictions"], ended["attempt"]) == (rows - len(bad), 1)
            expected = Run(run_id, rows, bad=bad, redriven=redriven).probabilities()
            assert {item["row_index"]: item["probability_fail"] for item in await all_rows(api, run_id)} == expected


async def knows(api: httpx.AsyncClient, run: str) -> bool:
    return (await api.get(f"/v1/runs/{run}")).is_success


async def test_a_large_record_is_shown_whole_from_kafka(api: httpx.AsyncClient, producer: AIOKafkaProducer) -> None:
    value = json.dumps({"features": {"S1": "x" * 100_000}}).encode()
    sent = await producer.send_and_wait(INGRESS.name, value, key=b"large", headers=[("x-line", b"\xff7")])
    (item,) = await letters(api, 1, run_id="ext-large")
    found = (await api.get(f"/v1/dead-letters/{item['dead_letter_id']}")).json()
    assert (found["partition"], found["offset"], found["key_text"]) == (sent.partition, sent.offset, "large")
    assert base64.b64decode(found["value_base64"]) == value
    assert found["whole"]
    assert (await api.get("/v1/dead-letters/0-123456789")).status_code == 404
    assert (await api.get("/v1/dead-letters", params={"cursor": "x"})).status_code == 422


async def test_poison_of_every_kind_is_one_letter_each_in_one_run_and_the_partition_goes_on(
    fresh_kafka: Broker, api: httpx.AsyncClient, producer: AIOKafkaProducer, log: Committed
) -> None:
    partition, key = 5, b"poison"
    run = external_run_id(key)
    many: Headers = [(f"name-{i}", b"x" * 20_000) for i in range(100)]
    values: list[tuple[bytes | None, Headers]] = [
        (b"", []),
        (None, []),
        (b"\xff\xfe", []),
        (b"[" * 50_000, []),
        (b"{}", []),
        (b"null", []),
        (b"{" + b" " * 2_000_000 + b"}", []),
        (row(), [("type", b"run-end")]),
        (row(), [("type", b"\xff")]),
        (row(), [("type", b"purge")]),
        (row(), [("content-type", b"\xff")]),
        (row(), [("redrive", b"{}")]),
        (row(), [("redrive", None)]),
        (row(run_id=run_id()), []),
        (row(features={"S1" * 100_000: 1}), many),
        (row(model_version="m" * 100_000), []),
    ]
    for value, headers in values:
        await producer.send_and_wait(INGRESS.name, value, key=key, partition=partition, headers=headers)
    async with AIOKafkaProducer(**fresh_kafka.kwargs) as plain:
        odd = plain.create_batch()
        odd._build()
        odd._buffer = batch_with_names([[b"\xff\xfe"], [b"x", b"\xc3"]], key=b"odd", value=row(S=1)[:-1])
        await (await plain.send_batch(odd, INGRESS.name, partition=partition))
    last = await producer.send_and_wait(INGRESS.name, row(), key=None, partition=partition)
    assert (await log.answer(last)).run_id == "ext-no-key"
    found = await letters(api, len(values), run_id=run, limit=100)
    assert len({item["row_index"] for item in found}) == len(values)
    assert sum(lane.dead_letters for lane in log.lanes(run).values()) == len(values)
    assert sum(lane.total for lane in log.lanes(run).values()) == 0
    reasons = {item["reason"] for item in found}
    assert reasons == {
        "undecodable",
        "invalid_field",
        "oversized",
        "unsupported_encoding",
        "run_owned",
        "unknown_feature",
        "unknown_model",
    }
    for item in found[:3]:
        assert (await api.get(f"/v1/dead-letters/{item['dead_letter_id']}")).status_code == 200
    await eventually(lambda: measured(api, "gateway_open_dead_letters", 'reason="unsupported_encoding"'))
    report = (await api.post("/v1/dead-letters/redrive", json={"run_id": run})).json()
    assert (report["sent"] + len(report["failed"]), {item["detail"] for item in report["failed"]}) == (
        len(values),
        {f"A row has at most {MAX_ROW_BYTES} bytes."},
    )


async def test_letters_that_are_listed_no_more_are_shown_redriven_and_purged_from_the_topic(
    fresh_kafka: Broker, api: httpx.AsyncClient, producer: AIOKafkaProducer
) -> None:
    run = Run(run_id(), 40, bad={3, 12, 20})
    await run.send(producer)
    await shown(api, run.run_id, dead=3)
    names = {item["row_index"]: item["dead_letter_id"] for item in await letters(api, 3, run_id=run.run_id)}
    home = partition_for(run.run_id.encode(), DATA_PARTITIONS)
    for sent in [await producer.send(ROWS.name, b"{", partition=home) for _ in range(420)]:
        last = await sent
    await letters(api, 0, run_id=run.run_id)  # newer ones have taken their places
    found = (await api.get(f"/v1/dead-letters/{names[12]}")).json()
    assert (found["state"], found["row_index"], found["value_text"].encode()) == ("open", 12, run.row(12, 1)[1])
    good = found["value_text"].replace('"S0": 1.0', "").replace(", }", "}")
    answers = [await api.post(f"/v1/dead-letters/{names[12]}/redrive", json={"value": good}) for _ in range(2)]
    assert [(one.json()["state"], one.json()["outcome"]["prediction_id"]) for one in answers] == 2 * [
        ("redriven", f"{run.run_id}:1:12")
    ]
    assert (await shown(api, run.run_id, dead=2))["statistics"]["total_predictions"] == 38
    again = (await api.post(f"/v1/dead-letters/{names[20]}/redrive")).json()
    assert (again["state"], again["outcome"]["outcome"]) == ("redriven", "dead_letter")
    missing = [f"{home}-{last.offset + 10**6}", f"{home}-0-7", f"{DATA_PARTITIONS}-1", "x"]
    report = (await api.post("/v1/dead-letters/purge", json={"ids": [names[3], *missing]})).json()
    assert (report["sent"], [one["dead_letter_id"] for one in report["failed"]]) == (1, missing)
    assert [(await api.get(f"/v1/dead-letters/{name}")).status_code for name in missing] == 4 * [404]

    async def purged() -> bool:
        return bool((await api.get(f"/v1/dead-letters/{names[3]}")).json()["state"] == "purged")

    await eventually(purged)
    assert (await api.post(f"/v1/dead-letters/{names[3]}/redrive")).status_code == 409
    records = read_to_end(fresh_kafka.kwargs, DEAD_LETTERS.name, [home])
    about = [record.offset async for record in records if b'"dead_letter_id":"%s"' % names[20].encode() in record.value]
    admin = AIOKafkaAdminClient(**fresh_kafka.kwargs)
    await admin.start()
    await admin.delete_records({TopicPartition(DEAD_LETTERS.name, home): RecordsToDelete(about[0] + 1)})
    await admin.close()
    gone = await api.get(f"/v1/dead-letters/{names[12]}")
    assert (gone.status_code, gone.json()["code"], gone.json()["partition"]) == (410, "expired", home)
    assert gone.json()["first_available"] > int(names[20].split("-")[1])
