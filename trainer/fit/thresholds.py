"""The threshold desk: counts for every threshold that makes a difference, and the best one for an objective. Pure and
deterministic.

A row is FAIL when P(FAIL) >= threshold, compared in float64 as everywhere.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Objective = Literal["mcc", "f1", "cost", "fixed"]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
UNFITTED = 0.5
"""The threshold when nothing tells a better one."""


@dataclass(frozen=True, slots=True)
class ThresholdTable:
    """One entry per candidate, thresholds descending: the first calls as few rows FAIL as can be, the last calls all.

    Candidates lie half-way between neighbouring probabilities, so that each has room on both sides.
    """

    thresholds: Floats
    tp: Counts
    fp: Counts
    tn: Counts
    fn: Counts


@dataclass(frozen=True, slots=True)
class ChosenThreshold:
    """A threshold, and what speaks against it."""

    threshold: float
    warning: str | None = None


def threshold_table(probabilities: npt.NDArray[np.floating], fails: npt.NDArray[np.bool_]) -> ThresholdTable:
    """Count the confusion matrix at every candidate; both arguments [n], n may be 0."""
    scores = np.asarray(probabilities, np.float64)
    order = np.argsort(-scores, kind="stable")
    scores, labels = scores[order], fails[order]
    last_of_value = np.flatnonzero(np.diff(scores, append=-np.inf))
    distinct = scores[last_of_value]
    tp = np.concatenate([[0], np.cumsum(labels)[last_of_value]]).astype(np.int64)
    called = np.concatenate([[0], last_of_value + 1]).astype(np.int64)
    borders = np.concatenate([[1.0], distinct, [0.0]])
    thresholds = (borders[:-1] + borders[1:]) / 2
    failures = int(labels.sum())
    fp, fn = called - tp, failures - tp
    first = 1 if len(distinct) and distinct[0] >= 1 else 0  # a probability of 1 is FAIL at every threshold
    tn = len(scores) - failures - fp
    return ThresholdTable(thresholds[first:], tp[first:], fp[first:], tn[first:], fn[first:])


def choose_threshold(
    table: ThresholdTable,
    objective: Objective,
    *,
    fixed: float | None = None,
    cost_false_positive: float | None = None,
    cost_false_negative: float | None = None,
) -> ChosenThreshold:
    """The best candidate; of equally good ones the lowest, which misses fewest failures. Raises `ValueError` when a
    figure is missing."""
    if objective == "fixed":
        if fixed is None:
            raise ValueError("objective 'fixed' needs a threshold")
        return ChosenThreshold(fixed)
    if objective == "cost" and (cost_false_positive is None or cost_false_negative is None):
        raise ValueError("objective 'cost' needs cost_false_positive and cost_false_negative")
    if not (table.tp + table.fn).any() or not (table.fp + table.tn).any():
        return ChosenThreshold(UNFITTED, f"without validation rows of both classes the threshold is {UNFITTED}")
    if objective == "cost":
        assert cost_false_positive is not None
        assert cost_false_negative is not None
        return ChosenThreshold(_lowest_best(table, -(table.fp * cost_false_positive + table.fn * cost_false_negative)))
    gain = mcc(table) if objective == "mcc" else f1(table)
    if objective == "mcc" and gain.max() <= 0:
        return ChosenThreshold(UNFITTED, f"no threshold tells FAIL from PASS on the validation rows: it is {UNFITTED}")
    return ChosenThreshold(_lowest_best(table, gain))


def mcc(table: ThresholdTable) -> Floats:
    """Matthews correlation at each candidate; 0 where a row or column of the matrix is empty, as scikit-learn has
    it."""
    tp, fp, tn, fn = (counts.astype(np.float64) for counts in (table.tp, table.fp, table.tn, table.fn))
    below: Floats = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    return _ratio(tp * tn - fp * fn, below)


def f1(table: ThresholdTable) -> Floats:
    """F1 of FAIL at each candidate; 0 where it is undefined."""
    return _ratio((2 * table.tp).astype(np.float64), (2 * table.tp + table.fp + table.fn).astype(np.float64))


def _ratio(above: Floats, below: Floats) -> Floats:
    result = np.zeros_like(below)
    np.divide(above, below, out=result, where=below > 0)
    return result


def _lowest_best(table: ThresholdTable, gain: Floats) -> float:
    best = np.flatnonzero(np.isclose(gain, gain.max(), rtol=1e-12, atol=0))
    return float(table.thresholds[best[-1]])
