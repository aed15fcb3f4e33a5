"""Where some rows of runs stand on `predictions.v1`, learnt by reading past them. Pure.

A row never moves, so whoever reads on need not search again: after Redis was emptied, following a run from Kafka would
otherwise begin at the run's first row for every page, and take longer than all rows together.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

EVERY_ROWS = 500
MOST_ATTEMPTS = 256
"""Attempts that are remembered; of more, those that were not asked for longest are forgotten."""
MOST_PASSED = 64
"""Places of an attempt up to which was read in vain."""
Landmark = tuple[int, int, int, int]
"""Lane, row index, partition, offset: the lane's rows from that index on stand at that offset or behind it."""


@dataclass(slots=True)
class _Attempt:
    """By lane and stretch of rows, and by lane and row that was asked for."""

    rows: dict[tuple[int, int], Landmark] = field(default_factory=dict)
    passed: dict[tuple[int, int], Landmark] = field(default_factory=dict)


class Landmarks:
    """Of the attempts that were read last."""

    def __init__(
        self, *, every_rows: int = EVERY_ROWS, most_attempts: int = MOST_ATTEMPTS, most_passed: int = MOST_PASSED
    ) -> None:
        self._every_rows, self._most_attempts, self._most_passed = every_rows, most_attempts, most_passed
        self._found: OrderedDict[tuple[str, int], _Attempt] = OrderedDict()

    def note(self, run_id: str, attempt: int, landmark: Landmark) -> None:
        """Remember where a row stands, if nothing near it is remembered."""
        lane, row_index, _, _ = landmark
        self._known(run_id, attempt).rows.setdefault((lane, row_index // self._every_rows), landmark)

    def passed(self, run_id: str, attempt: int, landmark: Landmark) -> None:
        """Remember how far was read in search of a row, which stands at that offset or behind it."""
        known = self._known(run_id, attempt).passed
        known[landmark[:2]] = max(known.pop(landmark[:2], landmark), landmark)
        if len(known) > self._most_passed:
            del known[next(iter(known))]

    def of(self, run_id: str, attempt: int, ends: dict[int, int]) -> list[Landmark]:
        """What is remembered, ascending in each lane; no row at or behind the end of its partition, as in topics that
        were made anew.

        A search that came to the end stands there: it is not forgotten, else the next one would begin anew, be given
        up, and so for ever."""
        known = self._found.get((run_id, attempt))
        if known is None:
            return []
        self._found.move_to_end((run_id, attempt))
        rows = {landmark for landmark in known.rows.values() if landmark[3] < ends.get(landmark[2], 0)}
        passed = {landmark for landmark in known.passed.values() if landmark[3] <= ends.get(landmark[2], -1)}
        return sorted(rows | passed)

    def _known(self, run_id: str, attempt: int) -> _Attempt:
        known = self._found.get((run_id, attempt))
        if known is None:
            known = self._found[run_id, attempt] = _Attempt()
            if len(self._found) > self._most_attempts:
                self._found.popitem(last=False)
        return known
