"""Two runs side by side. Pure: predictions of both in, what differs out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.api_runs import PredictionView, Run


@dataclass(frozen=True, slots=True)
class Comparison:
    """`flipped` are the rows that both runs scored and judged differently, in row order."""

    rows: int
    flipped: list[tuple[PredictionView, PredictionView]]


def compare(first: Iterable[PredictionView], second: Iterable[PredictionView]) -> Comparison:
    """Pair the rows by their index."""
    by_index = {row.row_index: row for row in first}
    pairs = [(by_index[row.row_index], row) for row in second if row.row_index in by_index]
    return Comparison(len(pairs), [(a, b) for a, b in pairs if a.prediction != b.prediction])


def differences(first: Run, second: Run) -> Sequence[tuple[str, float | None, float | None]]:
    """Figures that can be compared, by name."""
    a, b = first.statistics, second.statistics
    found: list[tuple[str, float | None, float | None]] = [
        ("total_predictions", a.total_predictions, b.total_predictions),
        ("fail_count", a.fail_count, b.fail_count),
        ("dead_letters", a.dead_letters, b.dead_letters),
        ("average_confidence", a.average_confidence, b.average_confidence),
    ]
    for name in ("accuracy", "precision", "recall", "f1_score", "mcc"):
        found.append((name, getattr(a.truth, name, None), getattr(b.truth, name, None)))
    return found
