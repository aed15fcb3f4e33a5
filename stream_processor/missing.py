"""Rows that are gone before they were scored: by retention, mostly, while no worker was there. A run that lacks some
can never end.

The broker has every row that a producer calls acknowledged (`run-positions.v1`). So once all is read that was on the
topic when that was known, a lane that stands before such a row, or has no end though its run has, lacks records that
nobody will send again: it ends as FAILED with what is missing, and the producer is ordered to end the run. `Audit`
keeps what is to be compared; deciding is pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from rows.identity import Identity, PartitionOf
from runtime.run_epochs import NewestAttempt
from schemas.ids import row_key, stats_key
from schemas.messages import LaneStats, encode
from schemas.tasks import Command
from stream_processor.batch.count import new_lane, next_index
from stream_processor.batch.counting import BatchOutcome

_lane_stats = msgspec.json.Decoder(LaneStats).decode
Places = dict[str, NewestAttempt]


@dataclass(slots=True)
class _Waiting:
    """Runs to be looked at when everything before `end` is read, and those that moved since; these wait for the next
    end."""

    end: int = -1
    due: Places = field(default_factory=dict)
    later: Places = field(default_factory=dict)


class Audit:
    """Which runs are to be compared on which partition, and from when on that can be done."""

    def __init__(self, partition_of: PartitionOf) -> None:
        self._partition_of = partition_of
        self._waiting: dict[int, _Waiting] = {}

    def opened(self, partitions: Iterable[int]) -> set[int]:
        """Take note of the partitions that are owned now; return those that were not before: of these every run is to
        be noted."""
        new = set(partitions) - set(self._waiting)
        self._waiting = {partition: self._waiting.get(partition, _Waiting()) for partition in partitions}
        return new

    def note(self, run_id: str, place: NewestAttempt, only: Iterable[int] | None = None) -> None:
        """A run is there. Called before it is asked where the partitions end."""
        lanes = len(place.acknowledged)
        for partition in {self._partition_of(row_key(run_id, lane, lanes)) for lane in range(lanes)} & set(
            self._waiting
        ):
            if only is None or partition in only:
                self._waiting[partition].later[run_id] = place

    def due(self, partition: int, next_offset: int, end: int) -> Places:
        """The runs that can be compared, each once: everything is read that was there when they were noted. `end`:
        where all ends now."""
        waiting = self._waiting[partition]
        found: Places = {}
        if waiting.due and next_offset >= waiting.end:
            found, waiting.due = waiting.due, {}
        if waiting.later and not waiting.due:
            waiting.due, waiting.later, waiting.end = waiting.later, {}, end
            if next_offset >= end:
                found, waiting.due = found | waiting.due, {}
        return found


def lost_lanes(
    places: Mapping[str, NewestAttempt],
    state: Callable[[bytes], bytes | None],
    partition: int,
    partition_of: PartitionOf,
) -> list[tuple[LaneStats, NewestAttempt]]:
    """The lanes of these runs in the partition that lack rows or their end, as they are."""
    found = []
    for run_id, place in places.items():
        lanes = len(place.acknowledged)
        untouched = all(position == lane for lane, position in enumerate(place.acknowledged))
        for number, acknowledged in enumerate(place.acknowledged):
            if partition_of(row_key(run_id, number, lanes)) != partition:
                continue
            stored = state(stats_key(run_id, place.attempt, number))
            lane = (
                _lane_stats(stored)
                if stored
                else new_lane(Identity(run_id, place.attempt, number, lanes, 0), partition)
            )
            wants_end = place.ended and not (
                place.failed and untouched
            )  # one that failed before its first row has no end marker
            if lane.finished is None and lane.partition == partition and (next_index(lane) < acknowledged or wants_end):
                found.append((lane, place))
    return found


def ended(
    lost: Iterable[tuple[LaneStats, NewestAttempt]], log_start: int, next_offset: int, now: datetime
) -> BatchOutcome:
    """End the lanes as FAILED, and have the producers of those runs that go on end them."""
    outcome = BatchOutcome()
    for lane, place in lost:
        scored = lane.last.source.offset if lane.last else -1
        gone = (
            f"offsets {scored + 1} to {log_start - 1} of partition {lane.partition} were removed before they were"
            " scored"
        )
        if log_start <= scored + 1:
            gone = f"they are not on partition {lane.partition} of the topic any more"
        first, last = next_index(lane), place.acknowledged[lane.lane] - lane.lanes
        what = f"the end of lane {lane.lane} is" if last < first else f"rows {first} to {last} are"
        lane.finished, lane.limit_reached = "FAILED", True
        lane.message = f"Stopped at row {first}: {what} missing; {gone}."
        lane.epoch, lane.offset = max(lane.epoch, place.epoch), max(lane.offset, next_offset - 1)
        outcome.states.append((stats_key(lane.run_id, lane.attempt, lane.lane), encode(lane)))
        if not place.ended:
            fields = {"attempt": lane.attempt, "message": lane.message}
            order = Command(command="fail", task_id=lane.run_id, issued_at=now, arguments=fields)
            outcome.commands.append((lane.run_id.encode(), encode(order)))
    return outcome
