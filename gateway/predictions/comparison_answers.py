"""A comparison of two runs as clients are shown it. Pure."""

from bisect import bisect_right
from typing import Literal

from gateway.predictions.differences import Comparison, difference, differences, flipped_row
from schemas.http.runs import DiffSide, RunDiff
from storage.view.run_view import RunView

Only = Literal["flipped", "pass_to_fail", "fail_to_pass"]
WANTED = {"flipped": ("PASS", "FAIL"), "pass_to_fail": ("FAIL",), "fail_to_pass": ("PASS",)}
"""What run b says of the rows that are listed."""


def diff_answer(a: RunView, b: RunView, comparison: Comparison, only: Only, after: int, limit: int) -> RunDiff:
    """Up to `limit` flipped rows whose index in run a is above `after`, and the figures of all rows."""
    begin = bisect_right(comparison.flips, after, key=lambda flip: flip.a.row_index)
    listed = [flip for flip in comparison.flips[begin:] if flip.b.prediction in WANTED[only]]
    metrics = differences(*comparison.whole)
    metrics["dead_letters"] = difference(a.totals.dead_letters, b.totals.dead_letters)
    metrics["passed_over"] = difference(a.totals.passed_over, b.totals.passed_over)
    return RunDiff(
        a=_side(a, comparison.whole[0].histogram),
        b=_side(b, comparison.whole[1].histogram),
        joined_by="row_index" if comparison.by_row_index else "sample_id",
        counts=comparison.counts(),
        metrics=metrics,
        common_metrics=differences(*comparison.common),
        scores=comparison.scores(),
        items=[flipped_row(flip) for flip in listed[:limit]],
        next_cursor=str(listed[limit - 1].a.row_index) if len(listed) > limit else None,
    )


def _side(run: RunView, histogram: list[int]) -> DiffSide:
    version = run.spec.model_version if run.spec else run.totals.last.model_version if run.totals.last else None
    return DiffSide(
        run_id=run.run_id, attempt=run.attempt, status=run.status, model_version=version, histogram=histogram
    )
