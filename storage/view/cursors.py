"""How far a reader has come in a run. Pure.

Rows of our runs are read in the order of their index, so a row index says it. A run of another system has lanes that
know nothing of each other, one of which may be silent for ever (ADR 33): there it takes the last row index of each
lane, and no lane waits for another. An index tells its lane; a lane that is not named is read from its first row. What
a run of one lane calls its place is a row index, as for ours."""

import re
from collections.abc import Mapping

from schemas.ids import is_task_id
from schemas.messages import LaneStats
from storage.view.answers import Late, late_rows
from storage.view.run_view import RunView

Cursor = tuple[int, ...]
"""Row indices of different lanes, ascending."""
After = int | Cursor
"""A row index, -1 before the first; or, in a run of another system, that of several lanes."""
MOST_LANES = 512
TEXT = re.compile(rf"-1|[0-9]{{1,16}}(?:\.[0-9]{{1,16}}){{0,{MOST_LANES - 1}}}", re.ASCII)


def read(text: str) -> After | None:
    """The place that a text says; null when it is none."""
    if not TEXT.fullmatch(text):
        return None
    indices = [int(part) for part in text.split(".")]
    if max(indices) >= 1 << 53:
        return None
    return indices[0] if len(indices) == 1 else tuple(sorted(indices))


def written(after: After) -> str:
    """The place as text, as `read` takes it."""
    return str(after) if isinstance(after, int) else ".".join(map(str, after)) or "-1"


def is_foreign(run: RunView) -> bool:
    """Whether another system feeds the run."""
    return run.task is None and not is_task_id(run.run_id)


def holds(lane: LaneStats, row_index: int) -> bool:
    """Whether a row of another system's run travels in the lane. Before `ingress.rows.v1` such runs had one lane."""
    return lane.lanes == 1 or row_index % lane.lanes == lane.lane


def places(run: RunView, after: After) -> dict[int, int]:
    """By lane, the last row index that the reader has; -1: none."""
    indices = (after,) if isinstance(after, int) else after
    found = dict.fromkeys((lane.lane for lane in run.lanes), -1)
    for lane in run.lanes:
        for index in indices:
            if index >= 0 and holds(lane, index):
                found[lane.lane] = max(found[lane.lane], index)
    return found


def joined(by_lane: Mapping[int, int]) -> After:
    """The place of these rows."""
    indices = tuple(sorted(index for index in by_lane.values() if index >= 0))
    return indices if len(indices) > 1 else indices[0] if indices else -1


def more(run: RunView, after: After) -> bool:
    """Whether rows of the run that are counted lie behind the place."""
    if isinstance(after, int) and not is_foreign(run):
        return after < run.totals.last_row_index
    reached = places(run, after)
    return any(lane.last_row_index > reached[lane.lane] for lane in run.lanes)


def redriven_up_to(run: RunView, after: After) -> dict[int, Late]:
    """The redriven rows at or before the place, ascending."""
    if isinstance(after, int) and not is_foreign(run):
        return late_rows(run, -1, after)
    reached = places(run, after)
    found = late_rows(run, -1, max(reached.values(), default=-1))
    lanes = {row: lane.lane for lane in run.lanes for _, rows in lane.redriven for row in rows}
    return {row: late for row, late in found.items() if row <= reached[lanes[row]]}


TAIL_ROWS = 100


def tail(run: RunView) -> After:
    """The place before about the newest rows of each lane of another system's run."""
    return joined({lane.lane: lane.last_row_index - TAIL_ROWS * lane.lanes for lane in run.lanes})
