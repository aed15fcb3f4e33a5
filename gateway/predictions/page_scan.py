"""Reading a page of old predictions from the records of `predictions.v1`, part by part: what was met, and how far it is
whole. Pure.

A reading that is given up halfway is no loss: `whole` says how far its rows go, and the landmarks let the next one
begin where it stood."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from gateway.predictions.offset_index import Landmark, Landmarks
from schemas.bounds import Attempt, Count, Id, Lane
from schemas.decoding import Unreadable, reader
from schemas.ids import is_task_id
from schemas.messages import LaneStats
from storage.view.answers import last_in_order
from storage.view.run_view import RunView


class Met(Protocol):
    """A record that was read."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


class _Where(msgspec.Struct):
    run_id: Id
    attempt: Attempt
    lane: Lane
    row_index: Count
    redriven: bool = False


_where = reader(_Where)


@dataclass(slots=True)
class _Lane:
    """What was read of one lane. `reached`: a row at or behind `after` was met, so none between was lost to
    retention."""

    number: int
    step: int | None
    partition: int
    rows: dict[int, bytes] = field(default_factory=dict)
    reached: bool = False
    done: bool = False

    def lost_before(self, after: int) -> int | None:
        """The first row index that is left when rows may be missing before it; `-1`: none is left."""
        first = min(self.rows, default=-1)
        expected = None if self.step is None else after + 1 + (self.number - after - 1) % self.step
        return None if self.reached or first == expected else first


class Reading:
    """The first `limit` rows of a run's attempt with `after < row_index <= until`."""

    def __init__(self, run: RunView, landmarks: Landmarks, after: int, until: int, limit: int) -> None:
        self._run, self._landmarks = run, landmarks
        self._after, self._until, self._limit = after, until, limit
        step = run.spec.lanes if run.spec else None
        self._lanes = {
            lane.lane: _Lane(lane.lane, step, lane.partition) for lane in run.lanes if last_in_order(lane) >= 0
        }
        self._name = (
            run.run_id.encode() if is_task_id(run.run_id) else b""
        )  # a quick look; other names may be written with escapes

    @property
    def partitions(self) -> list[int]:
        """Where the rows are."""
        return sorted({lane.partition for lane in self._lanes.values()})

    @property
    def wanted(self) -> set[int]:
        """Partitions of which more is to be read."""
        return {lane.partition for lane in self._lanes.values() if not lane.done}

    @property
    def useful(self) -> bool:
        """Whether stopping here would bring rows."""
        return all(lane.done or lane.rows for lane in self._lanes.values())

    @property
    def whole(self) -> int:
        """Up to this row index nothing is missing."""
        return min(
            (max(lane.rows, default=self._after) for lane in self._lanes.values() if not lane.done), default=self._until
        )

    @property
    def rows(self) -> list[tuple[int, bytes]]:
        """As (row index, record value), in row order."""
        whole = self.whole
        return sorted(
            (row for lane in self._lanes.values() for row in lane.rows.items() if row[0] <= whole), key=_index
        )[: self._limit]

    def starts(self, offsets: Iterable[Landmark], ends: dict[int, int]) -> tuple[dict[int, int], dict[int, int]]:
        """Where to begin, so that no lane's row behind `after` is passed over.

        Offset by partition; and, of partitions with a lane of which nothing is known, the time of its first row in
        milliseconds."""
        known: dict[int, int] = {}
        for number, row_index, _, offset in [*offsets, *self._landmarks.of(self._run.run_id, self._run.attempt, ends)]:
            if row_index <= self._after + 1 and number in self._lanes:
                known[number] = max(offset, known.get(number, 0))
        begun = sorted(
            (lane for lane in self._run.lanes if lane.lane in self._lanes and lane.lane not in known),
            key=_time,
            reverse=True,
        )
        times = {self._lanes[lane.lane].partition: _time(lane) for lane in begun}
        begins: dict[int, int] = {}
        for number, offset in known.items():
            partition = self._lanes[number].partition
            begins[partition] = min(begins.get(partition, offset), offset)
        return begins, times

    def take(self, records: Sequence[Met]) -> None:
        """Look at records of one partition that follow those before them."""
        for record in records:
            if record.value is not None and self._name in record.value:
                self._look(record, record.value)
        for lane in self._lanes.values():
            if lane.partition == records[-1].partition and not lane.rows and not lane.done:
                self._note(lane, records[-1].offset + 1)

    def end(self, partition: int) -> None:
        """There is nothing more in this partition."""
        for lane in self._lanes.values():
            lane.done |= lane.partition == partition

    def lost(self, cut: set[int]) -> int | None:
        """The first row index that is left, when rows were lost to the retention of the partitions `cut`; None when
        none was."""
        lanes = [lane for lane in self._lanes.values() if lane.partition in cut]
        lost = [gone for lane in lanes if (gone := lane.lost_before(self._after)) is not None]
        return None if not lost else self._until + 1 if -1 in lost else max(lost)

    def _look(self, record: Met, value: bytes) -> None:
        where = _where(value)
        if isinstance(where, Unreadable):
            return  # the projector reports it
        if where.redriven:  # stands apart from its neighbours: `History.redriven`
            return
        lane, index = self._lanes.get(where.lane), where.row_index
        if lane is None or where.run_id != self._run.run_id or where.attempt != self._run.attempt:
            return
        self._landmarks.note(self._run.run_id, self._run.attempt, (where.lane, index, record.partition, record.offset))
        lane.reached |= index <= self._after
        if index > self._after and not lane.rows and not lane.done:
            self._note(lane, record.offset)
        if self._after < index <= self._until and len(lane.rows) < self._limit:
            lane.rows.setdefault(index, value)
        lane.done |= index >= self._until or len(lane.rows) >= self._limit

    def _note(self, lane: _Lane, offset: int) -> None:
        """Remember that no row of the lane behind `after` stands before the offset."""
        self._landmarks.passed(
            self._run.run_id, self._run.attempt, (lane.number, self._after + 1, lane.partition, offset)
        )


def _index(row: tuple[int, bytes]) -> int:
    return row[0]


def _time(lane: LaneStats) -> int:
    return int(lane.first_scored_at.timestamp() * 1000) if lane.first_scored_at else 0
