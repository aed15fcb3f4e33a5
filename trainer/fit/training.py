"""Fit the booster: rows in, the trees up to the best round and a history per round out. Pure but for `on_round`.

The same rows, parameters and seed give the same predictions, whatever the number of threads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from xgboost.callback import TrainingCallback

from models.kinds.base import Matrix
from schemas.training import TrainingParameters
from trainer.fit.validation import Labels

OnRound = Callable[[int, int, float, float | None], None]
"""Called after each boosting round with the rounds done, the rounds at most, and the loss on the rows fitted and on
those held out (None without such rows); an exception from it ends the training."""
OWN = frozenset({"n_estimators", "early_stopping_rounds", "validation_fraction"})
"""Parameters that are ours, not the booster's."""


@dataclass(frozen=True, slots=True)
class RoundHistory:
    """Figures after each round; accuracy at P(FAIL) >= 0.5. The validation lists are empty without validation rows."""

    train_loss: list[float]
    train_accuracy: list[float]
    validation_loss: list[float]
    validation_accuracy: list[float]


@dataclass(frozen=True, slots=True)
class Fitted:
    """The trained booster: `booster` holds the trees up to `best_iteration`, no others."""

    booster: xgboost.Booster
    best_iteration: int
    history: RoundHistory


def fit(
    matrix: Matrix,
    fails: Labels,
    held_out: Matrix,
    held_out_fails: Labels,
    parameters: TrainingParameters,
    *,
    seed: int,
    threads: int,
    on_round: OnRound,
    types: list[str] | None = None,
) -> Fitted:
    """`boost` on `matrix` [n, k] and `held_out` [m, k], which may be empty."""
    fitting = xgboost.DMatrix(matrix, fails, nthread=threads, **column_types(types))
    validation = (
        xgboost.DMatrix(held_out, held_out_fails, nthread=threads, **column_types(types)) if len(held_out) else None
    )
    return boost(fitting, validation, parameters, seed=seed, threads=threads, on_round=on_round)


def boost(
    fitting: xgboost.DMatrix,
    held_out: xgboost.DMatrix | None,
    parameters: TrainingParameters,
    *,
    seed: int,
    threads: int,
    on_round: OnRound,
    watch: TrainingCallback | None = None,
) -> Fitted:
    """Boost with early stopping on the loss over `held_out`; without such rows all rounds are run and kept. `watch` may
    end it too."""
    evaluated = [(fitting, "train"), *([(held_out, "validation")] if held_out is not None else [])]
    results: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        booster_parameters(parameters, seed, threads),
        fitting,
        parameters.n_estimators,
        evals=evaluated,
        evals_result=results,
        early_stopping_rounds=None if held_out is None else parameters.early_stopping_rounds,
        verbose_eval=False,
        callbacks=[_Rounds(parameters.n_estimators, on_round), *([watch] if watch else [])],
    )
    best = int(booster.best_iteration) if held_out is not None else booster.num_boosted_rounds() - 1
    return Fitted(booster[: best + 1], best, _history(results))


def column_types(types: list[str] | None) -> dict[str, Any]:
    """What a matrix is told about its columns: XGBoost's feature types, none where all are numbers."""
    return {} if types is None else {"feature_types": types, "enable_categorical": True}


def booster_parameters(parameters: TrainingParameters, seed: int, threads: int) -> dict[str, Any]:
    """What XGBoost is called with. Early stopping watches the last metric."""
    return parameters.model_dump(exclude=set(OWN)) | {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "eval_metric": ["error", "logloss"],
        "seed": seed,
        "nthread": threads,
    }


def total_gains(booster: xgboost.Booster, features: list[str]) -> dict[str, float]:
    """Total gain of each feature, in the order of `features`; 0 for one that no tree uses."""
    gains = booster.get_score(importance_type="total_gain")
    return {name: float(gains.get(f"f{index}", 0.0)) for index, name in enumerate(features)}  # type: ignore[arg-type]


def _history(results: dict[str, dict[str, list[float]]]) -> RoundHistory:
    train, validation = results["train"], results.get("validation", {"logloss": [], "error": []})
    return RoundHistory(
        train_loss=train["logloss"],
        train_accuracy=_accuracy(train["error"]),
        validation_loss=validation["logloss"],
        validation_accuracy=_accuracy(validation["error"]),
    )


def _accuracy(errors: list[float]) -> list[float]:
    return [float(value) for value in 1.0 - np.asarray(errors, np.float64)]


class _Rounds(TrainingCallback):
    def __init__(self, of: int, on_round: OnRound) -> None:
        super().__init__()
        self._of, self._on_round = of, on_round

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        validation = evals_log.get("validation")
        self._on_round(
            epoch + 1, self._of, evals_log["train"]["logloss"][-1], validation["logloss"][-1] if validation else None
        )
        return False
