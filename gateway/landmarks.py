"""Where some rows of runs stand on `predictions.v1`, learnt by reading past them. Pure.

A row never moves, so whoever reads on need not search again: after Redis was emptied, following a run from Kafka would otherwise begin at
the run's first row for every page, and take longer than all rows together.
"""

from collections import OrderedDict

EVERY_ROWS = 500
MOST_ATTEMPTS = 256
"""Attempts that are remembered; of more, those that were not asked for longest are forgotten."""
Landmark = tuple[int, int, int, int]
"""Lane, row index, partition, offset: the lane's rows from that index on stand at that offset or behind it."""


class Landmarks:
    """Of the attempts that were read last."""

    def __init__(self, *, every_rows: int = EVERY_ROWS, most_attempts: int = MOST_ATTEMPTS) -> None:
        self._every_rows, self._most_attempts = every_rows, most_attempts
        self._found: OrderedDict[tuple[str, int], dict[tuple[int, int], Landmark]] = OrderedDict()

    def note(self, run_id: str, attempt: int, landmark: Landmark) -> None:
        """Remember where a row stands, if nothing near it is remembered."""
        attempts = self._found
        known = attempts.get((run_id, attempt))
        if known is None:
            known = attempts[run_id, attempt] = {}
            if len(attempts) > self._most_attempts:
                attempts.popitem(last=False)
        lane, row_index, _, _ = landmark
        known.setdefault((lane, row_index // self._every_rows), landmark)

    def of(self, run_id: str, attempt: int, ends: dict[int, int]) -> list[Landmark]:
        """What is remembered, ascending in each lane; nothing at or behind the end of its partition, as in topics that were made anew."""
        known = self._found.get((run_id, attempt))
        if known is None:
            return []
        self._found.move_to_end((run_id, attempt))
        return sorted(landmark for landmark in known.values() if landmark[3] < ends.get(landmark[2], 0))
