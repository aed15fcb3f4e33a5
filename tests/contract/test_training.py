"""Training routes (docs/design/contract.md): start, progress, result, refusals."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.contract_help import finished, ok, prepared, problems, split_body, store, table

PHASES = {
    "Loading and preparing data...",
    "Training XGBoost model...",
    "Evaluating model on test set...",
    "Processing and saving results...",
}
UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture
def split(http: httpx.Client) -> Any:
    return prepared(http)


def test_a_training_from_start_to_result(http: httpx.Client, split: Any) -> None:
    task_id = ok(http.post("/process/train/start"))["task_id"]
    assert re.fullmatch(UUID4, task_id)
    status = finished(http, f"/process/train/status/{task_id}")
    assert (status["task_id"], status["status"], status["error"]) == (task_id, "COMPLETED", None)
    assert status["progress"]["status"] in PHASES
    assert status["progress"]["percent"] == 100
    result = status["result"]
    assert {"accuracy", "precision", "recall", "f1_score", "mcc", "roc_auc", "pr_auc", "threshold"} <= set(
        result["metrics"]
    )
    assert result["training_chart"]["train_loss"][0]["x"] == "Epoch 1"
    assert len(result["training_chart"]["train_accuracy"]) == len(result["training_chart"]["train_loss"])
    assert result["training_chart"]["validation_loss"]
    assert sum(result["confusion_matrix"].values()) == split["test_set_rows"]
    assert Path(result["curves_path"]).read_bytes().startswith(b"\x89PNG")
    assert Path(result["model_path"]).exists()
    model = ok(http.get(f"/v1/models/{result['model_version']}"))
    assert model["split_id"] == split["split_id"]


def test_progress_before_the_end_has_no_result(http: httpx.Client, split: Any) -> None:
    task_id = ok(http.post("/process/train/start", json={}))["task_id"]
    status = ok(http.get(f"/process/train/status/{task_id}"))
    assert status["status"] in {"PENDING", "IN_PROGRESS"}
    assert status["result"] is None


def test_parameters_objective_and_split_can_be_given(http: httpx.Client, split: Any) -> None:
    ok(http.post("/process/split-data", json=split_body(sample_fraction=0.9)))
    body = {"parameters": {"n_estimators": 5}, "objective": "fixed", "threshold": 0.25, "split_id": split["split_id"]}
    result = finished(http, "/process/train/status/" + ok(http.post("/process/train/start", json=body))["task_id"])[
        "result"
    ]
    assert len(result["training_chart"]["train_loss"]) <= 5
    assert result["metrics"]["threshold"] == 0.25
    assert ok(http.get(f"/v1/models/{result['model_version']}"))["split_id"] == split["split_id"]


def test_one_class_test_set_trains_with_null_metrics_and_a_warning(http: httpx.Client) -> None:
    rows = b"".join(b"%d,%d,%d\n" % (number, number % 7, number <= 300 and number % 7 == 0) for number in range(1, 501))
    ok(store(http, b"Id,S1,Response\n" + rows), 202)
    ok(http.post("/process/split-data", json=split_body()))
    status = finished(http, "/process/train/status/" + ok(http.post("/process/train/start"))["task_id"])
    assert status["status"] == "COMPLETED"
    assert status["result"]["metrics"]["roc_auc"] is None
    assert status["result"]["warnings"]


def test_without_a_split_409(http: httpx.Client) -> None:
    assert ok(http.post("/process/train/start"), 409)["code"] == "no_split"
    ok(store(http, table()), 202)
    assert ok(http.post("/process/train/start"), 409)["code"] == "no_split"


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"objective": "best"}, {"objective"}),
        ({"parameters": {"n_estimators": 0, "nonsense": 1}, "seed": -1}, {"n_estimators", "nonsense", "seed"}),
        ({"objective": "fixed"}, {"body"}),
        ({"objective": "cost", "cost_false_positive": 1}, {"body"}),
        ({"split_id": "split-000000000000"}, {"split_id"}),
        ([], {"body"}),
        ("x", {"body"}),
    ],
)
def test_wrong_requests_are_named(uploaded: httpx.Client, body: Any, at: set[str]) -> None:
    assert {field for field, _ in problems(uploaded.post("/process/train/start", json=body))} == at


@pytest.mark.parametrize("route", ["/process/train/status/", "/process/task/status/"])
def test_ill_formed_and_unknown_task_ids(http: httpx.Client, route: str) -> None:
    for nonsense in (
        "nonsense",
        "123",
        "sim-task-x",
        "%00",
        "%ff",
        "task-XYZ",
        "a" * 2000,
        "00000000-0000-1000-8000-000000000000",
    ):
        assert ok(http.get(route + nonsense), 422)["detail"] == [
            {"loc": ["path", "task_id"], "msg": "Invalid task ID format.", "type": "value_error"}
        ]
    for unknown in ("00000000-0000-4000-8000-000000000000", "task-000000000000"):
        assert ok(http.get(route + unknown), 422)["detail"] == [
            {"loc": ["path", "task_id"], "msg": "Task ID not found", "type": "value_error.task_id"}
        ]


def test_another_kind_of_task_is_no_training(http: httpx.Client) -> None:
    task_id = ok(store(http, table(5)), 202)["task_id"]
    assert problems(http.get(f"/process/train/status/{task_id}")) == [("task_id", "value_error.task_id")]
