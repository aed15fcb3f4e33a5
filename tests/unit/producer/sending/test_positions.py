"""The acknowledged position is the contiguous confirmed prefix of each lane, in whatever order confirmations come."""

from hypothesis import given
from hypothesis import strategies as st

from producer.sending.positions import Positions, Sent, first_of_lane

lane_counts = st.integers(1, 6)


@given(lane_counts, st.integers(0, 100))
def test_lanes_begin_at_their_first_row_at_or_after_the_given_one(lanes: int, row_index: int) -> None:
    for lane, position in enumerate(Positions.from_row(row_index, lanes).next):
        assert position == first_of_lane(row_index, lane, lanes)
        assert position % lanes == lane
        assert row_index <= position < row_index + lanes


@given(lane_counts, st.lists(st.integers(1, 5), min_size=1, max_size=20), st.randoms())
def test_a_position_never_passes_a_row_that_is_not_confirmed(lanes: int, sizes: list[int], random: object) -> None:
    positions = Positions.from_row(0, lanes)
    batches: list[tuple[int, Sent, int]] = []
    for number, size in enumerate(sizes):
        lane = number % lanes
        begin = positions.next[lane]
        batches.append((lane, positions.sent(lane, begin + size * lanes), begin))
    random.shuffle(batches)  # type: ignore[attr-defined]
    while batches:
        lane, sent, _ = batches.pop()
        positions.confirm(lane, sent)
        for each in range(lanes):
            lost = [begin for other, _, begin in batches if other == each]
            assert positions.acknowledged[each] == min(lost, default=positions.next[each])
    assert positions.all_confirmed
    assert positions.acknowledged == positions.next


@given(lane_counts, st.integers(0, 60), st.integers(0, 60), st.data())
def test_rows_that_were_sent_are_passed_by(lanes: int, start: int, length: int, data: st.DataObject) -> None:
    positions = Positions.from_row(0, lanes)
    for lane in range(lanes):
        positions.sent(lane, first_of_lane(data.draw(st.integers(0, 100)), lane, lanes))
    unsent = list(positions.unsent(start, start + length))
    assert unsent == [(row, row % lanes) for row in range(start, start + length) if row >= positions.next[row % lanes]]


@given(lane_counts, st.integers(0, 200))
def test_rows_before_a_position_are_counted_over_all_lanes(lanes: int, row_index: int) -> None:
    assert Positions.from_row(0, lanes).rows_before(Positions.from_row(row_index, lanes).next) == row_index


def test_a_batch_that_is_never_confirmed_holds_its_lane_alone() -> None:
    positions = Positions.from_row(0, 2)
    positions.sent(0, 4)  # lost
    positions.confirm(0, positions.sent(0, 8))
    positions.confirm(1, positions.sent(1, 5))
    assert positions.acknowledged == [0, 5]
    assert positions.next == [8, 5]
    assert not positions.all_confirmed


@given(lane_counts, st.lists(st.integers(0, 5), min_size=6, max_size=6), st.integers(0, 40), st.integers(0, 40))
def test_a_step_ends_behind_as_many_unsent_rows_as_were_asked_for(
    lanes: int, ahead: list[int], rows: int, total: int
) -> None:
    positions = Positions([lane + ahead[lane] * lanes for lane in range(lanes)])
    end = positions.behind(rows, total)
    unsent = [row_index for row_index, _ in positions.unsent(0, total)]
    assert [row_index for row_index, _ in positions.unsent(0, end)] == unsent[:rows]
