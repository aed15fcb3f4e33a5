import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.view.cursors import joined, more, places, read, written
from storage.view.run_view import RunView, run_view
from tests.support.view_records import lane_stats, prediction

LANES = 16


def run(rows: dict[int, list[int]]) -> RunView:
    """Rows of other systems by lane."""
    lanes = [
        lane_stats("ext-a", [prediction("ext-a", row, lane=lane) for row in found], lane=lane, lanes=LANES)
        for lane, found in rows.items()
    ]
    view = run_view("ext-a", None, lanes)
    assert view is not None
    return view


@given(st.sets(st.integers(0, 7)), st.integers(0, 1000))
def test_a_place_is_read_as_it_was_written(lanes: set[int], offset: int) -> None:
    by_lane = {lane: (offset + lane) * LANES + lane for lane in lanes}
    place = joined(by_lane)
    assert read(written(place)) == place
    found = places(run({lane: [lane] for lane in lanes} or {0: [0]}), place)
    assert {lane: index for lane, index in found.items() if index >= 0} == by_lane


@pytest.mark.parametrize("text", ["", "x", "-2", "1.", ".1", "1..2", "1.-1", str(1 << 53), "٣", " 1", "1\n"])
def test_what_is_no_place_is_none(text: str) -> None:
    assert read(text) is None


def test_a_lane_that_is_not_named_is_read_from_its_first_row() -> None:
    found = run({3: [3, 19, 35], 5: [5]})
    assert more(found, 35)
    assert more(found, (5, 19))
    assert not more(found, (5, 35))
    assert places(found, 35) == {3: 35, 5: -1}
