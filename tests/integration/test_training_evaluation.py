"""Metrics against scikit-learn, and nulls where a set has one class."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    roc_auc_score,
)

from trainer.report.evaluation import Scored, evaluate

pytestmark = pytest.mark.filterwarnings("ignore:A single label was found")
SCORES = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1, width=32))


def scored(rows: list[tuple[float, bool]]) -> Scored:
    return Scored.of(np.array([p for p, _ in rows], np.float32), np.array([fail for _, fail in rows], np.bool_))


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(SCORES, st.booleans()), min_size=2, max_size=60), st.floats(0, 1))
def test_metrics_are_those_of_scikit_learn(rows: list[tuple[float, bool]], threshold: float) -> None:
    one_class = len({fail for _, fail in rows}) == 1
    part = scored(rows)
    ours = evaluate(part, threshold)
    truth, called = part.fails, part.probabilities.astype(np.float64) >= threshold
    tn, fp, fn, tp = confusion_matrix(truth, called, labels=[False, True]).ravel()
    assert ours.confusion_matrix.model_dump() == {
        "true_positives": tp, "false_positives": fp, "true_negatives": tn, "false_negatives": fn,
    }  # fmt: skip
    assert ours.accuracy == pytest.approx(accuracy_score(truth, called))
    figures: dict[str, Any] = {
        "precision": precision_score(truth, called, zero_division=0.0),
        "recall": recall_score(truth, called, zero_division=0.0),
        "f1_score": f1_score(truth, called, zero_division=0.0),
        "mcc": matthews_corrcoef(truth, called),
        "roc_auc": None if one_class else roc_auc_score(truth, part.probabilities),
        "pr_auc": None if one_class else average_precision_score(truth, part.probabilities),
    }
    for name, value in figures.items():
        assert getattr(ours, name) is None if one_class else getattr(ours, name) == pytest.approx(value, abs=1e-12), (
            name
        )


@pytest.mark.parametrize("fail", [True, False])
def test_one_class_gives_nulls_and_keeps_the_counts(fail: bool) -> None:
    metrics = evaluate(scored([(0.2, fail), (0.7, fail)]), 0.5)
    assert (metrics.precision, metrics.recall, metrics.f1_score, metrics.mcc, metrics.roc_auc, metrics.pr_auc) == (
        None,
    ) * 6
    assert (metrics.accuracy, metrics.rows) == (0.5, 2)


def test_no_rows_give_nulls() -> None:
    metrics = evaluate(scored([]), 0.5)
    assert (metrics.accuracy, metrics.mcc, metrics.rows) == (None, None, 0)


def test_probability_at_the_threshold_is_fail_in_double_precision() -> None:
    """0.1 as float32 is above 0.1: a comparison in single precision, or in mixed, would not tell."""
    one = scored([(float(np.float32(0.1)), True)])
    assert evaluate(one, float(np.float32(0.1))).confusion_matrix.true_positives == 1
    assert evaluate(one, float(np.nextafter(np.float64(np.float32(0.1)), 1))).confusion_matrix.true_positives == 0
