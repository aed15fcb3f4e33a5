"""Predictions of one fetch, projected together: at full speed they are nearly all there is to project. Pure.

The result is what projecting them one by one and folding gives, at a fifth of its cost.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from msgspec import Struct

from schemas.bounds import Attempt, Count, Id, Lane, UtcTime, untimely
from schemas.decoding import Unreadable, reader
from schemas.ids import is_task_id
from storage.view import redis_keys as keys
from storage.view.operations import Add, Answers, Limits, Operation

BUCKET_ROWS = 1000
"""How many row indices share one remembered Kafka offset per lane."""
FOREIGN_BUCKET_ROWS = 16_000
"""The same for runs of other systems, whose indices lie two a partition apart."""


class _Answered(Struct):
    """The part of a `Prediction` that decides where it is kept."""

    run_id: Id
    attempt: Attempt
    lane: Lane
    row_index: Count
    scored_at: UtcTime
    redriven: bool = False

    def problem(self) -> str | None:
        """Why it cannot be an answer of ours."""
        return untimely(scored_at=self.scored_at)


class _Attempt(Struct):
    """What a fetch holds of one attempt of a run."""

    at: datetime
    entries: list[tuple[int, bytes]]
    reach: dict[int, tuple[int, int]]
    starts: dict[tuple[int, int], tuple[int, int]]
    bucket_rows: int


class ProjectedBatch(Struct):
    """What records do: operations, the tasks and runs whose readers must hear of it, and (offset, reason) of what
    cannot be read."""

    operations: list[Operation]
    touched: set[str]
    rejected: list[tuple[int, str]]


_answered = reader(_Answered)


def project_predictions(partition: int, records: Iterable[tuple[int, bytes | None]], limits: Limits) -> ProjectedBatch:
    """Project `(offset, value)` records of one partition, in order. Nothing is raised for any bytes."""
    found: dict[tuple[str, int], _Attempt] = {}
    projected = ProjectedBatch([], set(), [])
    for offset, value in records:
        if not value:
            continue
        answer = _answered(value)
        if isinstance(answer, Unreadable):
            projected.rejected.append((offset, answer.reason))
            continue
        index, lane = answer.row_index, answer.lane
        if answer.redriven:  # neither where the lane stands nor where its rows are to be looked for
            projected.operations.append(
                Add(keys.redriven(answer.run_id, answer.attempt), index, value.decode(), limits.predictions)
            )
            projected.touched.add(answer.run_id)
            continue
        attempt = found.get((answer.run_id, answer.attempt))
        if attempt is None:
            attempt = found[answer.run_id, answer.attempt] = _Attempt(
                answer.scored_at, [], {}, {}, BUCKET_ROWS if is_task_id(answer.run_id) else FOREIGN_BUCKET_ROWS
            )
        attempt.entries.append((index, value))
        attempt.at = max(attempt.at, answer.scored_at)
        low, high = attempt.reach.get(lane, (index, index))
        attempt.reach[lane] = (min(low, index), max(high, index))
        attempt.starts.setdefault((lane, index // attempt.bucket_rows), (index, offset))
    for (run_id, number), attempt in found.items():
        projected.touched.add(run_id)
        projected.operations.append(_answers(run_id, number, attempt, partition, limits))
    return projected


def _answers(run_id: str, number: int, attempt: _Attempt, partition: int, limits: Limits) -> Answers:
    entries = sorted(attempt.entries)
    once = entries[:1] + [entry for former, entry in pairwise(entries) if entry != former]
    return Answers(
        keys.predictions(run_id, number),
        keys.reach(run_id, number),
        keys.offsets(run_id, number),
        tuple([(index, value.decode()) for index, value in once[-limits.predictions :]]),
        tuple([(lane, low, high) for lane, (low, high) in attempt.reach.items()]),
        tuple(
            [
                (f"{lane}:{bucket}", index, partition, offset)
                for (lane, bucket), (index, offset) in attempt.starts.items()
            ]
        ),
        dropped=len(once) > limits.predictions,
        at=int(attempt.at.timestamp() * 1e6),
    )
