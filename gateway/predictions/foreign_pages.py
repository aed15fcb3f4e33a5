"""A page of the predictions of another system's run: lane by lane, so that a silent lane holds up no other (ADR 33).

Each lane is answered in the order of its rows, from Redis where they are whole there, else from Kafka. A page holds the
next rows of all lanes in the order of their index, and its end says of each lane how far it goes: none is missing, none
comes twice, whatever came between."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from gateway.errors import RowsGone
from gateway.predictions.kafka_reader import KafkaReader
from schemas.messages import LaneStats
from storage.view.answers import Extent, Late, Reach, last_in_order
from storage.view.cursors import After, holds, joined, places, written
from storage.view.run_view import RunView, merge
from storage.view.views import LanesAnswered, Views

Rows = list[tuple[int, bytes]]


class ForeignPage(NamedTuple):
    """What is behind a place: rows as (row index, JSON), and the place behind them. `pending`: more is counted and
    awaited in Redis."""

    run: RunView
    rows: Rows
    after: After
    pending: bool = False


class _Read(NamedTuple):
    """The next rows of one lane; it is whole up to `reached`."""

    rows: Rows
    reached: int


class ForeignPages:
    """Safe to share between requests."""

    def __init__(self, views: Views, history: KafkaReader) -> None:
        self._views, self._history = views, history

    async def part(self, run: RunView, after: After, limit: int, *, await_redis: bool) -> ForeignPage:
        """The next rows of an attempt, `limit` at most. Raises `RowsGone`, which says where to go on, and
        `Unavailable`."""
        reached = places(run, after)
        open_lanes = {lane.lane: lane for lane in run.lanes if lane.last_row_index > reached[lane.lane]}
        if not open_lanes:
            return ForeignPage(run, [], after)
        spans = {number: (reached[number], lane.last_row_index) for number, lane in open_lanes.items()}
        here = await self._views.lanes_answered(run.run_id, run.attempt, spans)
        reads: dict[int, _Read] = {}
        sought: dict[int, int] = {}
        pending = False
        for number, lane in open_lanes.items():
            extent = _extent(lane, here, spans[number][1])
            before = _before_next(lane, reached[number])
            source, until = extent.source(before)
            if source == "redis":
                rows = {
                    index: value
                    for index, value in here.rows
                    if holds(lane, index) and reached[number] < index <= until
                }
                reads[number] = _Read(sorted(rows.items()), until)
            elif source == "kafka" and await_redis and before + 1 >= extent.floor:
                pending = True
            elif source == "kafka":
                sought[number] = until
        reads |= await self._from_kafka(run, open_lanes, reached, sought, limit)
        for number, read in reads.items():
            reads[number] = await self._with_redriven(run, open_lanes[number], reached[number], read)
        first, by_lane = _first(reads, reached, open_lanes, limit)
        return ForeignPage(run, first, joined(by_lane), pending)

    async def _from_kafka(
        self,
        run: RunView,
        lanes: Mapping[int, LaneStats],
        reached: Mapping[int, int],
        sought: Mapping[int, int],
        limit: int,
    ) -> dict[int, _Read]:
        """Lanes that Redis does not hold. A lane of which retention took rows does not keep the others from being
        read."""
        asked = [
            self._history.page(alone(run, lanes[number]), reached[number], until, limit)
            for number, until in sought.items()
        ]
        found = await asyncio.gather(*asked, return_exceptions=True)
        gone: dict[int, RowsGone] = {}
        reads: dict[int, _Read] = {}
        for number, one in zip(sought, found, strict=True):
            if isinstance(one, RowsGone):
                gone[number] = one
            elif isinstance(one, BaseException):
                raise one
            else:
                rows, whole = one
                reads[number] = _Read(rows, rows[-1][0] if len(rows) >= limit else whole)
        if gone:
            behind = dict(reached) | {
                number: _aligned(lanes[number], one.first_available - 1) for number, one in gone.items()
            }
            raise RowsGone(min(one.first_available for one in gone.values()), next_after=written(joined(behind)))
        return reads

    async def _with_redriven(self, run: RunView, lane: LaneStats, after: int, read: _Read) -> _Read:
        late = {index: place for index, place in _late(lane).items() if after < index <= read.reached}
        if not late:
            return read
        here = await self._views.redriven(run.run_id, run.attempt, max(late))
        found = {index: here[index] for index in late if index in here}
        if missing := {index: place for index, place in late.items() if index not in found}:
            found |= await self._history.redriven(run, missing)
        return _Read(sorted({**dict(read.rows), **found}.items()), read.reached)


def alone(run: RunView, lane: LaneStats) -> RunView:
    """The run, as if it had only this lane."""
    return RunView(run_id=run.run_id, attempt=run.attempt, task=None, lanes=(lane,), totals=merge((lane,)))


def _first(
    reads: Mapping[int, _Read], reached: Mapping[int, int], lanes: Mapping[int, LaneStats], limit: int
) -> tuple[Rows, dict[int, int]]:
    """The first rows of all lanes, and how far that is in each."""
    rows = sorted(
        ((index, value, number) for number, read in reads.items() for index, value in read.rows), key=lambda row: row[0]
    )
    left = {number: len(read.rows) for number, read in reads.items()}
    by_lane = dict(reached)
    for index, _, number in rows[:limit]:
        by_lane[number] = index
        left[number] -= 1
    for number, read in reads.items():
        if not left[number]:
            by_lane[number] = max(by_lane[number], _aligned(lanes[number], read.reached))
    return [(index, value) for index, value, _ in rows[:limit]], by_lane


def _extent(lane: LaneStats, here: LanesAnswered, last: int) -> Extent:
    """As `storage.view.answers.extent`, of one lane, up to the row that was its last when its rows were asked for."""
    reach: Reach = here.reach
    low, high, answered = reach.low.get(lane.lane), reach.high.get(lane.lane, -1), last_in_order(lane)
    floor = 0 if here.whole else max(reach.floor, answered + 1 if low is None else low)
    shown = high if high < answered else max(high, lane.last_row_index)
    return Extent(floor=floor, shown=min(shown, last), committed=last)


def _before_next(lane: LaneStats, after: int) -> int:
    """The index before the lane's next one: there is no row of it in between."""
    return after if lane.lanes == 1 else (lane.lane if after < 0 else after + lane.lanes) - 1


def _aligned(lane: LaneStats, index: int) -> int:
    """The last row index of the lane up to this one, so that it tells the lane; -1 when there is none."""
    return index if lane.lanes == 1 else max(index - (index - lane.lane) % lane.lanes, -1)


def _late(lane: LaneStats) -> dict[int, Late]:
    return {row: Late(lane.partition, moment) for moment, rows in lane.redriven for row in rows}
