"""What never counted in a run is no row of its replay."""

from types import SimpleNamespace
from typing import Any

from producer.replay.counted import Counted
from schemas.messages import RunEnd, RunSkip


def row(index: int, epoch: int | None = 5, lanes: int = 1) -> Any:
    return SimpleNamespace(epoch=epoch, lane=index % lanes, lanes=lanes)


def taken(counted: Counted, *rows: tuple[int, int]) -> list[int]:
    return [index for index, epoch in rows if counted.row(row(index, epoch), index)]


def marker(kind: Any, epoch: int, **fields: Any) -> Any:
    return kind(run_id="r", attempt=1, epoch=epoch, lane=0, lanes=1, **fields)


def test_rows_under_an_epoch_that_is_over_sent_again_or_far_ahead_do_not_count() -> None:
    assert taken(Counted(), (0, 5), (1, 4), (1, 5), (1, 5), (900, 5), (2, 5)) == [0, 1, 2]


def test_a_newer_producer_goes_on_and_the_former_one_is_stale() -> None:
    assert taken(Counted(), (0, 5), (1, 5), (1, 7), (2, 7), (2, 5), (3, 5), (3, 7)) == [0, 1, 2, 3]


def test_nothing_counts_behind_the_end_unless_a_newer_owner_goes_on() -> None:
    counted = Counted()
    assert taken(counted, (0, 5), (1, 5)) == [0, 1]
    counted.marker(marker(RunEnd, 5, end_index=3, ending="STOPPED"))  # a row before it is missing: not taken
    assert taken(counted, (2, 5)) == [2]
    counted.marker(marker(RunEnd, 5, end_index=3, ending="STOPPED"))
    assert taken(counted, (3, 5), (3, 6)) == [3]


def test_rows_that_are_passed_over_are_followed_by_the_row_that_was_sought() -> None:
    counted = Counted()
    assert taken(counted, (0, 5)) == [0]
    counted.marker(marker(RunSkip, 4, from_index=1, to_index=50))
    counted.marker(marker(RunSkip, 5, from_index=3, to_index=60))
    assert taken(counted, (50, 5), (60, 5), (1, 5)) == [1]
    counted.marker(marker(RunSkip, 5, from_index=2, to_index=10))
    assert taken(counted, (2, 5), (10, 5)) == [10]


def test_a_range_may_begin_anywhere_and_rows_of_other_systems_all_count() -> None:
    assert taken(Counted(), (41, 5), (42, 5), (44, 5)) == [41, 42]
    assert [index for index in (3, 9, 4) if Counted().row(row(index, None), index)] == [3, 9, 4]
