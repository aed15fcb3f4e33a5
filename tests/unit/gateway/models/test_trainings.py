"""A training as each dialect shows it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.models.trainings import task_status, training, training_status
from gateway.web.style import CONTRACT, OLD
from schemas.messages import Status
from schemas.tasks import TaskState

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
POINTS = [{"x": f"Epoch {number}", "y": 0.5 / number} for number in (1, 2, 3)]
RESULT: dict[str, Any] = {
    "metrics": {"accuracy": 1.0, "precision": None, "recall": None, "f1_score": None, "mcc": None, "threshold": 0.5},
    "training_chart": {"train_loss": POINTS, "train_accuracy": POINTS, "validation_loss": []},
    "confusion_matrix": {"true_positives": 0, "false_positives": 0, "true_negatives": 9, "false_negatives": 0},
    "model_path": "models/m/model.ubj",
    "curves_path": "models/m/curves.png",
    "model_version": "model-0",
}


def task(status: Status, **more: Any) -> TaskState:
    given: dict[str, Any] = {"attempt": 1, "epoch": 1, "created_at": NOON, "updated_at": NOON, "spec": {}} | more
    return TaskState(task_id="t", kind="training", workspace="w", status=status, **given)


def test_old_clients_read_numbers_where_they_declare_numbers() -> None:
    shown = training_status(task("COMPLETED", result=RESULT), OLD, "file:///data")
    assert shown.status == "SUCCESS"
    assert shown.result is not None
    metrics = shown.result.metrics
    assert (metrics.accuracy, metrics.precision, metrics.recall, metrics.f1_score, metrics.roc_auc) == (
        1.0,
        0.0,
        0.0,
        0.0,
        0.0,
    )
    assert [(point.x, point.y) for point in shown.result.training_chart.train_loss] == [
        (0, 0.5),
        (1, 0.25),
        (2, 0.5 / 3),
    ]
    assert [type(point.x) for point in shown.result.training_chart.train_accuracy] == [int] * 3


def test_contract_and_own_routes_say_what_is_undefined() -> None:
    for shown in (
        training_status(task("COMPLETED", result=RESULT), CONTRACT, ""),
        training(task("COMPLETED", result=RESULT), ""),
    ):
        assert shown.status == "COMPLETED"
        assert shown.result is not None
        assert shown.result.metrics.precision is None
        assert shown.result.training_chart.train_loss[0].x == "Epoch 1"


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        ("FAILED", "Training set has one class.", "Training set has one class."),
        ("FAILED", None, "It failed; no reason is known."),
        ("STOPPED", None, "It was cancelled."),
    ],
)
@pytest.mark.parametrize("progress", [None, {"status": "Training XGBoost model...", "percent": 40.0}])
def test_old_clients_find_the_reason_in_the_progress(
    status: Status, error: str | None, reason: str, progress: Any
) -> None:
    shown = training_status(task(status, error=error, progress=progress), OLD, "")
    assert shown.progress is not None
    assert (shown.status, shown.progress.status) == ({"FAILED": "FAILURE", "STOPPED": "REVOKED"}[status], reason)
    assert task_status(task(status, error=error, progress=progress), CONTRACT, "").progress == progress


def test_nothing_is_made_up_before_the_end() -> None:
    assert training_status(task("PENDING"), OLD, "").progress is None
    assert training_status(task("IN_PROGRESS", progress={"status": "x", "percent": 1}), OLD, "").result is None
