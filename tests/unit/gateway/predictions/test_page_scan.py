"""A page of old predictions, read in parts that may be given up anywhere."""

from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.predictions.offset_index import Landmarks
from gateway.predictions.page_scan import Reading
from schemas.ids import new_run_id
from schemas.messages import encode
from storage.view.run_view import RunView, run_view
from tests.support.view_records import lane_stats, prediction

RUN, OTHER, LANES = new_run_id(), new_run_id(), 2
PART = 7


class Record(NamedTuple):
    partition: int
    offset: int
    value: bytes | None


def topic(rows: list[int], strangers: list[int]) -> dict[int, list[Record]]:
    """Both partitions: lane `n` stands in partition `n`, and before each of its rows so many records of others."""
    logs: dict[int, list[Record]] = {lane: [] for lane in range(LANES)}
    for row, others in zip(rows, strangers, strict=True):
        log = logs[row % LANES]
        values = [encode(prediction(OTHER, number, lane=row % LANES)) for number in range(others)]
        values.append(encode(prediction(RUN, row, lane=row % LANES)))
        log += [Record(row % LANES, len(log) + at, value) for at, value in enumerate(values)]
    return logs


def view(rows: list[int]) -> RunView:
    """The run when it has answered these rows."""
    by_lane = {lane: [prediction(RUN, row, lane=lane) for row in rows if row % LANES == lane] for lane in range(LANES)}
    stats = [lane_stats(RUN, own, lane=lane, lanes=LANES, partition=lane) for lane, own in by_lane.items() if own]
    run = run_view(RUN, None, [replace(lane, last_answered_index=lane.last_row_index) for lane in stats])
    assert run is not None
    return run


def read(
    run: RunView, logs: dict[int, list[Record]], landmarks: Landmarks, after: int, until: int, limit: int, rounds: int
) -> Reading:
    """Read so many parts of each partition at most, then give up."""
    reading = Reading(run, landmarks, after, until, limit)
    begins, _ = reading.starts([], {lane: len(log) for lane, log in logs.items()})
    at = {partition: begins.get(partition, 0) for partition in reading.partitions}
    for _ in range(rounds):
        for partition in sorted(reading.wanted):
            if part := logs[partition][at[partition] : at[partition] + PART]:
                reading.take(part)
                at[partition] += PART
            if at[partition] >= len(logs[partition]):
                reading.end(partition)
    return reading


ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=1, max_size=60)


LAST_OF_ITS_LANE = [(True, 0), (True, 11), (False, 0), (False, 0), (False, 0), (True, 0), (True, 6), (True, 1)]
"""Of the other lane nothing is left, and its end is found by a part that begins behind the first."""


@example(present=LAST_OF_ITS_LANE, after=6, limit=1, rounds=1)
@given(present=ROWS, after=st.integers(-1, 40), limit=st.integers(1, 30), rounds=st.integers(1, 4))
def test_readings_that_are_given_up_come_to_the_end_and_leave_nothing_out(
    present: list[tuple[bool, int]], after: int, limit: int, rounds: int
) -> None:
    rows = [row for row, (there, _) in enumerate(present) if there]
    run, logs, until = (
        view(rows) if rows else None,
        topic(rows, [present[row][1] for row in rows]),
        max(rows, default=-1),
    )
    if run is None or after >= until:
        return
    landmarks, found, tries = Landmarks(every_rows=10), list[int](), 0
    while after < until:
        reading = read(run, logs, landmarks, after, until, limit, rounds)
        got = [index for index, _ in reading.rows]
        assert got == [row for row in rows if after < row <= reading.whole][:limit]
        assert reading.useful == (not reading.wanted or reading.whole > after)
        found += got
        after = got[-1] if len(got) == limit else reading.whole
        tries += 1
        assert tries <= 2 * sum(map(len, logs.values())) + 10, "no progress"
    assert found == [row for row in rows if row > (found[0] - 1 if found else until)]


def test_a_search_that_was_given_up_goes_on_where_it_stood() -> None:
    logs, landmarks = topic([100], [50]), Landmarks()
    for step in range(1, 4):
        assert not read(view([100]), logs, landmarks, -1, 100, 10, rounds=1).useful
        begins, _ = Reading(view([100]), landmarks, -1, 100, 10).starts([], {0: 51})
        assert begins == {0: step * PART}


def test_records_that_cannot_be_read_and_rows_of_others_are_passed_over() -> None:
    mine = prediction(RUN, 4, lane=0)
    values = [
        None,
        b"{",
        RUN.encode(),
        encode(replace(mine, attempt=2)),
        encode(replace(mine, redriven=True)),
        encode(mine),
    ]
    reading = Reading(view([4]), Landmarks(), -1, 4, 10)
    reading.take([Record(0, offset, value) for offset, value in enumerate(values)])
    assert (reading.rows, reading.whole, reading.wanted) == ([(4, encode(mine))], 4, set())


def test_rows_before_the_first_that_is_left_are_lost_unless_one_before_them_was_met() -> None:
    for met, lost in (([6], 6), ([0, 6], None), ([0], None)):
        reading = Reading(view([0, 6]), Landmarks(), 1, 6, 10)
        reading.take([Record(0, 90 + row, encode(prediction(RUN, row, lane=0))) for row in met])
        assert (reading.lost({0}), reading.lost({1})) == (lost, None)
    reading = Reading(view([0, 6]), Landmarks(), 1, 6, 10)
    reading.end(0)
    assert reading.lost({0}) == 7
