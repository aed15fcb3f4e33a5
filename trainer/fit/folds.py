"""Few rows: boosting in folds of time, so that every training row is learnt from and every one judges (ADR 34). Pure
but for `on_round`.

The training range is cut into `FOLDS` stretches of time. A booster for each learns from all other stretches; they grow
together, round by round, and stop when the loss on the rows that they have not seen stops falling. The model is then
boosted anew on the whole range for that many rounds, and the threshold comes from the probabilities that the folds gave
to their unseen rows. Cut by rows and by failures alike: where failures come late, each stretch still has its share of
them. Where columns are chosen from, each booster has the columns that the rows it learns from would choose.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xgboost

from models.kinds.base import Matrix
from schemas.training import TrainingParameters
from trainer.fit.training import Fitted, OnRound, RoundHistory, booster_parameters, column_types
from trainer.fit.validation import Indices, Labels

FOLDS = 3
SMALL_CELLS = 2_000_000
"""Rows times features up to which folds are used: they cost three times the trees. Beyond, the end of the range has
failures enough."""
RANKED_CELLS = 8_000_000
"""The same of the columns that are chosen from: four rankings of so many values take half a minute of one processor."""
FEWEST_ROUNDS = 60
"""Early stopping by a handful of failures may end after a tree or two, which rank nothing."""
Probabilities = npt.NDArray[np.float32]


class Candidates(NamedTuple):
    """All columns [n, c] that may be chosen from, their types, and which of them these rows would choose; None: they
    are taken whole."""

    matrix: Matrix
    types: list[str] | None
    choose: Callable[[Matrix, Labels], Indices] | None


class Unseen(NamedTuple):
    """What the folds say of the training rows: P(FAIL) of each by boosters that have not learnt from it."""

    fitted: Fitted
    probabilities: Probabilities


def in_folds(fails: Labels, features: int, candidates: int) -> bool:
    """Whether a training set, whose features are chosen from `candidates`, is small enough for folds and has both
    classes for two."""
    small = len(fails) * features <= SMALL_CELLS and (candidates <= features or len(fails) * candidates <= RANKED_CELLS)
    return small and min(int(fails.sum()), int((~fails).sum())) >= 2


def stretches(fails: Labels, folds: int = FOLDS) -> list[Indices]:
    """The rows cut into consecutive stretches, each with about its share of half the rows and half the failures."""
    count = min(folds, int(fails.sum()), int((~fails).sum()))
    weight = np.arange(1, len(fails) + 1) / len(fails) + np.cumsum(fails) / fails.sum()
    inner = np.searchsorted(weight, 2 * np.arange(1, count) / count) + 1
    parts = np.split(np.arange(len(fails)), inner)
    return parts if all(_both(np.delete(fails, part)) for part in parts) else _dealt(fails, count)


def fit_in_folds(
    matrix: Matrix,
    fails: Labels,
    parameters: TrainingParameters,
    *,
    types: list[str] | None,
    seed: int,
    threads: int,
    on_round: OnRound,
    candidates: Candidates | None = None,
) -> Unseen:
    """Boost on `matrix` [n, k], which `in_folds` has found small; `types` are XGBoost's feature types, if not all are
    numbers.

    Where its columns were chosen by all rows, each booster of a fold takes those of the `candidates` that its own rows
    choose."""
    said = booster_parameters(parameters, seed, threads)
    parts = stretches(fails)
    apart = said | {
        "seed_per_iteration": True
    }  # else boosters that grow in turn draw from one stream of random numbers
    given = candidates or Candidates(matrix, types, None)
    folds = [_Fold(*_chosen(given, fails, part), fails, part, apart, threads) for part in parts]
    rounds = _Rounds([fold.share for fold in folds])
    while rounds.count < parameters.n_estimators and rounds.count - rounds.best < parameters.early_stopping_rounds:
        rounds.add([fold.grow(rounds.count) for fold in folds])
        on_round(
            rounds.count, parameters.n_estimators, rounds.history.train_loss[-1], rounds.history.validation_loss[-1]
        )
    best = min(rounds.count, max(rounds.best, FEWEST_ROUNDS))
    probabilities = np.empty(len(fails), np.float32)
    for part, fold in zip(parts, folds, strict=True):
        probabilities[part] = fold.predict(best)
    whole = xgboost.DMatrix(matrix, fails, nthread=threads, **column_types(types))
    booster = xgboost.train(said, whole, best)
    return Unseen(Fitted(booster, best - 1, rounds.history), probabilities)


class _Fold:
    """A booster that learns from all rows but those of one stretch."""

    def __init__(
        self,
        matrix: Matrix,
        types: list[str] | None,
        fails: Labels,
        part: Indices,
        said: dict[str, object],
        threads: int,
    ) -> None:
        others = np.delete(np.arange(len(fails)), part)
        self._fitting, self._held_out = (
            xgboost.DMatrix(matrix[rows], fails[rows], nthread=threads, **column_types(types))
            for rows in (others, part)
        )
        self._booster = xgboost.Booster(said, [self._fitting, self._held_out])
        self.share = len(part) / len(fails)

    def grow(self, number: int) -> list[float]:
        """Add a tree; error and loss on the rows learnt from, then on the others."""
        self._booster.update(self._fitting, number)
        told = self._booster.eval_set([(self._fitting, "train"), (self._held_out, "validation")], number)
        assert isinstance(told, str)
        return [float(figure.rpartition(":")[2]) for figure in told.split("\t")[1:]]

    def predict(self, rounds: int) -> Probabilities:
        """P(FAIL) of the rows that it has not learnt from."""
        probabilities: Probabilities = self._booster.predict(self._held_out, iteration_range=(0, rounds))
        return probabilities


class _Rounds:
    """The folds' figures, weighted by their rows; `best` is the number of rounds with the lowest loss on unseen
    rows."""

    def __init__(self, shares: list[float]) -> None:
        self._shares = np.array(shares)
        self.history = RoundHistory([], [], [], [])
        self.count = self.best = 0
        self._lowest = float("inf")

    def add(self, figures: list[list[float]]) -> None:
        """Another round."""
        train_error, train_loss, error, loss = (float(figure) for figure in self._shares @ np.array(figures))
        self.count += 1
        for kept, figure in zip(
            (
                self.history.train_loss,
                self.history.train_accuracy,
                self.history.validation_loss,
                self.history.validation_accuracy,
            ),
            (train_loss, 1 - train_error, loss, 1 - error),
            strict=True,
        ):
            kept.append(figure)
        if loss < self._lowest:
            self._lowest, self.best = loss, self.count


def _chosen(candidates: Candidates, fails: Labels, part: Indices) -> tuple[Matrix, list[str] | None]:
    """The columns, and their types, that all rows but those of `part` choose."""
    matrix, types, choose = candidates
    if choose is None:
        return matrix, types
    columns = choose(np.delete(matrix, part, axis=0), np.delete(fails, part))
    return matrix[:, columns], types and [types[column] for column in columns]


def _dealt(fails: Labels, count: int) -> list[Indices]:
    """Rows of each class dealt out in turn: where all failures lie side by side, no cut by time leaves some on both
    sides."""
    turn = np.where(fails, np.cumsum(fails), np.cumsum(~fails)) % count
    return [np.flatnonzero(turn == number) for number in range(count)]


def _both(fails: Labels) -> bool:
    return bool(fails.any() and not fails.all())
