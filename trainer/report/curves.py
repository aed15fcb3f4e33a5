"""What is drawn of a training, as numbers: chart points per boosting round, and `curves.json`. Pure.

`curves.json`: `rounds` (lists by round), `best_round` (1-based), `threshold`, `sets` with `validation` and `test`, each
with `thresholds` {threshold, tp, fp, tn, fn} and, null with one class only, `roc` {false_positive_rate,
true_positive_rate} and `precision_recall` {recall, precision}.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.fit.thresholds import ThresholdTable
from trainer.fit.training import RoundHistory
from trainer.report.evaluation import Scored, precision_recall, roc

POINTS = 1000
"""At most about so many points of a curve are kept, both ends among them."""


def training_chart(history: RoundHistory) -> dict[str, list[dict[str, Any]]]:
    """The chart of the training's result: `{x: "Epoch 1", y}` per round."""
    return {name: _points(getattr(history, name)) for name in ("train_loss", "train_accuracy", "validation_loss")}


def curves(
    history: RoundHistory, best_iteration: int, threshold: float, validation: Scored, test: Scored
) -> dict[str, Any]:
    """The content of `curves.json`."""
    rounds = {
        name: getattr(history, name)
        for name in ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
    }
    sets = {"validation": _set(validation, threshold), "test": _set(test, threshold)}
    return {"rounds": rounds, "best_round": best_iteration + 1, "threshold": threshold, "sets": sets}


def thinned(table: ThresholdTable, threshold: float, points: int = POINTS) -> npt.NDArray[np.int64]:
    """Indices of about `points` candidates, evenly spread, with both ends and the one that counts as `threshold`
    does."""
    last = len(table.thresholds) - 1
    evenly = np.linspace(0, last, min(points, last + 1)).round()
    in_force = np.searchsorted(-table.thresholds, -threshold)  # the highest candidate at or below the threshold
    return np.unique(np.append(evenly, min(int(in_force), last)).astype(np.int64))


def _set(scored: Scored, threshold: float) -> dict[str, Any]:
    table, kept = scored.table, thinned(scored.table, threshold)
    part = ThresholdTable(table.thresholds[kept], table.tp[kept], table.fp[kept], table.tn[kept], table.fn[kept])
    counts = {name: getattr(part, name).tolist() for name in ("tp", "fp", "tn", "fn")}
    result: dict[str, Any] = {"thresholds": {"threshold": part.thresholds.tolist()} | counts}
    if not scored.both_classes:
        return result | {"roc": None, "precision_recall": None}
    false_rate, true_rate = roc(part)
    recall, precision = precision_recall(part)
    return result | {
        "roc": {"false_positive_rate": false_rate.tolist(), "true_positive_rate": true_rate.tolist()},
        "precision_recall": {"recall": recall.tolist(), "precision": precision.tolist()},
    }


def _points(values: list[float]) -> list[dict[str, Any]]:
    return [{"x": f"Epoch {number}", "y": value} for number, value in enumerate(values, 1)]
