"""Answers of a gateway for tests that need one but not the stack: real shapes, made-up figures."""

from datetime import UTC, datetime
from typing import Any

from schemas.http.runs import (
    DiffCounts,
    Difference,
    DiffSide,
    FlippedRow,
    PredictionView,
    Run,
    RunDiff,
    RunStatistics,
    ScoreDifference,
    Truth,
)

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def statistics(total: int) -> RunStatistics:
    return RunStatistics(
        total_predictions=total,
        pass_count=total,
        fail_count=0,
        average_confidence=0.9,
        dead_letters=0,
        passed_over=0,
        average_probability_fail=0.1,
        histogram=[0, 0, total] + [0] * 17,
        truth=Truth(
            labelled=total,
            true_positives=0,
            false_positives=0,
            true_negatives=total,
            false_negatives=0,
            accuracy=1.0,
            precision=None,
            recall=None,
            f1_score=None,
            mcc=None,
        ),
        last_row_index=total - 1,
        rows_per_second=1.0,
        first_scored_at=NOON,
        last_scored_at=NOON,
    )


def run(run_id: str = "sim-task-1", status: Any = "COMPLETED", total: int = 3, **more: Any) -> Run:
    made = Run(
        run_id=run_id,
        workspace="default",
        status=status,
        attempt=1,
        dataset_id="ds-1",
        split_id="split-1",
        model_version="model-1",
        total_rows=3,
        rows_per_second=1.0,
        warmup_seconds=0,
        lanes=1,
        created_at=NOON,
        started_at=NOON,
        finished_at=NOON if status in ("COMPLETED", "STOPPED", "FAILED") else None,
        eta_seconds=None,
        statistics=statistics(total),
        error=None,
        message=None,
    )
    return made.model_copy(update=more)


def prediction(row_index: int) -> PredictionView:
    return PredictionView(
        prediction_id=f"sim-task-1:1:{row_index}",
        run_id="sim-task-1",
        attempt=1,
        lane=0,
        row_index=row_index,
        sample_id=f"SAMPLE_{row_index}",
        row_timestamp=NOON,
        prediction="PASS",
        confidence=0.9,
        probability_fail=0.1,
        threshold=0.5,
        model_version="model-1",
        top_features={"[red]59": -0.5},
        top_feature_values={"[red]59": None},
        reasons="exact",
        label="PASS",
        scored_at=NOON,
        source={"topic": "rows.v1", "partition": 0, "offset": row_index},
    )


def diff() -> RunDiff:
    def side(run_id: str) -> DiffSide:
        return DiffSide(run_id=run_id, attempt=1, status="COMPLETED", model_version="model-1", histogram=[1] * 20)

    return RunDiff(
        a=side("a"),
        b=side("b"),
        joined_by="sample_id",
        counts=DiffCounts(common=20, same=19, pass_to_fail=1, fail_to_pass=0, only_in_a=0, only_in_b=0),
        metrics={
            "fail_count": Difference(a=1, b=2, difference=1),
            "recall": Difference(a=0.5, b=0.75, difference=0.25),
        },
        common_metrics={},
        scores=ScoreDifference(mean_absolute=0.1, largest=0.5, distance=None),
        items=[
            FlippedRow(
                sample_id="SAMPLE_7",
                row_index_a=7,
                row_index_b=8,
                prediction_a="PASS",
                prediction_b="FAIL",
                probability_fail_a=0.2,
                probability_fail_b=0.7,
                label=None,
            )
        ],
        next_cursor="7",
    )


def event(name: str, data: Any, identity: int | None = None) -> str:
    head = "" if identity is None else f"id: {identity}\n"
    return f"{head}event: {name}\ndata: {data.model_dump_json()}\n\n"
