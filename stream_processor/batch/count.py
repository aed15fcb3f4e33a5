"""How a lane's statistics change, record by record. Pure; any cutting of the log into batches and any reading again
gives the same bits.

`admit` decides whether a row is new; if so exactly one of `count` and `count_dead_letter` follows. All change the given
`LaneStats`. The rules are those of docs/design/architecture.md: the offset guards against records read again, the epoch
against producers that lost the run, the row index against rows sent again and against holes before a row (ADR 5).
"""

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rows.identity import Identity
from schemas.ids import microseconds
from schemas.messages import HISTOGRAM_BINS, LaneStats, Prediction, RunEnd, RunSkip
from schemas.topics import INGRESS, ROWS

SKIPPED_MAX = 10_000
"""Dead-lettered rows of a lane that can still be redriven; of more, the oldest are forgotten."""
REDRIVEN_MAX = 10_000
"""Rows of a lane that can be redriven in all: their late answers must be found again."""
SHARE_FROM_ROWS = 1000
"""Rows of a lane that must be handled before its share of dead letters says anything."""

Admission: TypeAlias = Literal[
    "new", "redriven", "read_again", "stale_epoch", "sent_again", "ahead", "after_end", "not_skipped"
]
"""`new` and `redriven` rows are answered and counted, all others are passed by."""
ADMITTED: frozenset[Admission] = frozenset({"new", "redriven"})


@dataclass(frozen=True, slots=True)
class DeadLetterLimits:
    """How many dead letters in a row (0: any number), and which share of all its rows, a lane of a run bears before the
    run has failed."""

    in_a_row: int = 0
    share: float = 1.0


NO_LIMITS = DeadLetterLimits()


def new_lane(identity: Identity | RunEnd | RunSkip, partition: int) -> LaneStats:
    """Return the statistics of a lane before its first record."""
    return LaneStats(
        run_id=identity.run_id,
        attempt=identity.attempt,
        lane=identity.lane,
        lanes=identity.lanes,
        partition=partition,
        offset=-1,
        epoch=0,
    )


def next_index(lane: LaneStats) -> int:
    """The row index that the lane goes on with."""
    return lane.lane if lane.last_row_index < 0 else lane.last_row_index + lane.lanes


def admit(lane: LaneStats, identity: Identity, offset: int, topic: str = ROWS.name) -> Admission:
    """Say what the row is to the lane, and note that its record was read."""
    return place(lane, identity) if note(lane, offset, topic) else "read_again"


def note(lane: LaneStats, offset: int, topic: str = ROWS.name) -> bool:
    """Note that a record was read; false when it was read before. Once a record, however many rows it holds; each topic
    for itself."""
    if topic == INGRESS.name:
        unread, lane.ingress_offset = offset > lane.ingress_offset, max(offset, lane.ingress_offset)
        return unread
    if offset <= lane.offset:
        return False
    lane.offset = offset
    return True


def place(lane: LaneStats, identity: Identity) -> Admission:
    """Say what a row of a record that is being read is to the lane."""
    if identity.redriven:
        waits = _position(lane.skipped, identity.row_index) is not None and redriven_count(lane) < REDRIVEN_MAX
        return "redriven" if waits else "not_skipped"
    if identity.epoch < lane.epoch:
        return "stale_epoch"
    if identity.epoch > lane.epoch:
        lane.epoch = identity.epoch
        _reopen(lane)
    if identity.row_index <= lane.last_row_index:
        return "sent_again"
    if identity.owned and identity.row_index != next_index(lane):
        return "ahead"
    return "after_end" if lane.finished else "new"


def count(lane: LaneStats, admission: Admission, prediction: Prediction) -> None:
    """Count an answered row. One that was redriven leaves the lane's times, which tell its pace, as they are."""
    if admission == "redriven":
        del lane.skipped[bisect_left(lane.skipped, prediction.row_index)]
        lane.dead_letters -= 1
        _note_redriven(lane, prediction)
    else:
        lane.last_row_index = lane.last_answered_index = prediction.row_index
        lane.dead_letters_in_a_row = 0
        lane.first_scored_at = lane.first_scored_at or prediction.scored_at
        lane.last_scored_at = prediction.scored_at
    lane.total += 1
    failed = prediction.prediction == "FAIL"
    if failed:
        lane.fail_count += 1
    else:
        lane.pass_count += 1
    lane.confidence_sum += prediction.confidence
    lane.probability_fail_sum += prediction.probability_fail
    lane.histogram[min(int(prediction.probability_fail * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
    if prediction.label is not None:
        _compare(lane, failed, prediction.label == "FAIL")
    if lane.last is None or prediction.row_index > lane.last.row_index:
        lane.last = prediction


def _note_redriven(lane: LaneStats, prediction: Prediction) -> None:
    moment = microseconds(prediction.scored_at)
    if lane.redriven and lane.redriven[-1][0] == moment:
        lane.redriven[-1][1].append(prediction.row_index)
    else:
        lane.redriven.append((moment, [prediction.row_index]))


def redriven_count(lane: LaneStats) -> int:
    """How many rows were answered after a redrive."""
    return sum(len(rows) for _, rows in lane.redriven)


def was_redriven(lane: LaneStats, row_index: int) -> bool:
    """Whether the row was answered after a redrive."""
    return any(row_index in rows for _, rows in lane.redriven)


def _compare(lane: LaneStats, failed: bool, truly: bool) -> None:
    confusion = lane.confusion
    if failed and truly:
        confusion.tp += 1
    elif failed:
        confusion.fp += 1
    elif truly:
        confusion.fn += 1
    else:
        confusion.tn += 1


def count_dead_letter(lane: LaneStats, admission: Admission, row_index: int) -> None:
    """Count a row that could not be scored; one that was redriven and failed again stays as it was."""
    if admission == "redriven":
        return
    lane.dead_letters += 1
    lane.dead_letters_in_a_row += 1
    lane.last_row_index = row_index
    insort(lane.skipped, row_index)
    del lane.skipped[:-SKIPPED_MAX]


def check_limits(lane: LaneStats, limits: DeadLetterLimits) -> bool:
    """After a dead letter: end the lane as FAILED when there are too many of them. Whatever the producer says then, it
    stays so."""
    if lane.finished:
        return False
    rows = lane.total + lane.dead_letters
    if limits.in_a_row and lane.dead_letters_in_a_row > limits.in_a_row:
        message = f"{lane.dead_letters_in_a_row} rows in a row could not be scored, allowed are {limits.in_a_row}"
    elif rows >= SHARE_FROM_ROWS and lane.dead_letters > limits.share * rows:
        message = f"{lane.dead_letters} of {rows} rows could not be scored, allowed is a share of {limits.share:g}"
    else:
        return False
    lane.finished, lane.message, lane.limit_reached = (
        "FAILED",
        f"Stopped at row {lane.last_row_index}: {message}.",
        True,
    )
    return True


def _reopen(lane: LaneStats) -> None:
    """The run's newest owner decides how it ends."""
    if not lane.limit_reached:
        lane.finished, lane.message = None, ""


def end(lane: LaneStats, marker: RunEnd, offset: int) -> bool:
    """Close the lane, unless the marker is stale or rows before it are missing; say whether it was taken."""
    if not _newer(lane, marker, offset) or marker.end_index > next_index(lane) or lane.finished:
        return False
    lane.finished, lane.message = marker.ending, marker.message
    return True


def pass_over(lane: LaneStats, marker: RunSkip, offset: int) -> bool:
    """Go on at `to_index`; the rows before it are counted as passed over. Not taken when rows before it are missing.
    Say whether it was."""
    following = next_index(lane)
    if (
        not _newer(lane, marker, offset)
        or lane.finished
        or marker.from_index > following
        or marker.to_index <= following
    ):
        return False
    passed_over = (marker.to_index - following + lane.lanes - 1) // lane.lanes
    lane.passed_over += passed_over
    lane.last_row_index = following + (passed_over - 1) * lane.lanes
    return True


def _newer(lane: LaneStats, marker: RunEnd | RunSkip, offset: int) -> bool:
    if offset <= lane.offset:
        return False
    lane.offset = offset
    if marker.epoch < lane.epoch:
        return False
    if marker.epoch > lane.epoch:
        lane.epoch = marker.epoch
        _reopen(lane)
    return True


def _position(skipped: list[int], row_index: int) -> int | None:
    at = bisect_left(skipped, row_index)
    return at if at < len(skipped) and skipped[at] == row_index else None
