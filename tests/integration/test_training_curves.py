"""The numbers behind the curves, and that every training can be drawn."""

from typing import Any

import numpy as np
import pytest

from trainer.fit.thresholds import choose_threshold
from trainer.fit.training import RoundHistory
from trainer.report.curves import curves, thinned, training_chart
from trainer.report.drawing import draw_curves
from trainer.report.evaluation import Scored

HISTORY = RoundHistory([0.6, 0.4, 0.3], [0.8, 0.9, 0.95], [0.65, 0.5, 0.55], [0.8, 0.85, 0.84])
WITHOUT_VALIDATION = RoundHistory([0.6], [0.8], [], [])


def scored(rows: int, *, failure_rate: float = 0.2, seed: int = 0) -> Scored:
    random = np.random.default_rng(seed)
    fails = random.random(rows) < failure_rate
    return Scored.of(np.clip(random.normal(0.3, 0.2, rows) + 0.3 * fails, 0, 1).astype(np.float32), fails)


def test_chart_has_a_point_per_round_in_the_words_of_the_contract() -> None:
    chart = training_chart(HISTORY)
    assert chart["train_loss"] == [{"x": "Epoch 1", "y": 0.6}, {"x": "Epoch 2", "y": 0.4}, {"x": "Epoch 3", "y": 0.3}]
    assert [len(chart[name]) for name in ("train_loss", "train_accuracy", "validation_loss")] == [3, 3, 3]


def test_long_curves_are_thinned_and_keep_their_ends_and_the_threshold_in_force() -> None:
    part = scored(20_000)
    threshold = choose_threshold(part.table, "mcc").threshold
    content = curves(HISTORY, 1, threshold, part, scored(50))
    kept = content["sets"]["validation"]["thresholds"]
    assert 900 < len(kept["threshold"]) < 1100
    assert threshold in kept["threshold"]
    at = kept["threshold"].index(threshold)
    called = part.probabilities.astype(np.float64) >= threshold
    assert (kept["tp"][at], kept["fp"][at]) == ((called & part.fails).sum(), (called & ~part.fails).sum())
    roc = content["sets"]["validation"]["roc"]
    assert (roc["true_positive_rate"][0], roc["true_positive_rate"][-1]) == (0, 1)
    assert content["best_round"] == 2
    assert len(content["sets"]["test"]["thresholds"]["threshold"]) == len(scored(50).table.thresholds)


@pytest.mark.parametrize("threshold", [0.0, 0.123, 1.0])
def test_any_threshold_has_an_entry_that_counts_as_it_does(threshold: float) -> None:
    part = scored(5000)
    kept = thinned(part.table, threshold, 10)
    called = int((part.probabilities.astype(np.float64) >= threshold).sum())
    assert called in (part.table.tp + part.table.fp)[kept]


@pytest.mark.parametrize(
    ("history", "validation", "test"),
    [
        (HISTORY, scored(200), scored(100)),
        (HISTORY, scored(200), scored(100, failure_rate=0)),
        (WITHOUT_VALIDATION, scored(0), scored(100)),
        (WITHOUT_VALIDATION, scored(0), scored(1, failure_rate=1)),
    ],
)
def test_every_training_can_be_drawn(history: RoundHistory, validation: Scored, test: Scored) -> None:
    gains: dict[str, Any] = {"a $ tricky_name [with] everything, and much longer than a label": 1.0, "b": 0.0}
    assert draw_curves("model", history, 0, 0.5, validation, test, gains).startswith(b"\x89PNG")
    assert set(curves(history, 0, 0.5, validation, test)["sets"]) == {"validation", "test"}
