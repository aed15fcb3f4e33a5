"""Which predictions of a run can be answered from Redis, which must be read from Kafka, which not yet. Pure.

Rows of one lane are answered in order, but lanes do not wait for each other. A reader that follows a run sees each row
once and in order only if nothing is shown beyond the slowest lane; and Redis may lack old rows (trimmed, or built again
from the last records of the topic)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from schemas.messages import LaneStats
from storage.view.run_view import RunView

_ENDLESS = 1 << 53


@dataclass(frozen=True, slots=True)
class Reach:
    """What Redis was given of an attempt's predictions: per lane the lowest and highest row index; `floor`: below it,
    rows were trimmed."""

    low: Mapping[int, int]
    high: Mapping[int, int]
    floor: int
    count: int

    @classmethod
    def read(cls, fields: Mapping[bytes, bytes], count: int) -> "Reach":
        """From the hash in Redis and the number of predictions kept."""
        bounds: dict[str, dict[int, int]] = {"low": {}, "high": {}}
        for name, value in fields.items():
            lane, _, end = name.decode().partition(":")
            if end:
                bounds[end][int(lane)] = int(value)
        return cls(bounds["low"], bounds["high"], int(fields.get(b"floor", 0)), count)


@dataclass(frozen=True, slots=True)
class Extent:
    """Rows from `floor` to `shown` are whole in Redis; all up to `committed` are in Kafka. Both ends inclusive, -1:
    none."""

    floor: int
    shown: int
    committed: int

    def source(self, after: int) -> tuple[str, int]:
        """Where to read the rows behind `after`, and up to which row index: `redis`, `kafka`, or `nothing`."""
        if after + 1 >= self.floor and self.shown > after:
            return "redis", self.shown
        until = self.committed if after + 1 >= self.floor else min(self.floor - 1, self.committed)
        return ("kafka", until) if until > after else ("nothing", after)


def extent(run: RunView, reach: Reach) -> Extent:
    """Compute the extent from one consistent reading of a run's statistics and of its reach."""
    stats = {lane.lane: lane for lane in run.lanes}
    wanted = range(run.spec.lanes) if run.spec else sorted({*stats, *reach.high})
    shown, committed = _ENDLESS, _ENDLESS
    for number in wanted:
        lane, high = stats.get(number), reach.high.get(number, -1)
        counted = lane.last_row_index if lane else -1
        answered = last_in_order(lane) if lane else -1
        ended = lane is not None and lane.finished is not None
        committed = min(committed, _ENDLESS if ended else counted)
        behind = high < answered  # counted before it was projected, or not in Redis any more
        shown = min(shown, high if behind else _ENDLESS if ended else max(high, counted))
    last = max([run.totals.last_row_index, *reach.high.values()])
    return Extent(floor=_floor(run, reach), shown=min(shown, last), committed=min(committed, last))


def last_in_order(lane: LaneStats) -> int:
    """The last row that the lane answered in order, -1 when there is none: redriven rows stand elsewhere."""
    if lane.last_answered_index >= 0 or lane.last is None or lane.last.redriven:
        return lane.last_answered_index
    return lane.last.row_index  # statistics from before there was anything to redrive


class Late(NamedTuple):
    """Where the prediction of a redriven row is to be looked for: behind that time, in microseconds, in the
    partition."""

    partition: int
    answered_at: int


def late_rows(run: RunView, after: int, until: int) -> dict[int, Late]:
    """The redriven rows with `after < row_index <= until`, ascending."""
    found = {
        row_index: Late(lane.partition, moment)
        for lane in run.lanes
        for moment, rows in lane.redriven
        for row_index in rows
        if after < row_index <= until
    }
    return dict(sorted(found.items()))


def _floor(run: RunView, reach: Reach) -> int:
    if reach.floor == 0 and reach.count == run.totals.total - run.totals.redriven:
        return 0
    floors = [reach.floor]
    for lane in run.lanes:
        low = reach.low.get(lane.lane)
        if low is None:
            floors.append(last_in_order(lane) + 1)
        elif low != lane.lane or run.spec is None:
            floors.append(low)
    return max(floors)
