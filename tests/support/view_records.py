"""Records of our own topics, for tests of what is made of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from schemas.ids import prediction_id
from schemas.manifests import (
    Choice,
    ConfusionMatrix,
    DatasetManifest,
    DateRange,
    LabelCounts,
    Metrics,
    ModelManifest,
    SetManifest,
    SplitManifest,
    TimeAxis,
)
from schemas.messages import Confusion, DeadLetter, Ending, LaneStats, Prediction, Source, Status
from schemas.tasks import LogEntry, RunSpec, TaskKind, TaskState

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """A moment after the start of all tests."""
    return START + timedelta(seconds=seconds)


def prediction(
    run_id: str, row_index: int, *, lane: int = 0, attempt: int = 1, fail: bool = False, scored_at: datetime = START
) -> Prediction:
    return Prediction(
        prediction_id=prediction_id(run_id, attempt, row_index),
        run_id=run_id,
        attempt=attempt,
        lane=lane,
        row_index=row_index,
        sample_id=f"SAMPLE_{row_index}",
        row_timestamp=at(row_index),
        prediction="FAIL" if fail else "PASS",
        confidence=0.75,
        probability_fail=0.75 if fail else 0.25,
        threshold=0.5,
        model_version="model-0",
        top_features={"S1": 0.5, "S2": -0.25},
        top_feature_values={"S1": 1.5, "S2": None},
        reasons="exact",
        label="PASS",
        scored_at=scored_at,
        source=Source("rows.v1", 0, row_index),
    )


def lane_stats(
    run_id: str,
    rows: list[Prediction],
    *,
    lane: int = 0,
    lanes: int = 1,
    attempt: int = 1,
    partition: int = 0,
    last_row_index: int | None = None,
    finished: Ending | None = None,
    dead_letters: int = 0,
) -> LaneStats:
    """Statistics of a lane that has answered these rows."""
    failed = sum(row.prediction == "FAIL" for row in rows)
    last = max(rows, key=lambda row: row.row_index, default=None)
    return LaneStats(
        run_id=run_id,
        attempt=attempt,
        lane=lane,
        lanes=lanes,
        partition=partition,
        offset=len(rows),
        epoch=0 if run_id.startswith("ext-") else 1,
        last_row_index=last_row_index if last_row_index is not None else last.row_index if last else -1,
        total=len(rows),
        pass_count=len(rows) - failed,
        fail_count=failed,
        dead_letters=dead_letters,
        confidence_sum=sum((row.confidence for row in rows), 0.0),
        probability_fail_sum=sum((row.probability_fail for row in rows), 0.0),
        confusion=Confusion(fp=failed, tn=len(rows) - failed),
        last=last,
        first_scored_at=rows[0].scored_at if rows else None,
        last_scored_at=rows[-1].scored_at if rows else None,
        finished=finished,
    )


def task(
    task_id: str,
    *,
    kind: TaskKind = "run",
    status: Status = "IN_PROGRESS",
    workspace: str = "default",
    created_at: datetime = START,
    spec: RunSpec | None = None,
    **changes: Any,
) -> TaskState:
    """A task; of a run, by default, of one lane and ten rows."""
    ordered = spec or RunSpec(dataset_id="ds-0", split_id="split-0", model_version="model-0", total_rows=10)
    fields: dict[str, Any] = {"attempt": 1, "epoch": 0, "updated_at": created_at} | changes
    return TaskState(
        task_id=task_id,
        kind=kind,
        workspace=workspace,
        status=status,
        created_at=created_at,
        spec=msgspec.to_builtins(ordered)
        if kind == "run"
        else {"dataset_id": "ds-0", **({"split_id": "split-0"} if kind == "training" else {})},
        **fields,
    )


def dead_letter(run_id: str | None, row_index: int, *, offset: int = 0, value: bytes = b"{") -> DeadLetter:
    return DeadLetter(
        dead_letter_id=f"rows.v1:0:{offset}",
        reason="undecodable",
        message="no JSON",
        path=None,
        topic="rows.v1",
        partition=0,
        offset=offset,
        key=run_id.encode() if run_id else None,
        value=value,
        headers={},
        run_id=run_id,
        attempt=1 if run_id else None,
        lane=0,
        row_index=row_index,
        model_version=None,
        occurred_at=at(row_index),
    )


def log_entry(task_id: str, number: int) -> LogEntry:
    return LogEntry(task_id=task_id, timestamp=at(number), level="INFO", source="test", message=f"step {number}")


def dataset(
    dataset_id: str,
    *,
    workspace: str = "default",
    created_at: datetime = START,
    features: tuple[str, ...] = ("S1", "S2"),
) -> DatasetManifest:
    return DatasetManifest(
        dataset_id=dataset_id,
        workspace=workspace,
        file_name="parts.csv",
        file_size=1000,
        sha256="0" * 64,
        path="files/0/data.parquet",
        created_at=created_at,
        row_count=100,
        column_count=4,
        columns=[],
        features=list(features),
        label=Choice(value="Response", reason="named so", detected=True),
        labels=LabelCounts(pass_value="0", fail_value="1", pass_count=90, fail_count=10),
        id_column=None,
        time=TimeAxis(
            column="synthetic_timestamp", synthetic=True, start=START, step_seconds=1, reason="no time column"
        ),
        first_timestamp=START,
        last_timestamp=at(99),
    )


def split(
    split_id: str, dataset_id: str, *, workspace: str = "default", created_at: datetime = START, rows: int = 10
) -> SplitManifest:
    def part(name: str, first: int) -> SetManifest:
        return SetManifest(
            path=f"splits/{split_id}/{name}.parquet",
            range=DateRange(start=at(first), end=at(first + 9)),
            rows=rows,
            failures=1,
        )

    return SplitManifest(
        split_id=split_id,
        dataset_id=dataset_id,
        workspace=workspace,
        created_at=created_at,
        sample_fraction=1.0,
        seed=0,
        train=part("train", 0),
        test=part("test", 10),
        simulation=part("simulation", 20),
        daily_distribution={"2026-01-01": 100},
    )


def model(
    model_version: str,
    *,
    workspace: str = "default",
    created_at: datetime = START,
    dataset_id: str = "ds-0",
    features: tuple[str, ...] = ("S1",),
) -> ModelManifest:
    matrix = ConfusionMatrix(true_positives=1, false_positives=0, true_negatives=9, false_negatives=0)
    metrics = Metrics(
        accuracy=1.0,
        precision=1.0,
        recall=1.0,
        f1_score=1.0,
        mcc=1.0,
        roc_auc=1.0,
        pr_auc=1.0,
        threshold=0.5,
        rows=10,
        confusion_matrix=matrix,
    )
    return ModelManifest(
        model_version=model_version,
        workspace=workspace,
        task_id="task-000000000000",
        dataset_id=dataset_id,
        dataset_sha256="0" * 64,
        split_id="split-0",
        created_at=created_at,
        features=list(features),
        ignored_features=["S2"],
        label="Response",
        pass_value="0",
        threshold=0.5,
        threshold_objective="mcc",
        best_iteration=1,
        parameters={},
        seed=0,
        validation_metrics=metrics,
        test_metrics=metrics,
        feature_gains={},
        reference={},
        library_versions={},
        files={},
    )
