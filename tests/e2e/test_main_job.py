"""The main job over HTTP on real parts: SECOM from upload to final statistics, which must equal an offline recount of
the same rows."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from devstack.recount import Recount, recount
from runtime.kafka.reading import read_to_end
from schemas.topics import DEAD_LETTERS, PREDICTIONS
from storage.objects.files import Storage
from tests.support.stack import Stack
from tests.support.waiting import eventually_sync

SPLITS = {
    "whole file": ("2008-07-19", "2008-08-31", "2008-09-01", "2008-09-20", "2008-09-21", "2008-10-17"),
    "short simulation": (
        "2008-07-19",
        "2008-09-15",
        "2008-09-16",
        "2008-10-10",
        "2008-10-11T00:00:00Z",
        "2008-10-14T12:00:00Z",
    ),
    "small training": (
        "2008-07-25T06:00:00Z",
        "2008-08-20",
        "2008-08-21",
        "2008-08-25",
        "2008-09-25",
        "2008-10-05T23:59:59Z",
    ),
}
ML = (
    "train_start_date",
    "train_end_date",
    "test_start_date",
    "test_end_date",
    "simulation_start_date",
    "simulation_end_date",
)
DOTNET = ("trainStart", "trainEnd", "testStart", "testEnd", "simulationStart", "simulationEnd")
DONE = {"COMPLETED", "FAILED", "STOPPED", "SUCCESS", "FAILURE", "REVOKED"}


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    """A client in a workspace of its own."""
    with httpx.Client(
        base_url=stack.gateway_url, headers={"X-Workspace": f"main-{uuid4().hex[:8]}"}, timeout=150
    ) as client:
        yield client


def ok(response: httpx.Response, status: int = 200) -> Any:
    assert response.status_code == status, response.text
    return response.json()


def finished(http: httpx.Client, path: str, *, timeout_seconds: float = 120) -> Any:
    """Poll until the task is terminal; the numbers in that answer are final."""

    def check() -> Any:
        status = ok(http.get(path))
        return status if status["status"] in DONE else None

    return eventually_sync(check, timeout_seconds=timeout_seconds, message=path)


def upload(http: httpx.Client, path: str, csv: Path, status: int) -> Any:
    with csv.open("rb") as file:
        return ok(http.post(path, files={"file": ("secom.csv", file, "text/csv")}), status)


def expected(stack: Stack, model_version: str, simulation_path: str, rows: int | None = None) -> Recount:
    storage = Storage(stack.storage_url)
    return recount(
        storage, model_version, simulation_path.removeprefix(str(storage.local("splits").parent) + "/"), rows=rows
    )


def assert_equal(stats: dict[str, Any], truth: dict[str, Any], wanted: Recount) -> None:
    assert stats["total_predictions"] == wanted.total
    assert (stats["pass_count"], stats["fail_count"]) == (wanted.pass_count, wanted.fail_count)
    assert stats["average_confidence"] == pytest.approx(wanted.average_confidence, abs=1e-9, rel=0)
    assert (truth["true_positives"], truth["false_positives"]) == (wanted.true_positives, wanted.false_positives)
    assert (truth["true_negatives"], truth["false_negatives"]) == (wanted.true_negatives, wanted.false_negatives)


async def read_answers(stack: Stack, run_id: str) -> list[dict[str, Any]]:
    """What a read-committed consumer of predictions.v1 gets for the run; the run has no dead letters."""
    kafka: dict[str, object] = {"bootstrap_servers": stack.bootstrap}
    dead = [json.loads(record.value) async for record in read_to_end(kafka, DEAD_LETTERS.name)]
    assert not [letter for letter in dead if letter["run_id"] == run_id]
    found = [json.loads(record.value) async for record in read_to_end(kafka, PREDICTIONS.name)]
    return [answer for answer in found if answer["run_id"] == run_id]


def answers(stack: Stack, run_id: str) -> list[dict[str, Any]]:
    return asyncio.run(read_answers(stack, run_id))


def assert_each_once(found: list[dict[str, Any]], wanted: Recount) -> None:
    assert Counter(answer["row_index"] for answer in found) == Counter(answer.row_index for answer in wanted.answers)
    by_index = {answer["row_index"]: answer for answer in found}
    for row in wanted.answers:
        got = by_index[row.row_index]
        assert (got["prediction"], got["probability_fail"], got["sample_id"], got["label"]) == (
            row.prediction,
            row.probability_fail,
            row.sample_id,
            row.label,
        )


@pytest.mark.timeout(600)
def test_secom_through_the_ml_routes_equals_a_recount_for_three_splits(
    stack: Stack, http: httpx.Client, secom_csv: Path
) -> None:
    stored = upload(http, "/dataset/store", secom_csv, 202)
    for name, dates in SPLITS.items():
        split = ok(http.post("/process/split-data", json=dict(zip(ML, dates, strict=True))))
        training = ok(http.post("/process/train/start"))["task_id"]
        trained = finished(http, f"/process/train/status/{training}")
        assert trained["status"] == "COMPLETED", (name, trained)
        body = {"rows_per_second": None, "warmup_seconds": 0, "lanes": 3 if name == "whole file" else 1}
        run_id = ok(http.post("/simulation/start", json=body))["task_id"]
        run = finished(http, f"/simulation/status/{run_id}")
        assert run["status"] == "COMPLETED", (name, run)
        wanted = expected(stack, trained["result"]["model_version"], split["simulation_set_path"])
        assert wanted.total == split["simulation_set_rows"]
        assert run["result"]["message"] == f"Simulation complete. Processed {wanted.total} records."
        assert_equal(run["result"]["live_stats"], run["result"]["truth"], wanted)
        assert_each_once(answers(stack, run_id), wanted)
    assert ok(http.get(f"/process/task/status/{stored['task_id']}"))["status"] == "COMPLETED"


@pytest.mark.timeout(300)
def test_secom_through_the_dotnet_routes_at_a_row_a_second(stack: Stack, http: httpx.Client, secom_csv: Path) -> None:
    card = upload(http, "/api/Dataset/upload", secom_csv, 200)
    assert (card["numberOfRecords"], card["numberOfColumns"], card["passRatePercentage"]) == (1547, 592, 93.92)
    body = dict(zip(DOTNET, SPLITS["short simulation"], strict=True))
    assert ok(http.post("/api/Dataset/validate-ranges", json=body)) == {
        "status": "Valid",
        "message": "Date ranges are valid and sequential.",
    }
    split = ok(http.post("/api/Dataset/split-data", json=body))
    training = ok(http.post("/api/Training/start"))["task_id"]
    trained = finished(http, f"/api/Training/status/{training}")
    assert trained["status"] == "SUCCESS", trained
    run_id = ok(http.post("/api/Simulation/start", json={"warmup_seconds": 0}))["task_id"]

    def some_rows() -> Any:
        status = ok(http.get(f"/api/Simulation/status/{run_id}"))
        live = (status["progress"] or {}).get("live_stats")  # null, then words, until there is a prediction
        return status if live and live["total_predictions"] >= 4 else None

    seen = eventually_sync(some_rows, timeout_seconds=60)
    assert seen["progress"]["total_rows"] == split["simulationSetRows"]
    ok(http.post(f"/api/Simulation/stop/{run_id}"))
    shown = finished(http, f"/api/Simulation/status/{run_id}", timeout_seconds=30)
    assert (shown["status"], shown["result"]["message"]) == ("REVOKED", "Simulation was stopped by the user.")
    run = ok(http.get(f"/simulation/status/{run_id}"))
    wanted = expected(
        stack,
        trained["result"]["model_version"],
        split["simulationSetPath"],
        rows=run["result"]["live_stats"]["total_predictions"],
    )
    assert wanted.total < split["simulationSetRows"]
    assert_equal(run["result"]["live_stats"], run["result"]["truth"], wanted)
    assert_each_once(answers(stack, run_id), wanted)
