"""Metrics of a scored set, FAIL the positive class. Pure. A set with one class gives nulls, never an error."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.manifests import ConfusionMatrix, Metrics
from trainer.fit.thresholds import ThresholdTable, f1, mcc, threshold_table

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """P(FAIL) and truth of a set's rows, with the threshold table that both give."""

    probabilities: npt.NDArray[np.float32]
    fails: npt.NDArray[np.bool_]
    table: ThresholdTable

    @classmethod
    def of(cls, probabilities: npt.NDArray[np.float32], fails: npt.NDArray[np.bool_]) -> "Scored":
        """Build the table."""
        return cls(probabilities, fails, threshold_table(probabilities, fails))

    @property
    def both_classes(self) -> bool:
        """Whether the set has PASS and FAIL rows."""
        return bool(self.fails.any() and not self.fails.all())


def evaluate(scored: Scored, threshold: float) -> Metrics:
    """All metrics at one threshold. With one class only, all but accuracy are null; an empty set has no accuracy
    either."""
    called = scored.probabilities.astype(np.float64) >= threshold
    tp, fp = int((called & scored.fails).sum()), int((called & ~scored.fails).sum())
    fn, tn = int(scored.fails.sum()) - tp, int((~scored.fails).sum()) - fp
    rows = len(scored.fails)
    at = ThresholdTable(*(np.array([value]) for value in (threshold, tp, fp, tn, fn)))
    defined = scored.both_classes
    return Metrics(
        accuracy=(tp + tn) / rows if rows else None,
        precision=tp / (tp + fp) if defined and tp + fp else (0.0 if defined else None),
        recall=tp / (tp + fn) if defined else None,
        f1_score=float(f1(at)[0]) if defined else None,
        mcc=float(mcc(at)[0]) if defined else None,
        roc_auc=roc_auc(scored.table) if defined else None,
        pr_auc=average_precision(scored.table) if defined else None,
        threshold=threshold,
        rows=rows,
        confusion_matrix=ConfusionMatrix(true_positives=tp, false_positives=fp, true_negatives=tn, false_negatives=fn),
    )


def roc(table: ThresholdTable) -> tuple[Floats, Floats]:
    """False and true positive rate of a set with both classes, ascending from (0, 0) to (1, 1)."""
    fp, tp = np.append(0, table.fp), np.append(0, table.tp)
    return fp / fp[-1], tp / tp[-1]


def roc_auc(table: ThresholdTable) -> float:
    """Area under the ROC curve by trapezoids."""
    false_rate, true_rate = roc(table)
    return float(np.trapezoid(true_rate, false_rate))


def precision_recall(table: ThresholdTable) -> tuple[Floats, Floats]:
    """Recall, ascending, and precision at each candidate that calls a row FAIL, of a set with both classes."""
    called = table.tp + table.fp
    some = called > 0
    return table.tp[some] / (table.tp[-1] or 1), table.tp[some] / called[some]


def average_precision(table: ThresholdTable) -> float:
    """Area under the precision-recall curve by steps, as scikit-learn's `average_precision_score`."""
    recall, precision = precision_recall(table)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
