"""Folds of time: every row is judged once by a booster that has not learnt from it, and the model has learnt from
all."""

from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from schemas.training import TrainingParameters
from trainer.fit.fitting import FEWEST_COLUMNS, REPEATED, REPEATED_ROWS, fitting_parameters
from trainer.fit.folds import FEWEST_ROUNDS, RANKED_CELLS, SMALL_CELLS, Unseen, fit_in_folds, in_folds, stretches
from trainer.fit.thresholds import mcc, threshold_table
from trainer.fit.training import booster_parameters

labels = arrays(np.bool_, st.integers(4, 200)).filter(lambda fails: 2 <= fails.sum() <= len(fails) - 2)


@given(labels)
@settings(max_examples=300)
def test_stretches_hold_every_row_once_and_leave_both_classes_to_learn_from(fails: Any) -> None:
    parts = stretches(fails)
    assert 2 <= len(parts) <= 3
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(fails)))
    for part in parts:
        others = np.delete(fails, part)
        assert others.any()
        assert not others.all()
        assert len(part)


def test_stretches_follow_each_other_in_time_and_share_late_failures_out() -> None:
    fails = np.zeros(1000, bool)
    fails[900::2] = True
    parts = stretches(fails)
    assert [part[0] for part in parts[1:]] == [part[-1] + 1 for part in parts[:-1]]
    assert min(int(fails[part].sum()) for part in parts[1:]) >= 10


@pytest.mark.parametrize(
    ("rows", "failures", "features", "candidates", "small"),
    [
        (1000, 50, 20, 20, True),
        (1000, 1, 20, 20, False),
        (1000, 999, 20, 20, False),
        (SMALL_CELLS // 10, 50, 10, 10, True),
        (SMALL_CELLS, 50, 2, 2, False),
        (RANKED_CELLS // 1000, 50, 100, 1000, True),
        (RANKED_CELLS // 1000 + 1, 50, 100, 1000, False),
    ],
)
def test_folds_are_for_few_rows_with_failures_and_passes_for_two_of_them(
    rows: int, failures: int, features: int, candidates: int, small: bool
) -> None:
    fails = np.zeros(rows, bool)
    fails[:failures] = True
    assert in_folds(fails, features, candidates) is small


def late_failures(seed: int = 0) -> tuple[Any, Any]:
    """Failures by one rule until late, and by another in the last tenth."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(1500, 5)).astype(np.float32)
    late = np.arange(1500) >= 1350
    return matrix, ((matrix[:, 0] > 2.2) & ~late) | ((matrix[:, 1] > 0.9) & late)


def boosted(matrix: Any, fails: Any, threads: int = 1, **changed: Any) -> tuple[Unseen, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    found = fit_in_folds(
        matrix,
        fails,
        TrainingParameters(**changed),
        types=None,
        seed=3,
        threads=threads,
        on_round=lambda done, of, *_: told.append((done, of)),
    )
    return found, told


def test_the_model_learns_from_the_end_of_the_range_too() -> None:
    matrix, fails = late_failures()
    found, _ = boosted(matrix, fails)
    late = np.random.default_rng(9).normal(size=(400, 5)).astype(np.float32)
    scores = found.fitted.booster.inplace_predict(late)
    assert mcc(threshold_table(scores, late[:, 1] > 0.9)).max() > 0.6


def test_unseen_probabilities_are_those_of_boosters_without_the_stretch() -> None:
    matrix, fails = late_failures()
    found, _ = boosted(matrix, fails, n_estimators=70, early_stopping_rounds=500)
    rounds = found.fitted.best_iteration + 1
    for part in stretches(fails):
        others = np.delete(np.arange(len(fails)), part)
        data = xgboost.DMatrix(matrix[others], fails[others])
        alone = xgboost.train(
            booster_parameters(TrainingParameters(), 3, 1) | {"seed_per_iteration": True}, data, rounds
        )
        np.testing.assert_array_equal(found.probabilities[part], alone.inplace_predict(matrix[part]))


def test_rounds_are_told_stop_early_and_never_fall_below_the_floor() -> None:
    random = np.random.default_rng(1)
    matrix, fails = (
        random.normal(size=(300, 4)).astype(np.float32),
        random.random(300) < 0.2,
    )  # nothing to learn: the best round is an early one
    found, told = boosted(matrix, fails, early_stopping_rounds=70)
    assert told == [(number, 300) for number in range(1, len(told) + 1)]
    assert len(told) < 300
    assert found.fitted.booster.num_boosted_rounds() == found.fitted.best_iteration + 1 == FEWEST_ROUNDS
    history = found.fitted.history
    assert (
        len(told)
        == len(history.train_loss)
        == len(history.validation_loss)
        == len(history.train_accuracy)
        == len(history.validation_accuracy)
    )
    assert boosted(matrix, fails, n_estimators=7)[0].fitted.best_iteration == 6


def test_the_number_of_threads_changes_nothing() -> None:
    matrix, fails = late_failures()
    one, two = (boosted(matrix, fails, threads, n_estimators=30)[0] for threads in (1, 2))
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    assert (
        one.fitted.booster.save_raw("ubj") == two.fitted.booster.save_raw("ubj")
        or (one.fitted.booster.inplace_predict(matrix) == two.fitted.booster.inplace_predict(matrix)).all()
    )


@pytest.mark.parametrize(
    ("given", "rows", "features", "columns", "trees"),
    [
        ({}, 600, 5, 1.0, REPEATED),
        ({}, REPEATED_ROWS, 10, FEWEST_COLUMNS / 10, REPEATED),
        ({}, REPEATED_ROWS + 1, 20, 0.5, 1),
        ({}, 1000, 100, 0.5, 1),
        ({"colsample_bytree": 0.4, "num_parallel_tree": 2}, 600, 5, 0.4, 2),
    ],
)
def test_few_columns_and_rows_get_floors_unless_something_was_said(
    given: dict[str, Any], rows: int, features: int, columns: float, trees: int
) -> None:
    found = fitting_parameters(TrainingParameters(**given), rows, features)
    assert (found.colsample_bytree, found.num_parallel_tree) == (columns, trees)
