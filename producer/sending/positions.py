"""Which rows of a run went out, and which of them the broker has confirmed without a gap. Pure.

The acknowledged position of a lane is the end of its contiguous confirmed prefix, never the highest confirmed row:
after a crash the run goes on there, so a batch that was lost before later ones is sent again.
"""

from collections import deque
from collections.abc import Iterator, Sequence


class Sent:
    """Some rows of one lane that went out together."""

    __slots__ = ("confirmed", "end")

    def __init__(self, end: int) -> None:
        self.end = end
        self.confirmed = False


class Positions:
    """The lanes of one attempt. Row i travels in lane i % lanes; a lane's position is a row index of that lane."""

    def __init__(self, acknowledged: Sequence[int]) -> None:
        self.lanes = len(acknowledged)
        self.acknowledged = list(acknowledged)
        """Per lane, the first row that is not confirmed."""
        self.next = list(acknowledged)
        """Per lane, the first row that is not sent."""
        self._in_flight: list[deque[Sent]] = [deque() for _ in acknowledged]

    @classmethod
    def from_row(cls, row_index: int, lanes: int) -> "Positions":
        """All lanes at their first row at or after the given one."""
        return cls([first_of_lane(row_index, lane, lanes) for lane in range(lanes)])

    def sent(self, lane: int, end: int) -> Sent:
        """Rows of the lane before `end` went out; hand the result to `confirm` when the broker has them."""
        sent = Sent(end)
        self.next[lane] = max(self.next[lane], end)
        self._in_flight[lane].append(sent)
        return sent

    def confirm(self, lane: int, sent: Sent) -> None:
        """The broker has these rows."""
        sent.confirmed = True
        waiting = self._in_flight[lane]
        while waiting and waiting[0].confirmed:
            self.acknowledged[lane] = max(self.acknowledged[lane], waiting.popleft().end)

    @property
    def all_confirmed(self) -> bool:
        """Whether nothing is in flight."""
        return not any(self._in_flight)

    def rows_before(self, positions: Sequence[int]) -> int:
        """How many rows of the run lie before these positions."""
        return sum((position - lane) // self.lanes for lane, position in enumerate(positions))

    def behind(self, rows: int, total: int) -> int:
        """The row index right behind the next so many rows that are still to be sent, at most `total`."""
        row_index = min(self.next)
        while rows and row_index < total:
            rows -= row_index >= self.next[row_index % self.lanes]
            row_index += 1
        return row_index

    def unsent(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """`(row_index, lane)` of the rows in [start, end) that are still to be sent, in order."""
        for row_index in range(start, end):
            lane = row_index % self.lanes
            if row_index >= self.next[lane]:
                yield row_index, lane


def first_of_lane(row_index: int, lane: int, lanes: int) -> int:
    """The first row at or after the given one that travels in the lane."""
    return row_index + (lane - row_index) % lanes
