"""A lane that lacks rows which the broker has had ends as FAILED, and no other does."""

import msgspec
import pytest

from runtime.run_epochs import NewestAttempt
from schemas.ids import stats_key
from schemas.messages import LaneStats, Source, encode
from schemas.tasks import Command
from stream_processor.missing import Audit, ended, lost_lanes
from tests.support.view_records import prediction
from tests.unit.stream_processor.toys import NOW, PARTITIONS, home, partition_of

RUN = "sim-task-11111111-1111-4111-8111-111111111111"
HOME = home(RUN)
Table = dict[bytes, bytes]


def stats(last_row_index: int, *, finished: bool = False, scored: int = 9) -> Table:
    """`scored`: where the last row stood; rows that cannot be counted were read behind it."""
    lane = LaneStats(
        run_id=RUN,
        attempt=1,
        lane=0,
        lanes=1,
        partition=HOME,
        offset=scored + 5,
        epoch=7,
        last_row_index=last_row_index,
    )
    lane.last = prediction(RUN, last_row_index)
    lane.last.source = Source("rows.v1", HOME, scored)
    lane.finished = "COMPLETED" if finished else None
    return {stats_key(RUN, 1, 0): encode(lane)}


def place(acknowledged: int, *, ended: bool = False, failed: bool = False) -> NewestAttempt:
    return NewestAttempt(1, 7, (acknowledged,), ended, failed)


def lost(table: Table, where: NewestAttempt, partition: int = HOME) -> list[LaneStats]:
    return [lane for lane, _ in lost_lanes({RUN: where}, table.get, partition, partition_of)]


@pytest.mark.parametrize(
    ("table", "where", "is_lost"),
    [
        (stats(4), place(5), False),
        (stats(4), place(3), False),
        (stats(4), place(6), True),
        ({}, place(1), True),
        ({}, place(0), False),
        (stats(4, finished=True), place(9, ended=True), False),
        (stats(4), place(5, ended=True), True),
        ({}, place(5, ended=True), True),
        ({}, place(0, ended=True), True),
        ({}, place(0, ended=True, failed=True), False),
    ],
)
def test_a_lane_is_lost_when_it_lacks_rows_or_its_end(table: Table, where: NewestAttempt, is_lost: bool) -> None:
    assert bool(lost(table, where)) is is_lost
    assert lost(table, where, (HOME + 1) % PARTITIONS) == []


def test_it_ends_as_failed_with_what_is_missing_and_the_producer_is_told() -> None:
    table = stats(4, scored=99)
    outcome = ended(lost_lanes({RUN: place(20)}, table.get, HOME, partition_of), 130, 131, NOW)
    ((key, value),) = outcome.states
    lane = msgspec.json.decode(value, type=LaneStats)
    assert (key, lane.finished, lane.limit_reached, lane.last_row_index) == (stats_key(RUN, 1, 0), "FAILED", True, 4)
    assert (
        lane.message
        == f"Stopped at row 5: rows 5 to 19 are missing; offsets 100 to 129 of partition {HOME} were removed before"
        " they were scored."
    )
    ((_, order),) = outcome.commands
    command = msgspec.json.decode(order, type=Command)
    assert (command.command, command.task_id, command.arguments) == (
        "fail",
        RUN,
        {"attempt": 1, "message": lane.message},
    )


def test_of_a_run_that_is_over_only_the_lane_is_ended() -> None:
    outcome = ended(lost_lanes({RUN: place(5, ended=True)}, Table().get, HOME, partition_of), 40, 40, NOW)
    assert outcome.commands == []
    assert msgspec.json.decode(outcome.states[0][1], type=LaneStats).finished == "FAILED"
    outcome = ended(lost_lanes({RUN: place(5, ended=True)}, stats(4).get, HOME, partition_of), 0, 40, NOW)
    assert "the end of lane 0 is missing" in msgspec.json.decode(outcome.states[0][1], type=LaneStats).message


def test_a_run_is_compared_once_all_is_read_that_was_there_when_it_was_noted() -> None:
    audit = Audit(partition_of)
    assert audit.opened([HOME]) == {HOME}
    assert audit.opened([HOME]) == set()
    audit.note(RUN, place(5))
    assert audit.due(HOME, 10, end=12) == {}
    audit.note(RUN, place(9))  # moved on: what was noted first is still compared first
    assert audit.due(HOME, 11, end=20) == {}
    assert audit.due(HOME, 12, end=20) == {RUN: place(5)}
    assert audit.due(HOME, 19, end=25) == {}
    assert audit.due(HOME, 20, end=25) == {RUN: place(9)}
    assert audit.due(HOME, 25, end=25) == {}


def test_runs_of_other_partitions_are_not_noted() -> None:
    audit = Audit(partition_of)
    other = (HOME + 1) % PARTITIONS
    audit.opened([other])
    audit.note(RUN, place(5))
    assert audit.due(other, 10, end=10) == {}
