"""A run in the words of the contract, in both styles."""

from typing import Any

import pytest

from gateway.runs.answers import eta_seconds, run_answer, simulation_status, truth
from gateway.web.style import OLD
from schemas.http.runs import Saying, SimulationProgress
from schemas.messages import Confusion, LaneStats, Status
from schemas.tasks import RunSpec
from storage.view.run_view import RunView, Totals, merge, run_view
from tests.support.view_records import at, lane_stats, prediction, task

SPEC = RunSpec(dataset_id="ds-0", split_id="split-0", model_version="model-0", total_rows=100, rows_per_second=2.0)


def run(status: Status, rows: int, *, dead_letters: int = 0, **changes: Any) -> RunView:
    answered = [prediction("r", i, scored_at=at(i)) for i in range(rows)]
    lane = lane_stats("r", answered, dead_letters=dead_letters, last_row_index=rows + dead_letters - 1)
    view = run_view("r", task("r", status=status, spec=SPEC, **changes), [lane])
    assert view is not None
    return view


def test_progress_is_null_before_the_first_row() -> None:
    shown = simulation_status(run("IN_PROGRESS", 0))
    assert (shown.progress, shown.result, shown.phase) == (None, None, "warmup")


def test_row_that_became_a_dead_letter_shows_progress_without_a_prediction() -> None:
    progress = simulation_status(run("IN_PROGRESS", 0, dead_letters=1)).progress
    assert isinstance(progress, SimulationProgress)
    assert (progress.current_row_index, progress.dead_letters, progress.live_prediction, progress.quality_score) == (
        0,
        1,
        None,
        None,
    )
    assert progress.live_stats.average_confidence is None


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("COMPLETED", "Simulation complete. Processed 7 records."),
        ("STOPPED", "Simulation was stopped by the user."),
        ("FAILED", "no model"),
    ],
)
def test_result_says_how_the_run_ended(status: Status, message: str) -> None:
    result = simulation_status(run(status, 5, dead_letters=2, error="no model" if status == "FAILED" else None)).result
    assert result is not None
    assert result.message == message


def test_old_clients_see_their_words_and_percentages() -> None:
    shown = simulation_status(run("COMPLETED", 3), OLD)
    assert shown.status == "SUCCESS"
    assert isinstance(shown.progress, SimulationProgress)
    assert shown.progress.live_prediction is not None
    assert (shown.progress.quality_score, shown.progress.live_prediction.confidence) == (75.0, 75.0)
    assert shown.progress.live_prediction.prediction == "Pass"
    assert shown.progress.live_stats.average_confidence == 75.0


def told(view: RunView) -> str | None:
    progress = simulation_status(view, OLD).progress
    assert progress is None or isinstance(progress, Saying)
    return None if progress is None else progress.status


def test_old_clients_are_told_what_goes_on_before_the_first_prediction() -> None:
    assert told(run("PENDING", 0)) is None
    assert (
        told(run("IN_PROGRESS", 0, progress={"phase": "warmup"}))
        == "Initializing simulation... Warmup period of 10 seconds."
    )
    assert told(run("IN_PROGRESS", 0, progress={"phase": "streaming"})) == "Initializing simulation..."
    assert told(run("IN_PROGRESS", 0, dead_letters=2)) == "No row could be scored yet; 2 are dead letters."


@pytest.mark.parametrize("rows", [0, 3])
def test_old_clients_find_the_reason_of_a_failure_in_the_progress(rows: int) -> None:
    shown = simulation_status(run("FAILED", rows, error="no model"), OLD)
    assert shown.progress is not None
    assert (shown.status, shown.progress.status) == ("FAILURE", "no model")
    assert shown.result is not None
    assert (shown.result.message, shown.result.error) == ("no model", "no model")


def test_old_clients_see_the_same_features_in_each_row_and_no_null() -> None:
    view = run("IN_PROGRESS", 2)
    assert view.totals.last is not None
    view.totals.last.strongest = {"S9": None, "S1": 0.25, "S4": -1.0}
    shown = simulation_status(view, OLD).progress
    assert isinstance(shown, SimulationProgress)
    assert shown.live_prediction is not None
    assert list(shown.live_prediction.top_features.items()) == [("S9", 0.0), ("S1", 0.25), ("S4", -1.0)]
    assert shown.live_prediction.top_contributions == view.totals.last.top_features
    plain = simulation_status(view).progress
    assert isinstance(plain, SimulationProgress)
    assert plain.live_prediction is not None
    assert plain.live_prediction.top_features == view.totals.last.top_features


def test_own_routes_keep_plain_words() -> None:
    assert run_answer(run("STOPPED", 3)).status == "STOPPED"


def test_time_left_follows_the_ordered_pace_as_the_producer_reports_it() -> None:
    assert eta_seconds(run("IN_PROGRESS", 10)) == 45.0
    assert eta_seconds(run("IN_PROGRESS", 10, progress={"pace": 9.0, "rows_per_second": 3.0})) == 10.0
    assert eta_seconds(run("IN_PROGRESS", 10, progress={"pace": None, "rows_per_second": 30.0})) == 3.0
    assert eta_seconds(run("PAUSED", 10)) is None


def totals(**confusion: int) -> Totals:
    lane = lane_stats("r", [prediction("r", 0)])
    lane.confusion = Confusion(**confusion)
    return merge([lane])


def test_truth_has_fail_as_the_positive_class() -> None:
    found = truth(totals(tp=3, fp=1, tn=4, fn=2))
    assert found is not None
    assert (found.labelled, found.accuracy, found.precision, found.recall) == (10, 0.7, 0.75, 0.6)
    assert found.f1_score == pytest.approx(2 * 0.75 * 0.6 / 1.35)
    assert found.mcc == pytest.approx((3 * 4 - 1 * 2) / (4 * 5 * 5 * 6) ** 0.5)


def test_ratio_without_a_base_is_null() -> None:
    found = truth(totals(tn=5))
    assert found is not None
    assert (found.accuracy, found.precision, found.recall, found.f1_score, found.mcc) == (1.0, None, None, None, None)


def test_rows_without_labels_have_no_truth() -> None:
    assert truth(totals()) is None


def test_the_tail_of_another_systems_run_in_several_lanes_is_text() -> None:
    lanes = [
        LaneStats(
            run_id="ext-line-1",
            attempt=1,
            lane=lane,
            lanes=16,
            partition=lane,
            offset=-1,
            epoch=0,
            last_row_index=16 * 5000 + lane,
        )
        for lane in (3, 5)
    ]
    one, several = run_view("ext-line-1", None, lanes[:1]), run_view("ext-line-1", None, lanes)
    assert one is not None
    assert several is not None
    assert isinstance(run_answer(one).tail, int)
    assert str(run_answer(several).tail).count(".") == 1
