"""A run as it is shown: its task's state merged with the statistics of its lanes. Pure; the same input gives the same
bits."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from schemas.messages import HISTOGRAM_BINS, TERMINAL, Confusion, LaneStats, Prediction, Status
from schemas.tasks import FormerAttempt, RunSpec, TaskState


@dataclass(frozen=True, slots=True)
class Totals:
    """Statistics over all lanes of one attempt. Averages are null before the first prediction; `last` has the highest
    row index, or, where the lanes are another system's and know nothing of each other, was made last."""

    total: int
    pass_count: int
    fail_count: int
    dead_letters: int
    redriven: int
    open_letters: int
    passed_over: int
    confidence_sum: float
    probability_fail_sum: float
    confusion: Confusion
    histogram: list[int]
    last: Prediction | None
    last_row_index: int
    first_scored_at: datetime | None
    last_scored_at: datetime | None
    finished_lanes: int
    message: str

    @property
    def average_confidence(self) -> float | None:
        """Mean probability of the predicted class."""
        return self.confidence_sum / self.total if self.total else None

    @property
    def average_probability_fail(self) -> float | None:
        """Mean P(FAIL)."""
        return self.probability_fail_sum / self.total if self.total else None

    @property
    def handled(self) -> int:
        """Rows that are done with: scored, dead-lettered or passed over."""
        return self.total + self.dead_letters + self.passed_over

    @property
    def rows_per_second(self) -> float | None:
        """Mean measured pace, null before the second prediction."""
        in_order = self.total - self.redriven  # the times are those of these rows
        if self.first_scored_at is None or self.last_scored_at is None or in_order < 2:
            return None
        seconds = (self.last_scored_at - self.first_scored_at).total_seconds()
        return (in_order - 1) / seconds if seconds > 0 else None


def merge(lanes: Iterable[LaneStats]) -> Totals:
    """Add the lanes up, in the order of their numbers."""
    ordered = sorted(lanes, key=lambda lane: lane.lane)
    histogram = [0] * HISTOGRAM_BINS
    for lane in ordered:
        for i, count in enumerate(lane.histogram):
            histogram[i] += count
    answers = [lane.last for lane in ordered if lane.last is not None]
    return Totals(
        total=sum(lane.total for lane in ordered),
        pass_count=sum(lane.pass_count for lane in ordered),
        fail_count=sum(lane.fail_count for lane in ordered),
        dead_letters=sum(lane.dead_letters for lane in ordered),
        redriven=sum(len(rows) for lane in ordered for _, rows in lane.redriven),
        open_letters=sum(len(lane.skipped) for lane in ordered),
        passed_over=sum(lane.passed_over for lane in ordered),
        confidence_sum=sum((lane.confidence_sum for lane in ordered), 0.0),
        probability_fail_sum=sum((lane.probability_fail_sum for lane in ordered), 0.0),
        confusion=Confusion(
            tp=sum(lane.confusion.tp for lane in ordered),
            fp=sum(lane.confusion.fp for lane in ordered),
            tn=sum(lane.confusion.tn for lane in ordered),
            fn=sum(lane.confusion.fn for lane in ordered),
        ),
        histogram=histogram,
        last=max(answers, key=_by_time if all(lane.begun_at for lane in ordered) else _by_index, default=None),
        last_row_index=max((lane.last_row_index for lane in ordered), default=-1),
        first_scored_at=min((lane.first_scored_at for lane in ordered if lane.first_scored_at), default=None),
        last_scored_at=max((lane.last_scored_at for lane in ordered if lane.last_scored_at), default=None),
        finished_lanes=sum(lane.finished is not None for lane in ordered),
        message=next(
            (lane.message for lane in sorted(ordered, key=lambda lane: not lane.limit_reached) if lane.message), ""
        ),
    )


def _by_index(answer: Prediction) -> int:
    return answer.row_index


def _by_time(answer: Prediction) -> tuple[datetime, int]:
    return answer.scored_at, answer.row_index


@dataclass(frozen=True, slots=True)
class RunView:
    """A run at one moment. Rows sent by other systems have statistics but no task."""

    run_id: str
    attempt: int
    task: TaskState | None
    lanes: tuple[LaneStats, ...]
    totals: Totals

    @property
    def spec(self) -> RunSpec | None:
        """What was ordered; null for rows of other systems."""
        return msgspec.convert(self.task.spec, RunSpec) if self.task else None

    @property
    def status(self) -> Status:
        """Terminal only once as many lanes are counted to their end as the task says have one: the final numbers are
        there by then."""
        if self.task is None:
            return "IN_PROGRESS"
        if self.task.status in TERMINAL and self.totals.finished_lanes < self.task.ended_lanes:
            return "IN_PROGRESS"
        if self.task.status in TERMINAL and any(lane.limit_reached for lane in self.lanes):
            return "FAILED"  # also when its producer had sent everything by then
        return self.task.status

    @property
    def error(self) -> str | None:
        """Why the run failed; null until it has ended, and when it did not fail."""
        if self.task is None or not self.terminal:
            return None
        return self.task.error or (self.totals.message or None if self.status == "FAILED" else None)

    @property
    def terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in TERMINAL


def run_view(
    run_id: str, task: TaskState | None, stats: Iterable[LaneStats], attempt: int | None = None
) -> RunView | None:
    """Choose the lanes of an attempt, by default the newest, and merge them; null when nothing is known of the run or
    of the attempt."""
    lanes = list(stats)
    if task is None and not lanes:
        return None
    newest = max(task.attempt, 1) if task else max(lane.attempt for lane in lanes)
    if attempt is not None and attempt != newest:
        if not 1 <= attempt < newest:
            return None
        task = task and _former(task, attempt)
    chosen = tuple(sorted((lane for lane in lanes if lane.attempt == (attempt or newest)), key=lambda lane: lane.lane))
    return RunView(run_id=run_id, attempt=attempt or newest, task=task, lanes=chosen, totals=merge(chosen))


def _former(task: TaskState, attempt: int) -> TaskState:
    """The task as it was at the end of an earlier attempt; of one that is not remembered, only that it ended."""
    found = next((one for one in task.former if one.attempt == attempt), None)
    found = found or FormerAttempt(attempt=attempt, status="STOPPED", started_at=None, finished_at=None, ended_lanes=0)
    return msgspec.structs.replace(
        task,
        attempt=attempt,
        status=found.status,
        started_at=found.started_at,
        finished_at=found.finished_at,
        ended_lanes=found.ended_lanes,
        error=found.error,
        progress=None,
    )
