"""What a page knows of a run: its state and its last rows, whatever order they are told in."""

from typing import Any

from dashboard.live import KEPT_ROWS, RunFeed
from schemas.http.runs import PredictionView, StatusEvent
from tests.support import gateway_answers as answers


def feed(**more: Any) -> RunFeed:
    return RunFeed(answers.run(status="IN_PROGRESS", total=0, **more))


def row(index: int, **more: Any) -> PredictionView:
    return answers.prediction(index).model_copy(update=more)


def shown(found: RunFeed) -> list[int]:
    return [one.row_index for one in found.rows]


def test_the_last_rows_are_kept() -> None:
    found = feed()
    for index in range(KEPT_ROWS + 5):
        found.take(row(index))
    assert shown(found) == list(range(5, KEPT_ROWS + 5))


def test_a_repaired_row_stands_in_its_place_once() -> None:
    found = feed()
    for index in (0, 1, 3):
        found.take(row(index))
    for _ in range(2):
        found.take(row(2, redriven=True))
    assert shown(found) == [0, 1, 2, 3]


def test_the_next_attempt_begins_with_no_rows_and_what_comes_late_of_the_former_is_left_out() -> None:
    found = feed()
    found.take(row(7))
    found.take(StatusEvent(run_id="sim-task-1", status="PAUSED", attempt=2))
    found.take(row(8))
    assert (shown(found), found.run.attempt, found.run.status) == ([], 2, "PAUSED")
    found.take(row(3, attempt=2))
    assert shown(found) == [3]


def test_time_left_is_reckoned_from_what_was_handled() -> None:
    found = feed()
    found.take(answers.statistics(1))
    assert found.run.eta_seconds == 2.0
