"""Attempts, replays, diffs and exports of a gateway process on real Kafka and Redis; the workers are played by the
test."""

import json
import secrets
import zipfile
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import msgspec
import pytest
import redis
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from httpx_sse import aconnect_sse

from runtime.kafka.reading import partition_for
from schemas import ids, topics
from schemas.tasks import FormerAttempt, ReplaySource, RunSpec
from storage.objects.replays import manifest
from tests.support.brokers import DATA_PARTITIONS, Broker
from tests.support.run_world import World, run_world
from tests.support.view_records import at, model, prediction, task
from tests.support.waiting import eventually

KEPT = 20


@pytest.fixture(scope="module")
async def world(fresh_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with run_world(
        fresh_kafka, tmp_path_factory.mktemp("gateway-play"), predictions_kept=KEPT, rebuild_records=10
    ) as found:
        yield found


def former(attempt: int, status: Any, error: str | None = None) -> FormerAttempt:
    return FormerAttempt(
        attempt=attempt, status=status, started_at=at(attempt), finished_at=at(attempt + 1), ended_lanes=1, error=error
    )


async def second_attempt(world: World, *, rows: int = 30, again: int = 40) -> str:
    """A run of 40 rows whose first attempt stopped after some, and whose second is over."""
    run_id = ids.new_run_id()
    spec = RunSpec(dataset_id="ds", split_id="s", model_version="m", total_rows=40)
    await world.write_task(task(run_id, spec=spec))
    await world.topic.answer(run_id, [prediction(run_id, row) for row in range(rows)], finished="STOPPED")
    second = task(run_id, spec=spec, attempt=2)
    second.former = [former(1, "STOPPED", "why")]
    await world.write_task(second)
    await world.topic.answer(
        run_id, [prediction(run_id, row, attempt=2, fail=row % 2 == 0) for row in range(again)], finished="COMPLETED"
    )
    await world.write_task(msgspec.structs.replace(second, status="COMPLETED", ended_lanes=1))
    await eventually(lambda: world.status_is(run_id, "COMPLETED"))
    return run_id


async def get(world: World, path: str, status: int = 200, **params: Any) -> Any:
    answer = await world.client.get(path, params=params)
    assert answer.status_code == status, answer.text
    return answer.json()


async def post(world: World, path: str, status: int, **body: Any) -> Any:
    answer = await world.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_every_attempt_is_read_as_it_was_also_out_of_kafka(world: World) -> None:
    run_id = await second_attempt(world)
    listed = (await get(world, f"/v1/runs/{run_id}/attempts"))["items"]
    assert [
        (one["attempt"], one["status"], one["error"], one["statistics"]["total_predictions"]) for one in listed
    ] == [
        (2, "COMPLETED", None, 40),
        (1, "STOPPED", "why", 30),
    ]
    first = await get(world, f"/v1/runs/{run_id}", attempt=1)
    assert (first["attempt"], first["status"], first["started_at"], first["statistics"]) == (
        1,
        "STOPPED",
        "2026-01-01T00:00:01Z",
        listed[1]["statistics"],
    )
    with redis.Redis.from_url(world.redis_url) as client:
        client.flushall()
    await eventually(lambda: world.knows(f"/v1/runs/{run_id}"))
    for attempt, rows in ((1, 30), (2, 40), (None, 40)):
        params = {} if attempt is None else {"attempt": attempt}
        found: list[str] = []
        page: dict[str, Any] = {"next_after": -1, "complete": False}
        while not page["complete"]:  # what Redis still has comes apart from what is read from Kafka
            page = await get(world, f"/v1/runs/{run_id}/predictions", limit=1000, after=page["next_after"], **params)
            found += [item["prediction_id"] for item in page["items"]]
        assert found == [f"{run_id}:{attempt or 2}:{row}" for row in range(rows)]
    for path in ("", "/predictions", "/events", "/export"):
        missing = await get(world, f"/v1/runs/{run_id}{path}", 404, attempt=3)
        assert (missing["code"], "the newest is 2" in missing["detail"]) == ("attempt_not_found", True)
    assert (await get(world, f"/v1/runs/{ids.new_run_id()}", 404, attempt=1))["code"] == "run_not_found"


async def events(
    world: World, run_id: str, last_event_id: str | None = None, **params: Any
) -> list[tuple[str, str, Any]]:
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    async with aconnect_sse(world.client, "GET", f"/v1/runs/{run_id}/events", headers=headers, params=params) as source:
        return [(event.event, event.id, json.loads(event.data)) async for event in source.aiter_sse()]


async def test_events_name_their_attempt_and_a_stream_goes_on_with_the_next_one(world: World) -> None:
    run_id = await second_attempt(world)
    whole = [f"2:{row}" for row in range(40)]
    for last_event_id, params, wanted in (
        (None, {}, whole),
        ("7", {}, whole),  # of attempt 1, which is over: the next one follows from its first row on
        ("1:7", {}, whole),
        ("2:7", {}, whole[8:]),
        (None, {"after": 37}, whole[38:]),
        ("7", {"attempt": 1}, [str(row) for row in range(8, 30)]),
        ("2:38", {"attempt": 2}, whole[39:]),
    ):
        found = await events(world, run_id, last_event_id, **params)
        assert [event_id for name, event_id, _ in found if name == "prediction"] == wanted, (last_event_id, params)
        assert (found[-1][0], found[-1][2]["attempt"]) == ("end", params.get("attempt", 2))
    for wrong in ("2:", "x", "0:1", "1:2:3", "-1"):
        answer = await world.client.get(f"/v1/runs/{run_id}/events", headers={"Last-Event-ID": wrong})
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["header", "Last-Event-ID"])
    answer = await world.client.get(
        f"/v1/runs/{run_id}/events", headers={"Last-Event-ID": "2:3"}, params={"attempt": 1}
    )
    assert answer.status_code == 422


async def test_diff_of_two_attempts_and_export_of_one(world: World) -> None:
    run_id = await second_attempt(world)
    diff = await get(world, f"/v1/runs/{run_id}/diff/{run_id}", attempt=1, other_attempt=2, limit=10)
    assert diff["joined_by"] == "row_index"
    assert diff["counts"] == {
        "common": 30,
        "same": 15,
        "pass_to_fail": 15,
        "fail_to_pass": 0,
        "only_in_a": 0,
        "only_in_b": 10,
    }
    assert [row["row_index_b"] for row in diff["items"]] == list(range(0, 20, 2))
    rest = await get(world, f"/v1/runs/{run_id}/diff/{run_id}", attempt=1, other_attempt=2, cursor=diff["next_cursor"])
    assert ([row["row_index_b"] for row in rest["items"]], rest["next_cursor"]) == (list(range(20, 30, 2)), None)
    assert diff["metrics"]["fail_count"] == {"a": 0, "b": 20, "difference": 20}
    assert diff["common_metrics"]["fail_count"]["difference"] == 15
    await get(world, f"/v1/runs/{run_id}/diff/{ids.new_run_id()}", 404)
    await get(world, f"/v1/runs/{run_id}/diff/{run_id}", 422, only="all")
    answer = await world.client.get(f"/v1/runs/{run_id}/export", params={"attempt": 1})
    assert f'filename="{run_id}-1.zip"' in answer.headers["content-disposition"]
    with zipfile.ZipFile(BytesIO(answer.content)) as archive:
        assert len(archive.read("predictions.jsonl").splitlines()) == 30
        assert json.loads(archive.read("manifest.json"))["run"]["status"] == "STOPPED"


async def test_every_move_that_the_state_forbids_is_refused_and_names_it(world: World) -> None:
    moves = {
        "pause": {"PENDING", "IN_PROGRESS"},
        "resume": {"PAUSED"},
        "step": {"PAUSED"},
        "seek": {"IN_PROGRESS", "PAUSED"},
        "speed": {"PENDING", "IN_PROGRESS", "PAUSED"},
        "retry": {"COMPLETED", "FAILED", "STOPPED"},
    }
    bodies = {"seek": {"row_index": 3}, "speed": {"rows_per_second": 5}}
    for status in ("PENDING", "IN_PROGRESS", "PAUSED", "COMPLETED", "FAILED", "STOPPED"):
        run_id = ids.new_run_id()
        spec = RunSpec(dataset_id="ds", split_id="s", model_version="m", total_rows=10)
        await world.write_task(task(run_id, status=status, spec=spec))
        await eventually(lambda run_id=run_id: world.knows(f"/v1/runs/{run_id}"))  # type: ignore[misc]
        for move in sorted(move for move, legal in moves.items() if status not in legal):
            refused = await post(world, f"/v1/runs/{run_id}/{move}", 409, **bodies.get(move, {}))
            assert (refused["code"], f"The run is {status}" in refused["detail"]) == ("wrong_state", True)
        assert await world.commands(run_id) == []
        if status in moves["retry"]:
            assert (await post(world, f"/v1/runs/{run_id}/retry", 409, from_row=10))["code"] == "past_the_end"
            await post(world, f"/v1/runs/{run_id}/retry", 422, from_row=-1)
    await post(world, f"/v1/runs/{run_id}/retry", 200, from_row=9, rows_per_second=None)
    (order,) = await world.commands(run_id)
    assert (order.command, order.arguments) == ("retry", {"row_index": 9, "rows_per_second": None})


async def answered(world: World, run_id: str, rows: int) -> None:
    await eventually(lambda: world.counts(run_id, rows))


async def put(world: World, *records: tuple[bytes, bytes]) -> int:
    """Put rows on the topic as another system does, without transactions; return the first offset."""
    async with AIOKafkaProducer(**world.kafka.kwargs) as producer:
        sent = [await producer.send_and_wait(topics.ROWS.name, value, key=key) for key, value in records]
    return int(sent[0].offset)


async def test_what_is_replayed_is_settled_as_offsets_and_what_retention_took_is_410(
    world: World, fresh_kafka: Broker
) -> None:
    run_id = f"line-{secrets.token_hex(4)}"
    partition = partition_for(run_id.encode(), DATA_PARTITIONS)
    first = await put(
        world, *((run_id.encode(), b'{"run_id":"%s","features":{}}' % run_id.encode()) for _ in range(20))
    )
    await world.topic.answer(run_id, [prediction(run_id, first + row) for row in range(20)])
    await answered(world, run_id, 20)
    path = f"/v1/runs/{run_id}/replay"

    async def source(**body: Any) -> ReplaySource:
        made = await post(world, path, 201, **body)
        (start,) = await world.commands(made["run_id"])
        assert start.task is not None
        assert made["status"] == "PENDING"
        found = msgspec.convert(start.task.spec, RunSpec).replay
        assert found is not None
        return found

    def range_of(found: ReplaySource) -> tuple[int, int, int]:
        (part,) = found.ranges
        return part.partition, part.from_offset, part.to_offset

    whole = await source()
    assert range_of(whole) == (partition, 0, first + 20)
    assert (whole.external, whole.keep_models, whole.check, whole.expected_rows) == (True, True, "count", 20)
    assert range_of(await source(from_row=first + 5)) == (partition, first + 5, first + 20)
    assert range_of(await source(from_offset=first + 5, to_offset=first + 9)) == (partition, first + 5, first + 9)
    assert range_of(await source(partition=partition, to_offset=1 << 40)) == (partition, 0, first + 20)
    model_version = (await world.client.get("/v1/models")).json()["items"]
    assert model_version == []
    name = await world.workspace()
    assert not (await source(model_version=f"model-{name}")).keep_models
    wrong: dict[str, dict[str, Any]] = {
        "from_row": {"from_row": first + 20},
        "to_offset": {"from_offset": 5, "to_offset": 5},
        "from_offset": {"from_offset": first + 20},
        "partition": {"partition": (partition + 1) % DATA_PARTITIONS},
        "model_version": {"model_version": "model-none"},
        "from_time": {"from_time": "2999-01-01T00:00:00Z"},
    }
    for field, body in wrong.items():
        refused = await post(world, path, 422, **body)
        assert [problem["loc"] for problem in refused["detail"]] == [["body", field]], body
    await post(world, path, 422, from_row=-1, speed=3)
    await post(world, f"/v1/runs/{ids.new_run_id()}/replay", 404)

    admin = AIOKafkaAdminClient(**fresh_kafka.kwargs)
    await admin.start()
    await admin.delete_records({TopicPartition(topics.ROWS.name, partition): RecordsToDelete(first + 7)})
    await admin.close()
    requests: list[dict[str, Any]] = [
        {},
        {"from_offset": first + 6},
        {"from_row": first + 6},
        {"from_time": "2000-01-01T00:00:00Z"},
    ]
    for body in requests:
        gone = await post(world, path, 410, **body)
        assert (gone["code"], gone["first_available"], gone["partition"]) == ("expired", first + 7, partition)
        assert f"first available offset of partition {partition} is {first + 7}" in gone["detail"]
    left = await source(from_offset=first + 7)
    assert range_of(left) == (partition, first + 7, first + 20)

    async def tried_again(replayed: ReplaySource, status: int, *, copied: bool = False) -> Any:
        again = ids.new_run_id()
        if copied:
            world.storage.write_bytes(manifest(again), b"{}")
        spec = RunSpec(dataset_id=None, split_id=None, model_version=f"model-{name}", total_rows=20, replay=replayed)
        await world.write_task(task(again, spec=spec, status="STOPPED"))
        await eventually(lambda: world.knows(f"/v1/runs/{again}"))
        return await post(world, f"/v1/runs/{again}/retry", status)

    await tried_again(left, 200)
    await tried_again(whole, 200)  # by its number of rows, which only who reads them all can tell
    by_offsets = msgspec.structs.replace(whole, check="offsets")
    await tried_again(by_offsets, 200, copied=True)
    gone = await tried_again(by_offsets, 410)
    assert (gone["code"], gone["first_available"], gone["partition"]) == ("expired", first + 7, partition)
    assert "PRODUCER_REPLAYS_KEPT" in gone["detail"]


async def test_a_run_of_ours_is_replayed_by_rows_and_not_with_a_model_that_cannot_read_them(
    world: World, fresh_kafka: Broker
) -> None:
    name = await world.workspace()
    run_id, lanes = ids.new_run_id(), 3
    spec = RunSpec(
        dataset_id=f"ds-{name}", split_id=f"split-{name}", model_version=f"model-{name}", total_rows=30, lanes=lanes
    )
    values = [
        {"run_id": run_id, "epoch": 1, "lane": i % lanes, "lanes": lanes, "row_index": i, "features": {}}
        for i in range(30)
    ]
    await put(
        world, *((ids.row_key(run_id, i % lanes, lanes), msgspec.json.encode(value)) for i, value in enumerate(values))
    )
    await world.replay(run_id, 30, lanes=lanes, end=False)
    await world.write_task(task(run_id, spec=spec))

    async def known() -> bool:
        run = await get(world, f"/v1/runs/{run_id}")
        return (run["total_rows"], run["statistics"]["total_predictions"]) == (30, 30)

    await eventually(lambda: world.knows(f"/v1/runs/{run_id}"))
    await eventually(known)  # the task and the statistics come by different topics
    path = f"/v1/runs/{run_id}/replay"
    whole = await post(world, path, 201)
    assert (whole["lanes"], whole["dataset_id"], whole["model_version"]) == (lanes, f"ds-{name}", f"model-{name}")
    assert {part["partition"] for part in whole["source"]["ranges"]} == {
        partition_for(ids.row_key(run_id, lane, lanes), DATA_PARTITIONS) for lane in range(lanes)
    }
    await post(world, path, 422, from_row=30)
    if len(whole["source"]["ranges"]) > 1:
        refused = await post(world, path, 422, from_offset=0)
        assert refused["detail"][0]["loc"] == ["body", "partition"]
    other = model(f"model-x{name}", workspace=name, dataset_id=f"ds-{name}", features=("S1", "not there"))
    await world.topic.write(topics.MODELS, other.model_version, other.model_dump_json().encode())
    await eventually(lambda: world.knows(f"/v1/models/{other.model_version}"))
    refused = await post(world, path, 409, model_version=other.model_version)
    assert (refused["code"], "not there" in refused["detail"]) == ("model_does_not_fit", True)
