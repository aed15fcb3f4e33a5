"""Lanes become one run; what is shown is terminal only when the numbers are final."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import LaneStats, Status, encode
from schemas.tasks import FormerAttempt, RunSpec, TaskState
from storage.view.answers import Extent, Late, Reach, extent, late_rows
from storage.view.run_view import RunView, run_view
from storage.view.views import Views
from tests.support.view_records import at, lane_stats, prediction, task

SPEC = RunSpec(dataset_id="ds-0", split_id="split-0", model_version="model-0", total_rows=10, lanes=2)


def run(status: Status = "IN_PROGRESS", *, finished: int = 0, ended_lanes: int = 0) -> RunView:
    lanes = [
        lane_stats(
            "r",
            [prediction("r", i, lane=lane, fail=i == 3) for i in range(lane, 10, 2)],
            lane=lane,
            lanes=2,
            finished=None,
        )
        for lane in (0, 1)
    ]
    for lane in lanes[:finished]:
        lane.finished = "COMPLETED"
    view = run_view("r", task("r", status=status, ended_lanes=ended_lanes, spec=SPEC), lanes)
    assert view is not None
    return view


def test_lanes_add_up() -> None:
    totals = run().totals
    assert (totals.total, totals.pass_count, totals.fail_count) == (10, 9, 1)
    assert totals.average_confidence == 0.75
    assert totals.average_probability_fail == pytest.approx(0.3)
    assert totals.last is not None
    assert totals.last.row_index == totals.last_row_index == 9
    assert totals.confusion.fp == 1


def test_nothing_known_is_no_run() -> None:
    assert run_view("r", None, []) is None


@pytest.mark.parametrize(("finished", "shown"), [(0, "IN_PROGRESS"), (1, "IN_PROGRESS"), (2, "COMPLETED")])
def test_run_is_shown_completed_only_when_every_lane_is_counted_to_its_end(finished: int, shown: Status) -> None:
    assert run("COMPLETED", finished=finished, ended_lanes=2).status == shown


def test_run_that_ended_before_any_lane_began_is_terminal_at_once() -> None:
    assert run("STOPPED", ended_lanes=0).terminal


def test_only_the_newest_attempt_counts() -> None:
    lanes = [lane_stats("r", [prediction("r", 0)], attempt=1), lane_stats("r", [], attempt=2)]
    view = run_view("r", task("r", attempt=2), lanes)
    assert view is not None
    assert (view.attempt, view.totals.total) == (2, 0)


def test_rows_of_another_system_are_a_run_without_a_task() -> None:
    view = run_view("ext-a", None, [lane_stats("ext-a", [prediction("ext-a", 70, lane=3)], lane=3)])
    assert view is not None
    assert (view.status, view.spec, view.totals.total) == ("IN_PROGRESS", None, 1)


def test_measured_pace_is_rows_over_time() -> None:
    view = run_view("r", None, [lane_stats("r", [prediction("r", i, scored_at=at(2 * i)) for i in range(5)])])
    assert view is not None
    assert view.totals.rows_per_second == 0.5


def extent_of(
    view: RunView, low: dict[int, int], high: dict[int, int], floor: int = 0, count: int = 10
) -> tuple[int, int, int]:
    found = extent(view, Reach(low, high, floor, count))
    return found.floor, found.shown, found.committed


def test_rows_are_shown_up_to_the_slowest_lane() -> None:
    assert extent_of(run(), {0: 0, 1: 1}, {0: 8, 1: 5}, count=8)[1] == 5


def test_lane_that_is_finished_holds_nothing_up() -> None:
    assert extent_of(run(finished=1), {0: 0, 1: 1}, {0: 8, 1: 9}) == (0, 9, 9)


def test_lane_without_any_row_holds_everything_up() -> None:
    lane = lane_stats("r", [prediction("r", 0)], lane=0, lanes=2)
    view = run_view("r", task("r", spec=SPEC), [lane])
    assert view is not None
    assert extent_of(view, {0: 0}, {0: 0}, count=1) == (0, -1, -1)


def test_rows_missing_in_redis_are_read_from_kafka() -> None:
    found = extent(run(finished=2), Reach({0: 6, 1: 7}, {0: 8, 1: 9}, 6, 4))
    assert found.source(-1) == ("kafka", 6)
    assert found.source(6) == ("redis", 9)
    assert found.source(9) == ("nothing", 9)


def test_rows_of_an_empty_redis_are_all_read_from_kafka() -> None:
    assert extent(run(finished=2), Reach({}, {}, 0, 0)).source(-1) == ("kafka", 9)


def test_rows_counted_but_not_yet_in_redis_are_in_kafka_only() -> None:
    found = extent(run(), Reach({0: 0, 1: 1}, {0: 8, 1: 7}, 0, 9))
    assert found.source(7) == ("kafka", 8)


def test_first_rows_that_were_dead_letters_do_not_send_readers_to_kafka() -> None:
    view = run_view("r", task("r"), [lane_stats("r", [prediction("r", i) for i in (2, 3)], dead_letters=2)])
    assert view is not None
    assert extent(view, Reach({0: 2}, {0: 3}, 0, 2)).source(-1) == ("redis", 3)


def _with_redriven(lane: LaneStats, *rows: int) -> LaneStats:
    """The lane after these rows were redriven."""
    lane.redriven = [(1_000_000, list(rows))]
    lane.total += len(rows)
    lane.last_answered_index = lane.last.row_index if lane.last else -1
    late = msgspec.structs.replace(prediction("r", max(rows)), redriven=True)
    lane.last = max([row for row in (lane.last, late) if row], key=lambda row: row.row_index)
    lane.last_row_index = max(lane.last_row_index, *rows)
    return lane


def test_redriven_rows_disturb_neither_what_is_shown_nor_the_pace() -> None:
    lane = lane_stats("r", [prediction("r", i, scored_at=at(i)) for i in (1, 2, 3)], last_row_index=9)
    view = run_view("r", task("r"), [_with_redriven(lane, 0, 7)])
    assert view is not None
    assert extent(view, Reach({0: 1}, {0: 3}, 0, 3)) == Extent(floor=0, shown=9, committed=9)
    assert late_rows(view, -1, 6) == {0: Late(0, 1_000_000)}
    assert list(late_rows(view, -1, 9)) == [0, 7]
    assert (view.totals.redriven, view.totals.rows_per_second) == (2, 1.0)
    assert view.totals.last is not None
    assert view.totals.last.row_index == 7


def test_run_of_dead_letters_that_were_all_redriven_needs_no_other_predictions() -> None:
    view = run_view("r", task("r"), [_with_redriven(lane_stats("r", [], last_row_index=1), 0, 1)])
    assert view is not None
    assert extent(view, Reach({}, {}, 0, 0)) == Extent(floor=0, shown=1, committed=1)


@pytest.mark.parametrize(
    ("status", "shown"), [("IN_PROGRESS", "IN_PROGRESS"), ("COMPLETED", "FAILED"), ("STOPPED", "FAILED")]
)
def test_run_with_a_lane_of_too_many_dead_letters_has_failed_once_it_is_over(status: Status, shown: Status) -> None:
    first = lane_stats("r", [], lane=0, lanes=2, finished="COMPLETED")
    second = lane_stats("r", [], lane=1, lanes=2, finished="FAILED")
    first.message, second.message, second.limit_reached = "stopped", "too many", True
    view = run_view("r", task("r", status=status, ended_lanes=2, spec=SPEC), [first, second])
    assert view is not None
    assert (view.status, view.error) == (shown, "too many" if view.terminal else None)


@given(
    highs=st.lists(st.integers(-1, 20), min_size=1, max_size=4),
    counted=st.lists(st.integers(-1, 20), min_size=4, max_size=4),
    after=st.integers(-1, 25),
)
def test_nothing_is_ever_shown_beyond_what_every_unfinished_lane_has(
    highs: list[int], counted: list[int], after: int
) -> None:
    lanes = len(highs)
    spec = RunSpec(dataset_id="d", split_id="s", model_version="m", total_rows=100, lanes=lanes)
    stats = [
        lane_stats(
            "r", [prediction("r", i, lane=lane) for i in range(lane, counted[lane] + 1, lanes)], lane=lane, lanes=lanes
        )
        for lane in range(lanes)
    ]
    view = run_view("r", task("r", spec=spec), stats)
    assert view is not None
    reach = {lane: high - (high - lane) % lanes for lane, high in enumerate(highs) if high >= lane}
    source, until = extent(view, Reach(dict.fromkeys(reach, 0), reach, 0, 0)).source(after)
    known = [max(reach.get(lane, -1), stats[lane].last_row_index) for lane in range(lanes)]
    if source == "redis":
        assert until <= min(max(known[lane], reach.get(lane, -1)) for lane in range(lanes))
    if source == "kafka":
        assert until <= min(stats[lane].last_row_index for lane in range(lanes))
    assert until >= after or source == "nothing"


class Remembered:
    """A view of one run."""

    def __init__(self, task: TaskState | None, lanes: list[LaneStats]) -> None:
        self._answer: list[object] = [
            task and encode(task),
            {b"%d:%d" % (one.attempt, one.lane): b"1 " + encode(one) for one in lanes},
        ]

    async def read(self, fill: object) -> list[object]:
        return self._answer


@pytest.mark.parametrize("attempt", [2**31 - 1, 10**6])
async def test_attempts_that_left_nothing_are_not_counted_up(attempt: int) -> None:
    alone = Views(Remembered(None, [lane_stats("zz", [], attempt=attempt)]))  # type: ignore[arg-type]
    assert [view.attempt for view in await alone.attempts("zz")] == [attempt]
    state = task(
        "r",
        attempt=attempt,
        former=[FormerAttempt(attempt=3, status="STOPPED", started_at=None, finished_at=None, ended_lanes=0)],
    )
    both = Views(Remembered(state, [lane_stats("r", [], attempt=1), lane_stats("r", [], attempt=attempt)]))  # type: ignore[arg-type]
    assert [view.attempt for view in await both.attempts("r")] == [attempt, 3, 1]
