"""Rank features by the total gain of a preliminary model on a stratified sample. Pure.

The sample is drawn from the earlier rows only, so that with the suggested split (60 % of the time for training) the
choice of features has not seen a row of the test range.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.kinds.base import Matrix
from schemas.training import TrainingParameters
from trainer.fit.training import OnRound, fit, total_gains
from trainer.fit.validation import Labels

PRELIMINARY = TrainingParameters(
    n_estimators=60, max_depth=6, learning_rate=0.2, subsample=0.8, colsample_bytree=0.5, max_bin=64
)
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Names, best first, with their total gains; features that the preliminary model did not use follow in file order
    with gain 0."""

    features: list[str]
    gains: list[float]


def choose_rows(
    times: npt.NDArray[np.int64], fails: Labels, *, time_share: float, fraction: float, minimum: int, seed: int
) -> Indices:
    """Draw the sample: ascending row numbers, `fraction` of the earliest `time_share` of the rows, at least `minimum`,
    stratified.

    All rows are eligible when the earlier ones have one class only. Each class that is there keeps at least one row.
    """
    order = np.argsort(times, kind="stable")
    eligible = order[: max(1, round(len(order) * time_share))]
    if fails[eligible].all() or not fails[eligible].any():
        eligible = order
    share = min(1.0, max(minimum, fraction * len(eligible)) / len(eligible))
    if share >= 1:
        return np.sort(eligible)
    random = np.random.default_rng(seed)
    classes = [np.sort(eligible[fails[eligible] == value]) for value in (False, True)]
    kept = [random.choice(rows, max(1, round(share * len(rows))), replace=False) for rows in classes if len(rows)]
    return np.sort(np.concatenate(kept))


def rank(
    matrix: Matrix,
    fails: Labels,
    names: list[str],
    *,
    seed: int,
    threads: int,
    on_round: OnRound,
    types: list[str] | None = None,
) -> Ranking:
    """Rank the columns of `matrix` [n, k]; those with one value at most in these rows are left out."""
    usable = [column for column in range(len(names)) if _varies(matrix[:, column])]
    if not usable or not fails.any() or fails.all():
        return Ranking([names[column] for column in usable], [0.0] * len(usable))
    chosen = np.ascontiguousarray(matrix[:, usable])
    nothing = np.empty((0, len(usable)), np.float32), np.empty(0, np.bool_)
    kinds = types and [types[column] for column in usable]
    fitted = fit(chosen, fails, *nothing, PRELIMINARY, seed=seed, threads=threads, on_round=on_round, types=kinds)
    gains = total_gains(fitted.booster, [names[column] for column in usable])
    best_first = sorted(gains, key=lambda name: -gains[name])  # stable: equal gains stay in file order
    return Ranking(best_first, [gains[name] for name in best_first])


def _varies(column: npt.NDArray[np.float32]) -> bool:
    present = column[~np.isnan(column)]
    return bool(len(present) and (present != present[0]).any())
