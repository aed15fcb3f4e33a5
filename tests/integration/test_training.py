"""Boosting: early stopping, history, progress, and who may end it."""

from typing import Any

import numpy as np
import pytest
import xgboost
from pydantic import ValidationError

from models.kinds.xgboost import probability_fail
from schemas.training import TrainingParameters
from trainer.fit.training import Fitted, fit, total_gains

EMPTY = np.empty((0, 5), np.float32), np.empty(0, np.bool_)


def data(rows: int, seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, 5)).astype(np.float32)
    fails = matrix[:, 0] * matrix[:, 1] + random.normal(size=rows) > 1
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    return matrix, fails


def boost(on_round: Any = lambda *_: None, held_out: Any = None, **parameters: Any) -> Fitted:
    chosen = TrainingParameters(**({"n_estimators": 60, "early_stopping_rounds": 8, "learning_rate": 0.3} | parameters))
    held_out = data(300, 2) if held_out is None else held_out
    matrix, fails = held_out
    return fit(*data(800, 1), matrix, fails, chosen, seed=5, threads=1, on_round=on_round)


def test_trees_end_at_the_round_with_the_lowest_validation_loss() -> None:
    fitted = boost()
    losses = fitted.history.validation_loss
    assert fitted.best_iteration == int(np.argmin(losses)) < 59
    assert len(losses) == fitted.best_iteration + 1 + 8
    assert fitted.booster.num_boosted_rounds() == fitted.best_iteration + 1


def test_history_is_that_of_the_booster() -> None:
    fitted = boost()
    matrix, fails = data(300, 2)
    probability = probability_fail(fitted.booster, fitted.best_iteration, matrix).astype(np.float64)
    loss = -np.where(fails, np.log(probability), np.log1p(-probability)).mean()
    assert fitted.history.validation_loss[fitted.best_iteration] == pytest.approx(loss, rel=1e-5)
    accuracy = ((probability > 0.5) == fails).mean()
    assert fitted.history.validation_accuracy[fitted.best_iteration] == pytest.approx(accuracy)
    assert len(fitted.history.train_loss) == len(fitted.history.train_accuracy) == len(fitted.history.validation_loss)


def test_without_validation_rows_all_rounds_are_kept() -> None:
    fitted = boost(held_out=EMPTY, n_estimators=12)
    assert fitted.best_iteration == 11
    assert fitted.booster.num_boosted_rounds() == 12
    assert fitted.history.validation_loss == []


def test_each_round_is_told() -> None:
    told: list[tuple[int, int]] = []
    fitted = boost(lambda done, of, *_: told.append((done, of)))
    assert told == [(number, 60) for number in range(1, len(fitted.history.train_loss) + 1)]


def test_an_exception_from_the_callback_ends_the_training() -> None:
    def stop(done: int, *_: Any) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        boost(stop)


def test_same_seed_gives_the_same_trees_whatever_the_threads() -> None:
    rows = data(200, 9)[0]
    results = [
        fit(
            *data(800, 1),
            *data(300, 2),
            TrainingParameters(n_estimators=30),
            seed=5,
            threads=threads,
            on_round=lambda *_: None,
        )
        for threads in (1, 2, 1)
    ]
    assert len({probability_fail(result.booster, result.best_iteration, rows).tobytes() for result in results}) == 1


def test_gains_are_named_in_order_and_unused_features_have_none() -> None:
    fitted = boost(max_depth=1, n_estimators=1, colsample_bytree=1.0)
    gains = total_gains(fitted.booster, list("abcde"))
    assert list(gains) == list("abcde")
    assert sum(gain > 0 for gain in gains.values()) == 1


def test_every_parameter_reaches_the_booster() -> None:
    fitted = boost(max_depth=3, gamma=0.5, reg_alpha=0.25, max_bin=32)
    config = fitted.booster.save_config()
    assert isinstance(fitted.booster, xgboost.Booster)
    for text in ('"max_depth":"3"', '"min_split_loss":"0.5"', '"reg_alpha":"0.25"', '"max_bin":"32"'):
        assert text in config


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_depth": 0},
        {"max_depth": 17},
        {"learning_rate": 0},
        {"subsample": 1.1},
        {"n_estimators": 5001},
        {"gamma": float("nan")},
        {"eta": 1},
    ],
)
def test_parameter_out_of_its_bounds_or_unknown_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TrainingParameters.model_validate(wrong)
