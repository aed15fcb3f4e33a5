"""Simulation routes and `/v1/runs` of a gateway process on real Kafka and Redis; the workers are played by the test."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import redis

from schemas import ids, topics
from schemas.tasks import RunSpec
from tests.support.brokers import Broker
from tests.support.run_world import World, run_world
from tests.support.view_records import model, prediction, split, task
from tests.support.waiting import eventually

KEPT = 60


@pytest.fixture(scope="module")
async def world(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("gateway-runs")
    async with run_world(kafka, folder, predictions_kept=KEPT, rebuild_records=20, stop_wait_seconds=2) as found:
        yield found


async def test_run_needs_a_split_and_a_model(world: World) -> None:
    name = f"w{secrets.token_hex(4)}"
    answer = await world.client.post("/simulation/start", headers={"X-Workspace": name})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_split")
    await world.topic.write(
        topics.DATASETS, f"split-{name}", split(f"split-{name}", "ds-x", workspace=name).model_dump_json().encode()
    )
    await eventually(lambda: world.knows(f"/v1/splits/split-{name}"))
    answer = await world.client.post("/simulation/start", headers={"X-Workspace": name})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_model")


async def test_everything_unknown_is_named_in_one_answer(world: World) -> None:
    answer = await world.client.post(
        "/simulation/start", json={"split_id": "split-none", "model_version": "model-none"}
    )
    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", "split_id"], ["body", "model_version"]]


@pytest.mark.parametrize(
    "body",
    [
        {"rows_per_second": 0},
        {"rows_per_second": -1},
        {"rows_per_second": "fast"},
        {"warmup_seconds": -1},
        {"lanes": 0},
        {"lanes": 1.5},
        [],
        7,
    ],
)
async def test_wrong_parameters_are_refused(world: World, body: Any) -> None:
    answer = await world.client.post("/simulation/start", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"


async def test_model_that_needs_other_columns_is_refused(world: World) -> None:
    name = await world.workspace()
    other = model(f"model-x{name}", workspace=name, dataset_id="ds-other", features=("S1", "not there"))
    await world.topic.write(topics.MODELS, other.model_version, other.model_dump_json().encode())
    await eventually(lambda: world.knows(f"/v1/models/{other.model_version}"))
    body = {"model_version": other.model_version}
    answer = await world.client.post("/v1/runs", json=body, headers={"X-Workspace": name})
    assert (answer.status_code, answer.json()["code"]) == (409, "model_does_not_fit")
    assert "not there" in answer.json()["detail"]


async def test_started_run_can_be_read_at_once_and_its_owner_is_ordered_to_begin(world: World) -> None:
    name = await world.workspace()
    answer = await world.client.post("/simulation/start", headers={"X-Workspace": name})
    assert answer.status_code == 200
    run_id = answer.json()["task_id"]
    assert re.fullmatch(r"sim-task-[0-9a-f-]{36}", run_id)
    found = await world.status(run_id)
    assert (found["task_id"], found["status"], found["progress"], found["result"]) == (run_id, "PENDING", None, None)
    (start,) = await world.commands(run_id)
    assert start.command == "start"
    assert start.task is not None
    spec = msgspec.convert(start.task.spec, RunSpec)
    assert (start.task.status, start.task.attempt, spec.split_id, spec.model_version) == (
        "PENDING",
        0,
        f"split-{name}",
        f"model-{name}",
    )
    assert (spec.total_rows, spec.rows_per_second, spec.warmup_seconds, spec.lanes) == (10, 1.0, 10.0, 1)


async def test_status_follows_a_run_to_its_end(world: World) -> None:
    name = await world.workspace()
    run_id = (
        await world.client.post("/simulation/start", headers={"X-Workspace": name}, json={"rows_per_second": 50})
    ).json()["task_id"]
    spec = RunSpec(dataset_id="ds", split_id="s", model_version="m", total_rows=3)
    await world.write_task(task(run_id, spec=spec))
    await eventually(lambda: world.status_is(run_id, "IN_PROGRESS"))
    await world.topic.answer(run_id, [prediction(run_id, 0), prediction(run_id, 1, fail=True)])
    await eventually(lambda: world.counts(run_id, 2))
    found = await world.status(run_id)
    progress = found["progress"]
    assert found["result"] is None
    assert progress["current_row_index"] == 1
    assert progress["total_rows"] == 3
    assert progress["quality_score"] == 0.25
    assert progress["live_stats"] == {
        "total_predictions": 2,
        "pass_count": 1,
        "fail_count": 1,
        "average_confidence": 0.75,
    }
    shown = progress["live_prediction"]
    assert (shown["sample_id"], shown["prediction"], shown["confidence"], shown["top_features"]) == (
        "SAMPLE_1",
        "FAIL",
        0.75,
        {"S1": 0.5, "S2": -0.25},
    )
    assert shown["timestamp"].endswith("Z")
    assert (shown["row_timestamp"], shown["top_feature_values"]) == ("2026-01-01T00:00:01Z", {"S1": 1.5, "S2": None})
    assert (progress["dead_letters"], progress["phase"], progress["truth"]["false_positives"]) == (0, "streaming", 1)
    await world.write_task(task(run_id, status="COMPLETED", ended_lanes=1, spec=spec))
    await world.topic.answer(run_id, [prediction(run_id, 2)])
    await eventually(lambda: world.counts(run_id, 3))
    assert await world.status_is(run_id, "IN_PROGRESS")  # said to be over, but not counted to its end
    await world.topic.answer(run_id, [], finished="COMPLETED")
    await eventually(lambda: world.status_is(run_id, "COMPLETED"))
    result = (await world.status(run_id))["result"]
    assert result["message"] == "Simulation complete. Processed 3 records."
    assert result["live_stats"]["total_predictions"] == 3
    web = (await world.client.get(f"/api/simulation/status/{run_id}")).json()
    assert (web["status"], web["progress"]["quality_score"], web["result"]["message"]) == (
        "SUCCESS",
        pytest.approx(100 * (await world.status(run_id))["progress"]["quality_score"]),
        result["message"],
    )


@pytest.mark.parametrize("path", ["/simulation/stop/{}", "/api/Simulation/stop/{}"])
async def test_stopping_waits_for_the_final_numbers_and_twice_is_the_same(world: World, path: str) -> None:
    run_id = ids.new_run_id()
    spec = RunSpec(dataset_id="ds", split_id="s", model_version="m", total_rows=100)
    await world.write_task(task(run_id, spec=spec))
    await world.topic.answer(run_id, [prediction(run_id, 0)])
    await eventually(lambda: world.counts(run_id, 1))
    stopping = asyncio.create_task(world.client.post(path.format(run_id)))
    await eventually(lambda: world.ordered(run_id, "stop"))
    await world.topic.answer(run_id, [prediction(run_id, 1)], finished="STOPPED")
    await world.write_task(task(run_id, status="STOPPED", ended_lanes=1, spec=spec))
    answer = await stopping
    wanted = {"task_id": run_id, "message": "Simulation task stopped successfully."}
    assert (answer.status_code, answer.json()) == (200, wanted)
    found = await world.status(run_id)
    assert (found["status"], found["result"]["message"]) == ("STOPPED", "Simulation was stopped by the user.")
    assert found["result"]["live_stats"]["total_predictions"] == 2
    again = await world.client.post(path.format(run_id))
    assert (again.status_code, again.json()) == (200, wanted)
    assert len(await world.commands(run_id)) == 1


async def test_ill_formed_and_unknown_ids_are_told_apart(world: World) -> None:
    training = ids.new_training_id()
    await world.write_task(task(training, kind="training"))
    await eventually(lambda: world.knows(f"/process/train/status/{training}"))
    for method, path in (("GET", "/simulation/status/"), ("POST", "/simulation/stop/")):
        answer = await world.client.request(method, path + "17")
        assert answer.status_code == 422
        assert answer.json()["detail"] == [
            {"loc": ["path", "task_id"], "msg": "Invalid task ID format.", "type": "value_error"}
        ]
        for unknown in (ids.new_run_id(), training):
            answer = await world.client.request(method, path + unknown)
            assert answer.status_code == 422
            assert answer.json()["detail"] == [
                {"loc": ["path", "task_id"], "msg": "Task ID not found", "type": "value_error.task_id"}
            ]
    assert (await world.client.get("/v1/runs/none")).status_code == 404
    assert (await world.client.get(f"/v1/runs/{training}")).status_code == 404
    assert (await world.client.get("/v1/runs/none/predictions")).status_code == 404
    assert (await world.client.get("/v1/runs/none/events")).status_code == 404


async def test_orders_that_the_state_forbids_are_refused_and_the_state_is_named(world: World) -> None:
    run_id = ids.new_run_id()
    await world.write_task(task(run_id))
    await eventually(lambda: world.knows(f"/v1/runs/{run_id}"))
    answer = await world.client.post(f"/v1/runs/{run_id}/resume")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
    assert "IN_PROGRESS" in answer.json()["detail"]
    answer = await world.client.post(f"/v1/runs/{run_id}/speed", json={"rows_per_second": None})
    assert answer.status_code == 202
    assert await world.ordered(run_id, "speed")


async def test_runs_are_listed_newest_first_page_by_page(world: World) -> None:
    name = await world.workspace()
    made = [
        (await world.client.post("/v1/runs", json={}, headers={"X-Workspace": name})).json()["run_id"] for _ in range(5)
    ]
    found: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await world.client.get("/v1/runs", params=params, headers={"X-Workspace": name})).json()
        assert len(page["items"]) <= 2
        found += [run["run_id"] for run in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == made[::-1]
    assert (await world.client.get("/v1/runs", params={"cursor": "nonsense"})).status_code == 422


@pytest.mark.parametrize("lanes", [1, 3])
async def test_pages_go_back_to_the_first_row_although_redis_keeps_the_newest_only(world: World, lanes: int) -> None:
    run_id = ids.new_run_id()
    await world.replay(run_id, 1000, lanes=lanes)
    with redis.Redis.from_url(world.redis_url) as client:
        assert client.zcard(f"ii:predictions:{run_id}:1") == KEPT
    for limit in (1000, 333):
        assert await world.all_pages(run_id, limit) == list(range(1000))
    assert await world.all_pages(run_id, 100, after=700) == list(range(701, 1000))


async def test_pages_are_whole_after_redis_was_rebuilt_from_the_last_records(world: World) -> None:
    run_id = ids.new_run_id()
    await world.replay(run_id, 300, lanes=2)
    with redis.Redis.from_url(world.redis_url) as client:
        client.flushall()
    await eventually(lambda: world.knows("/ready"))
    assert await world.all_pages(run_id, 1000) == list(range(300))
    assert await world.all_pages(run_id, 7, after=270) == list(range(271, 300))


async def test_page_ends_where_the_slowest_lane_is(world: World) -> None:
    run_id = ids.new_run_id()
    spec = RunSpec(dataset_id="ds", split_id="s", model_version="m", total_rows=10, lanes=2)
    await world.write_task(task(run_id, spec=spec))
    await world.topic.answer(run_id, [prediction(run_id, row, lane=0) for row in (0, 2, 4)], lane=0, lanes=2)
    await eventually(lambda: world.counts(run_id, 3))
    page = (await world.client.get(f"/v1/runs/{run_id}/predictions")).json()
    assert (page["items"], page["next_after"]) == ([], -1)
    await world.topic.answer(run_id, [prediction(run_id, 1, lane=1)], lane=1, lanes=2)
    await eventually(lambda: world.counts(run_id, 4))
    page = (await world.client.get(f"/v1/runs/{run_id}/predictions")).json()
    assert [item["row_index"] for item in page["items"]] == [0, 1]
    assert (page["next_after"], page["complete"]) == (1, False)


async def test_run_of_another_system_can_be_read_but_not_steered(world: World) -> None:
    run_id = f"ext-{secrets.token_hex(4)}"
    await world.topic.answer(run_id, [prediction(run_id, row) for row in (17, 18)])
    await eventually(lambda: world.counts(run_id, 2))
    assert (await world.client.get(f"/v1/runs/{run_id}")).json()["workspace"] is None
    page = (await world.client.get(f"/v1/runs/{run_id}/predictions")).json()
    assert [item["row_index"] for item in page["items"]] == [17, 18]
    assert (await world.client.post(f"/v1/runs/{run_id}/stop")).status_code == 409
