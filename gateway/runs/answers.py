"""A run as clients are shown it: on the simulation routes and on `/v1`. Pure."""

from typing import Literal

from gateway.predictions.truth import truth_of
from gateway.web.style import CONTRACT, Dialect
from schemas.http.runs import (
    AttemptView,
    LivePrediction,
    LiveStats,
    OffsetRange,
    Run,
    RunSource,
    RunStatistics,
    Saying,
    SimulationProgress,
    SimulationResult,
    SimulationStatus,
    Truth,
)
from schemas.messages import Prediction
from schemas.tasks import RunSpec
from storage.view.cursors import is_foreign, tail, written
from storage.view.run_view import RunView, Totals


def simulation_status(run: RunView, dialect: Dialect = CONTRACT) -> SimulationStatus:
    """Answer of `GET /simulation/status/{task_id}`."""
    if dialect.old:
        progress = _said(run) if run.totals.last is None else _progress(run, dialect)
    else:
        progress = _progress(run, dialect) if run.totals.handled else None
    return SimulationStatus(
        task_id=run.run_id,
        status=dialect.word(run.status),
        progress=progress,
        result=_result(run, dialect) if run.terminal else None,
        phase=_phase(run),
        error=run.error,
    )


_WAITING = {
    "stream_processor": "Sending waits: many rows are not scored yet.",
    "storage": "Sending waits: the storage is away.",
}


def _said(run: RunView) -> Saying | None:
    """What old clients are told while there is no prediction to show, which they read without asking whether it is
    there."""
    if run.terminal:
        return Saying(status=ending_message(run))
    if run.totals.dead_letters:
        return Saying(status=f"No row could be scored yet; {run.totals.dead_letters} are dead letters.")
    if run.status == "PENDING":
        return None
    seconds = run.spec.warmup_seconds if run.spec else 0.0
    warming = f" Warmup period of {seconds:g} seconds." if _phase(run) == "warmup" and seconds else ""
    return Saying(status=f"Initializing simulation...{warming}")


def _waiting(run: RunView) -> str | None:
    """Why nothing moves, when the producer says so."""
    return _WAITING.get((run.task.progress or {}).get("waiting_for", "")) if run.task is not None else None


def ending_message(run: RunView) -> str:
    """How the run ended, in the words of the contract."""
    if run.status == "COMPLETED":
        return f"Simulation complete. Processed {run.totals.total + run.totals.dead_letters} records."
    if run.status == "STOPPED":
        return "Simulation was stopped by the user."
    return run.error or "Simulation failed."


def run_answer(run: RunView) -> Run:
    """A run on `/v1`."""
    task, spec, foreign = run.task, run.spec, is_foreign(run)
    begun = (
        min((lane.begun_at for lane in run.lanes if lane.begun_at), default=run.totals.first_scored_at)
        if foreign
        else None
    )
    last = run.totals.last if foreign else None
    return Run(
        run_id=run.run_id,
        workspace=task.workspace if task else None,
        status=run.status,
        attempt=run.attempt,
        dataset_id=spec.dataset_id if spec else None,
        split_id=spec.split_id if spec else None,
        model_version=spec.model_version if spec else last.model_version if last else None,
        total_rows=spec.total_rows if spec else None,
        rows_per_second=ordered_pace(run),
        warmup_seconds=spec.warmup_seconds if spec else None,
        lanes=spec.lanes if spec else max(len(run.lanes), 1),
        created_at=task.created_at if task else begun,
        started_at=task.started_at if task else begun,
        finished_at=task.finished_at if task and run.terminal else None,
        eta_seconds=eta_seconds(run),
        statistics=statistics(run.totals),
        error=run.error,
        message=ending_message(run) if run.terminal else _waiting(run),
        source=_source(spec) if spec else None,
        tail=_tail(run) if foreign else None,
    )


def _source(spec: RunSpec) -> RunSource:
    replay = spec.replay
    if replay is None:
        return RunSource(kind="split", split_id=spec.split_id)
    return RunSource(
        kind="topic",
        split_id=spec.split_id,
        run_id=replay.run_id,
        attempt=replay.attempt,
        from_row=replay.from_row,
        ranges=[
            OffsetRange(topic=one.topic, partition=one.partition, from_offset=one.from_offset, to_offset=one.to_offset)
            for one in replay.ranges
        ],
        unreplayable=None if spec.total_rows is None else spec.unreplayable,
    )


def attempt_answer(run: RunView) -> AttemptView:
    """One attempt of a run."""
    return AttemptView(
        attempt=run.attempt,
        status=run.status,
        started_at=run.task.started_at if run.task else None,
        finished_at=run.task.finished_at if run.task and run.terminal else None,
        statistics=statistics(run.totals),
        error=run.error,
    )


def statistics(totals: Totals) -> RunStatistics:
    """Statistics as `/v1` and the event `stats` show them."""
    return RunStatistics(
        **_live_stats(totals, CONTRACT).model_dump(),
        dead_letters=totals.dead_letters,
        open_letters=totals.open_letters,
        passed_over=totals.passed_over,
        average_probability_fail=totals.average_probability_fail,
        histogram=totals.histogram,
        truth=truth(totals),
        last_row_index=totals.last_row_index,
        rows_per_second=totals.rows_per_second,
        first_scored_at=totals.first_scored_at,
        last_scored_at=totals.last_scored_at,
    )


def truth(totals: Totals) -> Truth | None:
    """How right the predictions are; null while no row had a label."""
    return truth_of(totals.confusion)


def eta_seconds(run: RunView) -> float | None:
    """Time to the last row at the ordered pace, else at the measured one; null when it cannot be told."""
    if run.spec is None or run.status not in ("PENDING", "IN_PROGRESS"):
        return None
    pace = ordered_pace(run) or _measured_pace(run)
    rows = run.spec.total_rows
    return max(rows - run.totals.handled, 0) / pace if pace and rows is not None else None


def _reported(run: RunView, name: str) -> float | None:
    """A figure of the producer's own report; it knows the pace of now, the statistics that of the whole run."""
    value = (run.task.progress or {}).get(name) if run.task else None
    return float(value) if isinstance(value, int | float) else None


def ordered_pace(run: RunView) -> float | None:
    if run.task is not None and "pace" in (run.task.progress or {}):
        return _reported(run, "pace")
    return run.spec.rows_per_second if run.spec else None


def _measured_pace(run: RunView) -> float | None:
    reported = None if run.terminal else _reported(run, "rows_per_second")
    return reported or run.totals.rows_per_second


def _progress(run: RunView, dialect: Dialect) -> SimulationProgress:
    totals, last = run.totals, run.totals.last
    return SimulationProgress(
        current_row_index=totals.last_row_index,
        total_rows=totals.handled if run.spec is None or run.spec.total_rows is None else run.spec.total_rows,
        quality_score=dialect.score(1.0 - last.probability_fail) if last else None,
        live_prediction=_live_prediction(last, dialect) if last else None,
        live_stats=_live_stats(totals, dialect),
        dead_letters=totals.dead_letters,
        rows_per_second=_measured_pace(run),
        eta_seconds=eta_seconds(run),
        phase="streaming",
        truth=_truth(totals, dialect),
        status=ending_message(run) if dialect.old and run.status == "FAILED" else None,
    )


def _result(run: RunView, dialect: Dialect) -> SimulationResult:
    return SimulationResult(
        live_stats=_live_stats(run.totals, dialect),
        message=ending_message(run),
        error=run.error,
        truth=_truth(run.totals, dialect),
        dead_letters=run.totals.dead_letters,
    )


def _truth(totals: Totals, dialect: Dialect) -> Truth | None:
    found = truth(totals)
    if found is None or not dialect.old:
        return found
    return Truth(**{name: dialect.figure(value) for name, value in found})


def _live_stats(totals: Totals, dialect: Dialect) -> LiveStats:
    average = totals.average_confidence
    return LiveStats(
        total_predictions=totals.total,
        pass_count=totals.pass_count,
        fail_count=totals.fail_count,
        average_confidence=dialect.figure(None if average is None else dialect.score(average)),
    )


def _live_prediction(last: Prediction, dialect: Dialect) -> LivePrediction:
    shown = {name: value or 0.0 for name, value in (last.strongest or {}).items()} if dialect.old else last.top_features
    return LivePrediction(
        timestamp=last.scored_at,
        sample_id=last.sample_id,
        prediction=dialect.verdict(last.prediction),
        confidence=dialect.score(last.confidence),
        top_features=shown,
        top_contributions=last.top_features,
        top_feature_values=last.top_feature_values,
        row_index=last.row_index,
        row_timestamp=last.row_timestamp,
        model_version=last.model_version,
    )


def _phase(run: RunView) -> Literal["waiting", "warmup", "streaming", "ended"]:
    if run.terminal:
        return "ended"
    if run.totals.handled:
        return "streaming"
    reported = (run.task.progress or {}).get("phase") if run.task else "streaming"
    if run.status == "PENDING" or reported == "reading":
        return "waiting"
    return "streaming" if reported == "streaming" else "warmup"


def _tail(run: RunView) -> int | str:
    """The place before the newest rows: a row index, or the text of those of several lanes."""
    place = tail(run)
    return place if isinstance(place, int) else written(place)
