"""Two runs compared row by row. Pure: answers of both are fed in any order and any parts, each run's own in row order.

Rows are the same when they have the same key and are as often met: the k-th row of a sample id in one run belongs to
the k-th in the other. What waits for its other half is kept, so memory grows with how far apart the halves stand, not
with the runs."""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import Struct

from gateway.predictions.truth import truth_of
from schemas.http.runs import DiffCounts, Difference, FlippedRow, ScoreDifference
from schemas.messages import HISTOGRAM_BINS, Confusion, Verdict


class ComparedAnswer(Struct, gc=False):
    """What is compared of a prediction."""

    row_index: int
    sample_id: str
    prediction: Verdict
    confidence: float
    probability_fail: float
    label: Verdict | None


@dataclass(slots=True)
class ComparedTally:
    """The figures of some rows of a run."""

    rows: int = 0
    fail_count: int = 0
    confidence_sum: float = 0.0
    probability_fail_sum: float = 0.0
    confusion: Confusion = field(default_factory=Confusion)
    histogram: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_BINS)

    def add(self, answer: ComparedAnswer) -> None:
        """Count a row, as the stream processor does."""
        failed = answer.prediction == "FAIL"
        self.rows += 1
        self.fail_count += failed
        self.confidence_sum += answer.confidence
        self.probability_fail_sum += answer.probability_fail
        self.histogram[min(int(answer.probability_fail * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
        if answer.label is not None:
            name = ("tp" if answer.label == "FAIL" else "fp") if failed else ("fn" if answer.label == "FAIL" else "tn")
            setattr(self.confusion, name, getattr(self.confusion, name) + 1)

    def figures(self) -> dict[str, float | None]:
        """Every metric by its name; null where it has no base."""
        found = truth_of(self.confusion)
        return {
            "total_predictions": self.rows,
            "pass_count": self.rows - self.fail_count,
            "fail_count": self.fail_count,
            "average_confidence": self.confidence_sum / self.rows if self.rows else None,
            "average_probability_fail": self.probability_fail_sum / self.rows if self.rows else None,
            **({} if found is None else found.model_dump()),
        }


class Flip(NamedTuple):
    """A row that the runs call differently."""

    a: ComparedAnswer
    b: ComparedAnswer


class Comparison:
    """Takes the answers of run `a` (side 0) and run `b` (side 1). By row index, or by sample id in the order of
    occurrence."""

    def __init__(self, *, by_row_index: bool) -> None:
        self.by_row_index = by_row_index
        self.whole = ComparedTally(), ComparedTally()
        self.common = ComparedTally(), ComparedTally()
        self.flips: list[Flip] = []
        self._waiting: tuple[dict[Hashable, deque[ComparedAnswer]], dict[Hashable, deque[ComparedAnswer]]] = {}, {}
        self._moved_sum = self._moved_most = 0.0

    def feed(self, side: int, answer: ComparedAnswer) -> None:
        """Take the next row of a run."""
        self.whole[side].add(answer)
        key: Hashable = answer.row_index if self.by_row_index else answer.sample_id
        others = self._waiting[1 - side]
        if (halves := others.get(key)) is None:
            self._waiting[side].setdefault(key, deque()).append(answer)
            return
        other = halves.popleft()
        if not halves:
            del others[key]
        a, b = (answer, other) if side == 0 else (other, answer)
        self.common[0].add(a)
        self.common[1].add(b)
        moved = abs(b.probability_fail - a.probability_fail)
        self._moved_sum += moved
        self._moved_most = max(self._moved_most, moved)
        if a.prediction != b.prediction:
            self.flips.append(Flip(a, b))

    def close(self) -> None:
        """Both runs are at their ends: put the flips in the order of run `a`."""
        self.flips.sort(key=lambda flip: flip.a.row_index)

    def counts(self) -> DiffCounts:
        """How many rows are in which of the runs, and say the same."""
        risen = sum(flip.b.prediction == "FAIL" for flip in self.flips)
        both = self.common[0].rows
        return DiffCounts(
            common=both,
            same=both - len(self.flips),
            pass_to_fail=risen,
            fail_to_pass=len(self.flips) - risen,
            only_in_a=self.whole[0].rows - both,
            only_in_b=self.whole[1].rows - both,
        )

    def scores(self) -> ScoreDifference:
        """How far P(FAIL) lies apart: row by row, and as distributions."""
        both = self.common[0].rows
        return ScoreDifference(
            mean_absolute=self._moved_sum / both if both else None,
            largest=self._moved_most if both else None,
            distance=_distance(self.whole[0], self.whole[1]),
        )


def differences(a: ComparedTally, b: ComparedTally) -> dict[str, Difference]:
    """Every metric of both, and b − a."""
    first, second = a.figures(), b.figures()
    return {name: difference(first.get(name), second.get(name)) for name in {**first, **second}}


def difference(a: float | None, b: float | None) -> Difference:
    """b − a; null when one of them is."""
    return Difference(a=a, b=b, difference=None if a is None or b is None else b - a)


def flipped_row(flip: Flip) -> FlippedRow:
    """As it is shown."""
    return FlippedRow(
        sample_id=flip.a.sample_id,
        row_index_a=flip.a.row_index,
        row_index_b=flip.b.row_index,
        prediction_a=flip.a.prediction,
        prediction_b=flip.b.prediction,
        probability_fail_a=flip.a.probability_fail,
        probability_fail_b=flip.b.probability_fail,
        label=flip.a.label,
    )


def _distance(a: ComparedTally, b: ComparedTally) -> float | None:
    """Kolmogorov–Smirnov: the largest difference of the two cumulative distributions, by histogram bins."""
    if not a.rows or not b.rows:
        return None
    largest, below_a, below_b = 0.0, 0, 0
    for in_a, in_b in zip(a.histogram, b.histogram, strict=True):
        below_a, below_b = below_a + in_a, below_b + in_b
        largest = max(largest, abs(below_a / a.rows - below_b / b.rows))
    return largest
