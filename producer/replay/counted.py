"""Which rows of a run count, of all that stand on the topic under its name: as the stream processor admits them, told a
second time. Pure.

A row under an epoch that is over, one behind a hole, one behind the end of its lane: none of them was ever a row of the
run, and a replay must not make one of it.
"""

from typing import Protocol

from producer.sending.positions import first_of_lane
from schemas.messages import RunEnd, RunSkip


class Numbered(Protocol):
    """What is used of a row, or of the head of a packed record."""

    @property
    def epoch(self) -> int | None: ...
    @property
    def lane(self) -> int | None: ...
    @property
    def lanes(self) -> int | None: ...


class _Lane:
    """Where a lane stands. `next` is null before its first record: a range may begin anywhere."""

    def __init__(self) -> None:
        self.epoch = 0
        self.next: int | None = None
        self.ended = False

    def stale(self, epoch: int) -> bool:
        """Whether a producer that had lost the run wrote it; a newer one opens the lane again."""
        if epoch > self.epoch:
            self.epoch, self.ended = epoch, False
        return epoch < self.epoch


class Counted:
    """The lanes of one attempt. Give it the records in the order of their partition."""

    def __init__(self) -> None:
        self._lanes: dict[int, _Lane] = {}

    def row(self, fields: Numbered, row_index: int) -> bool:
        """Whether the row counts. Rows of other systems have no epoch, and all count."""
        if fields.epoch is None:
            return True
        lane = self._lanes.setdefault(fields.lane or 0, _Lane())
        if lane.stale(fields.epoch) or lane.ended or (lane.next is not None and row_index != lane.next):
            return False
        lane.next = row_index + (fields.lanes or 1)
        return True

    def marker(self, marker: RunSkip | RunEnd) -> None:
        """Take note of rows that are passed over, and of the end."""
        lane = self._lanes.setdefault(marker.lane, _Lane())
        if lane.stale(marker.epoch) or lane.ended:
            return
        if isinstance(marker, RunEnd):
            lane.ended = lane.next is None or marker.end_index <= lane.next
        elif lane.next is None or marker.from_index <= lane.next:
            lane.next = max(lane.next or 0, first_of_lane(marker.to_index, marker.lane, marker.lanes))
