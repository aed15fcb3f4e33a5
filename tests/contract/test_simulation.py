"""Simulation, docs/design/contract.md: on the running stack, with all workers."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from schemas.ids import new_run_id
from tests.contract.conftest import client
from tests.support.contract_help import finished, ok, prepared, problems
from tests.support.stack import Stack
from tests.support.waiting import eventually_sync

ROWS = 100
FAST: dict[str, Any] = {"rows_per_second": None, "warmup_seconds": 0}
PREFIXES = ("/simulation", "/api/Simulation")
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture(scope="module")
def trained(stack: Stack) -> Any:
    """A client whose workspace has a split of 300, 100 and 100 rows and a model."""
    with client(stack) as made:
        prepared(made)
        task_id = ok(made.post("/process/train/start"))["task_id"]
        assert finished(made, f"/process/train/status/{task_id}")["status"] == "COMPLETED"
        yield made


Group = tuple[str, httpx.Client]


@pytest.fixture(params=PREFIXES)
def group(request: pytest.FixtureRequest, stack: Stack, swapped: str, trained: httpx.Client) -> Iterator[Group]:
    """A route group in the dialect of the contract, and a client for it in the workspace of `trained`."""
    url = swapped if request.param.startswith("/api") else stack.gateway_url
    with client(stack, url, trained.headers["X-Workspace"]) as made:
        yield request.param, made


@pytest.fixture(params=PREFIXES)
def fresh(request: pytest.FixtureRequest, stack: Stack, swapped: str) -> Iterator[Group]:
    """As `group`, in a workspace that nobody else uses."""
    with client(stack, swapped if request.param.startswith("/api") else stack.gateway_url) as made:
        yield request.param, made


def start(http: httpx.Client, prefix: str = "/simulation", **body: Any) -> str:
    answer = ok(http.post(f"{prefix}/start", json=body or None))
    assert set(answer) == {"task_id"}
    return str(answer["task_id"])


def test_run_to_its_end(group: Group) -> None:
    prefix, trained = group
    task_id = start(trained, prefix, **FAST)
    assert re.fullmatch(r"sim-task-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", task_id)
    status = finished(trained, f"{prefix}/status/{task_id}")
    assert {"task_id", "status", "progress", "result"} <= set(status)
    assert (status["task_id"], status["status"]) == (task_id, "COMPLETED")
    progress, result = status["progress"], status["result"]
    assert (progress["current_row_index"], progress["total_rows"], progress["dead_letters"]) == (ROWS - 1, ROWS, 0)
    live = progress["live_prediction"]
    assert {"timestamp", "sample_id", "prediction", "confidence", "top_features"} <= set(live)
    assert UTC.fullmatch(live["timestamp"])
    assert live["sample_id"] == "SAMPLE_500"
    assert live["prediction"] in ("PASS", "FAIL")
    assert 0 <= live["confidence"] <= 1
    assert 0 <= progress["quality_score"] <= 1
    passing = progress["quality_score"] if live["prediction"] == "PASS" else 1 - progress["quality_score"]
    assert live["confidence"] == pytest.approx(passing)
    stats = result["live_stats"]
    assert set(stats) == {"total_predictions", "pass_count", "fail_count", "average_confidence"}
    assert stats == progress["live_stats"]
    assert stats["total_predictions"] == stats["pass_count"] + stats["fail_count"] == ROWS
    assert result["message"] == f"Simulation complete. Processed {ROWS} records."
    assert result["truth"]["labelled"] == ROWS


def test_default_pace_is_a_row_a_second_after_a_warm_up_and_can_be_stopped_twice(group: Group) -> None:
    prefix, trained = group
    task_id = start(trained, prefix)
    status = ok(trained.get(f"{prefix}/status/{task_id}"))
    assert (status["status"] in ("PENDING", "IN_PROGRESS"), status["progress"], status["result"]) == (True, None, None)
    run = ok(trained.get(f"/v1/runs/{task_id}"))
    assert (run["rows_per_second"], run["warmup_seconds"], run["lanes"]) == (1.0, 10.0, 1)
    for _ in range(2):
        stopped = ok(trained.post(f"{prefix}/stop/{task_id}"))
        assert stopped == {"task_id": task_id, "message": "Simulation task stopped successfully."}
    status = finished(trained, f"{prefix}/status/{task_id}")
    assert (status["status"], status["result"]["message"]) == ("STOPPED", "Simulation was stopped by the user.")


def test_stopping_a_finished_run_is_the_same_answer(trained: httpx.Client) -> None:
    task_id = start(trained, **FAST)
    finished(trained, f"/simulation/status/{task_id}")
    assert ok(trained.post(f"/simulation/stop/{task_id}"))["message"] == "Simulation task stopped successfully."
    assert ok(trained.get(f"/simulation/status/{task_id}"))["status"] == "COMPLETED"


@pytest.mark.parametrize(("verb", "method"), [("status", "GET"), ("stop", "POST")])
def test_ill_formed_and_unknown_task_ids(fresh: Group, verb: str, method: str) -> None:
    prefix, http = fresh
    for task_id in ("17", "sim-task-", new_run_id().upper(), "x" * 300):
        answer = http.request(method, f"{prefix}/{verb}/{task_id}")
        assert ok(answer, 422)["detail"] == [
            {"loc": ["path", "task_id"], "msg": "Invalid task ID format.", "type": "value_error"}
        ]
    answer = http.request(method, f"{prefix}/{verb}/{new_run_id()}")
    assert ok(answer, 422)["detail"] == [
        {"loc": ["path", "task_id"], "msg": "Task ID not found", "type": "value_error.task_id"}
    ]


def test_without_a_split_or_a_model_409(fresh: Group) -> None:
    prefix, http = fresh
    assert ok(http.post(f"{prefix}/start"), 409)["code"] == "no_split"
    prepared(http)
    assert ok(http.post(f"{prefix}/start"), 409)["code"] == "no_model"


def test_everything_wrong_is_named_in_one_answer(http: httpx.Client) -> None:
    answer = http.post("/simulation/start", json={"rows_per_second": -1, "warmup_seconds": -1, "lanes": 0})
    assert {field for field, _ in problems(answer)} == {"rows_per_second", "warmup_seconds", "lanes"}


def test_lanes_count_the_same_rows(trained: httpx.Client) -> None:
    alone, spread = (ok(trained.get(f"/v1/runs/{_run(trained, lanes)}"))["statistics"] for lanes in (1, 5))
    for field in ("total_predictions", "pass_count", "fail_count", "histogram", "truth", "last_row_index"):
        assert alone[field] == spread[field]
    assert alone["average_confidence"] == pytest.approx(spread["average_confidence"], abs=1e-9)


def _run(http: httpx.Client, lanes: int) -> str:
    task_id = start(http, **FAST, lanes=lanes)
    finished(http, f"/simulation/status/{task_id}")
    return task_id


def test_predictions_of_a_run_come_in_order_page_by_page(trained: httpx.Client) -> None:
    task_id = _run(trained, 3)
    rows: list[int] = []
    after = -1
    while True:
        page = ok(trained.get(f"/v1/runs/{task_id}/predictions", params={"after": after, "limit": 33}))
        rows += [item["row_index"] for item in page["items"]]
        after = page["next_after"]
        if page["complete"]:
            break
    assert rows == list(range(ROWS))


def test_the_latest_model_simulates_and_the_champion_is_for_what_names_none(http: httpx.Client) -> None:
    prepared(http)
    older, newer = (
        finished(http, "/process/train/status/" + ok(http.post("/process/train/start"))["task_id"])["result"][
            "model_version"
        ]
        for _ in range(2)
    )

    def scored_by(answer: httpx.Response, status: int = 200) -> str:
        started = ok(answer, status)
        return str(ok(http.get(f"/v1/runs/{started.get('task_id') or started['run_id']}"))["model_version"])

    ok(http.put("/v1/models/champion", json={"model_version": older}))
    assert scored_by(http.post("/simulation/start", json=FAST)) == newer
    assert scored_by(http.post("/api/simulation/start", json=FAST)) == newer
    assert scored_by(http.post("/v1/runs", json=FAST), 201) == older
    for _ in range(2):  # unset; and there need not be one
        assert http.delete("/v1/models/champion").status_code == 204
    assert ok(http.get("/v1/models/champion"), 404)["code"] == "champion_not_found"
    assert scored_by(http.post("/v1/runs", json=FAST), 201) == newer


def test_event_stream_ends_with_the_run(trained: httpx.Client) -> None:
    task_id = start(trained, rows_per_second=200, warmup_seconds=0)
    text = trained.get(f"/v1/runs/{task_id}/events").text
    assert [int(found) for found in re.findall(r"^id: (\d+)$", text, re.M)] == list(range(ROWS))
    assert re.findall(r"^event: (\w+)$", text, re.M)[-1] == "end"
    resumed = trained.get(f"/v1/runs/{task_id}/events", headers={"Last-Event-ID": "96"}).text
    assert re.findall(r"^id: (\d+)$", resumed, re.M) == ["97", "98", "99"]
    assert re.findall(r"^event: (\w+)$", resumed, re.M)[-1] == "end"
    in_query = trained.get(f"/v1/runs/{task_id}/events", params={"lastEventId": "98"}).text
    assert re.findall(r"^id: (\d+)$", in_query, re.M) == ["99"]
    wrong = trained.get(f"/v1/runs/{task_id}/events", params={"lastEventId": "x"})
    assert ok(wrong, 422)["detail"][0]["loc"] == ["query", "lastEventId"]
    address = f"/v1/runs/{task_id}/events"
    for answer in (
        trained.get(address, headers={"Last-Event-ID": "99"}),
        trained.get(address, params={"lastEventId": "99"}),
    ):
        assert (answer.status_code, answer.content) == (204, b"")
    assert re.findall(r"^event: (\w+)$", trained.get(f"/v1/runs/{task_id}/events?after=99").text, re.M)[-1] == "end"


def test_pausing_holds_a_run_and_resuming_lets_it_go_on(trained: httpx.Client) -> None:
    task_id = start(trained, rows_per_second=20, warmup_seconds=0)
    eventually_sync(lambda: ok(trained.get(f"/simulation/status/{task_id}"))["progress"])
    assert ok(trained.post(f"/v1/runs/{task_id}/pause"))["status"] == "PAUSED"
    assert ok(trained.post(f"/v1/runs/{task_id}/pause"), 409)["code"] == "wrong_state"
    assert ok(trained.post(f"/v1/runs/{task_id}/speed", json={"rows_per_second": None}), 202)["status"] == "PAUSED"
    assert ok(trained.post(f"/v1/runs/{task_id}/resume"))["status"] != "PAUSED"
    assert finished(trained, f"/simulation/status/{task_id}")["result"]["live_stats"]["total_predictions"] == ROWS
