"""Intervals that tell how sure a figure is, and the sentence for a model that is not shown to be better than calling
every row PASS."""

from typing import Any

import numpy as np
import pytest

from trainer.report.evaluation import Scored
from trainer.report.judging import baseline, doubt, intervals, judge


def scored(rows: int, strength: float, seed: int, share: float = 0.1) -> Scored:
    random = np.random.default_rng(seed)
    fails = random.random(rows) < share
    scores = 1 / (1 + np.exp(-random.normal(size=rows) - strength * (fails - 0.5)))
    return Scored.of(scores.astype(np.float32), fails)


@pytest.mark.parametrize("name", ["mcc", "recall", "precision", "pr_auc"])
def test_intervals_hold_the_figure_of_many_rows_about_nineteen_times_of_twenty(name: str) -> None:
    truth = getattr(judge(scored(200_000, 2.0, 99), 0.8), name)
    found = [intervals(scored(1500, 2.0, seed), 0.8)[name] for seed in range(60)]
    assert sum(one.low <= truth <= one.high for one in found) >= 50
    assert all(one.high - one.low < 0.4 for one in found)


def test_failures_in_spells_make_intervals_wider_than_the_same_failures_scattered() -> None:
    random = np.random.default_rng(4)
    fails = np.repeat(random.random(40) < 0.2, 50)
    scores = np.where(fails, np.repeat(random.random(40), 50), 0.4).astype(
        np.float32
    )  # a spell is found as a whole or not at all
    mixed = random.permutation(2000)
    spells, scattered = (
        intervals(Scored.of(scores[order], fails[order]), 0.5)["recall"] for order in (np.arange(2000), mixed)
    )
    assert spells.high - spells.low > 2 * (scattered.high - scattered.low)


def test_the_same_rows_give_the_same_intervals() -> None:
    assert intervals(scored(700, 1.0, 5), 0.5) == intervals(scored(700, 1.0, 5), 0.5)


def test_calling_every_row_pass_is_the_baseline() -> None:
    found = baseline(np.array([True, False, False, False]))
    assert found.model_dump() == {"accuracy": 0.75, "mcc": 0.0, "recall": 0.0, "pr_auc": 0.25}
    assert baseline(np.empty(0, bool)).accuracy is None


@pytest.mark.parametrize(
    ("strength", "rows", "begin"),
    [
        (3.0, 2000, None),
        (0.0, 400, "On the test set this model is not better|The test set does not show"),
        (-2.0, 2000, "On the test set this model is not better than calling every row PASS"),
        (1.0, 60, "The test set does not show"),
    ],
)
def test_doubt_is_one_sentence_with_the_figures(strength: float, rows: int, begin: str | None) -> None:
    found = doubt(judge(scored(rows, strength, 7), 0.7))
    if begin is None:
        assert found is None
        return
    assert found is not None
    assert any(found.startswith(one) for one in begin.split("|"))
    assert "failures found" in found
    assert found.count(". ") == 0


def test_a_set_of_one_class_is_in_doubt_and_has_no_intervals() -> None:
    one: Any = judge(Scored.of(np.full(9, 0.2, np.float32), np.zeros(9, bool)), 0.5)
    assert one.intervals == {}
    assert "one class only" in (doubt(one) or "")


def test_an_empty_set_is_judged_without_an_error() -> None:
    empty = judge(Scored.of(np.empty(0, np.float32), np.empty(0, bool)), 0.5)
    assert (empty.rows, empty.intervals) == (0, {})
