"""Dead letters that are sent again or purged: whose rows they are, and the mark that says what became of them. Pure.

A redriven row counts if and only if its first try is among the lane's `skipped`; the marks are written with what they
tell of, in one transaction. So an order that comes twice, or that is read again after a crash, changes nothing.
"""

from bisect import bisect_left
from datetime import datetime
from typing import Literal

from rows.identity import Identity
from schemas.ids import prediction_id
from schemas.messages import DeadLetterMark, LaneStats, Purge
from stream_processor.batch.count import REDRIVEN_MAX, SKIPPED_MAX, redriven_count, was_redriven


def answered(identity: Identity, now: datetime, message: str = "") -> DeadLetterMark:
    """The row counts; its answer has the one name that the row's answers have."""
    name = prediction_id(identity.run_id, identity.attempt, identity.row_index)
    return _mark("answered", identity, now, message, prediction_id=name)


def dead_again(identity: Identity, new_dead_letter_id: str, message: str, now: datetime) -> DeadLetterMark:
    """The row could not be scored this time either."""
    return _mark("dead_letter", identity, now, message, new_dead_letter_id=new_dead_letter_id)


def in_vain(lane: LaneStats | None, identity: Identity, now: datetime) -> DeadLetterMark:
    """The row is none that waits to be redriven: it has been answered before, or why not."""
    if lane is not None and was_redriven(lane, identity.row_index):
        return answered(identity, now, "its row had been answered before")
    return _mark("ignored", identity, now, _reason(lane, identity.row_index))


def purge(lane: LaneStats, order: Purge, offset: int) -> bool:
    """Have the row never counted; false when the order was read before. The counts stay as they are."""
    if offset <= lane.offset:
        return False
    lane.offset = offset
    at = bisect_left(lane.skipped, order.row_index)
    if order.forget and lane.skipped[at : at + 1] == [order.row_index]:
        del lane.skipped[at]
    return True


def purged(order: Purge, now: datetime) -> DeadLetterMark:
    """The letter is off the list."""
    return DeadLetterMark(mark="purged", dead_letter_id=order.dead_letter_id, run_id=order.run_id, marked_at=now)


def _reason(lane: LaneStats | None, row_index: int) -> str:
    if lane is None:
        return "nothing is known of its run"
    if row_index > lane.last_row_index:
        return "the run has not come to its row"
    if redriven_count(lane) >= REDRIVEN_MAX:
        return f"{REDRIVEN_MAX} rows of its lane were redriven, more cannot be"
    if len(lane.skipped) == SKIPPED_MAX and row_index < lane.skipped[0]:
        return f"there are {SKIPPED_MAX} newer dead letters in its lane; older ones cannot be redriven any more"
    return "its row does not wait to be redriven: it was answered or purged"


def _mark(
    mark: Literal["answered", "dead_letter", "ignored"], identity: Identity, now: datetime, message: str, **found: str
) -> DeadLetterMark:
    assert identity.redrives is not None
    return DeadLetterMark(
        mark=mark, dead_letter_id=identity.redrives, run_id=identity.run_id, marked_at=now, message=message, **found
    )
