"""From the training set to a fitted model, and what it says of rows that it has not learnt from: in folds where rows
are few, else by the end of the range."""

from typing import NamedTuple

import numpy

from models.kinds.xgboost import probability_fail
from schemas.training import TrainingParameters
from trainer.child.reporting import TRAINING, Reporter
from trainer.child.wire import BackendSettings
from trainer.errors import JobFailed
from trainer.fit.backends import BackendPlan, fit_as_planned
from trainer.fit.choosing import ColumnChoice
from trainer.fit.data import Numbers, SetReader, compact, labels
from trainer.fit.folds import Candidates, fit_in_folds, in_folds
from trainer.fit.training import Fitted
from trainer.fit.validation import Labels, Validation, hold_out
from trainer.report.evaluation import Scored

FEWEST_COLUMNS = 8
"""What a tree sees at least, where nothing else is said: half of five columns would be two, in which nothing meets."""
REPEATED_ROWS, REPEATED_CELLS, REPEATED = 2_000, 60_000, 3
"""Rows, and rows times features, up to which each round grows so many trees, each on its own sample, that are averaged:
with few rows the draw matters, and they cost little."""


class Validated(NamedTuple):
    """A model, its probabilities for rows that it, or its like, has not learnt from, and what is to be said about
    them."""

    fitted: Fitted
    unseen: Scored
    warning: str | None = None


def fitting_parameters(parameters: TrainingParameters, rows: int, features: int) -> TrainingParameters:
    """The parameters with what few columns and few rows need; nothing that was given is changed."""
    floors: dict[str, float] = {
        "colsample_bytree": max(parameters.colsample_bytree, min(1.0, FEWEST_COLUMNS / features))
    }
    if rows <= REPEATED_ROWS and rows * features <= REPEATED_CELLS:
        floors["num_parallel_tree"] = REPEATED
    return parameters.model_copy(
        update={name: value for name, value in floors.items() if name not in parameters.model_fields_set}
    )


def held_out(
    fails: Labels, parameters: TrainingParameters, plan: BackendPlan, choice: ColumnChoice, seed: int
) -> Validation | None:
    """The rows that judge; None when the set is so small that folds do. Raises `JobFailed` when the set has one class
    only."""
    if not fails.any() or fails.all():
        raise JobFailed("The training set needs PASS and FAIL rows, but all of its rows have one label.")
    candidates = len(choice.inputs.names)
    features = min(choice.kept, candidates)
    if (
        plan.backend == "memory"
        and "validation_fraction" not in parameters.model_fields_set
        and in_folds(fails, features, candidates)
    ):
        return None
    return hold_out(fails, parameters.validation_fraction, seed)


def fit_in_stretches(
    rows: SetReader,
    candidates: SetReader,
    choice: ColumnChoice,
    parameters: TrainingParameters,
    seed: int,
    threads: int,
    reporter: Reporter,
) -> Validated:
    """Boost on all rows, judged by folds, which choose anew from the candidates."""
    reporter.log("INFO", "Few rows: best round and threshold come from folds of time, the model from all training rows")
    every = range(len(rows.fails))
    found = fit_in_folds(
        rows.read(every),
        rows.fails,
        parameters,
        types=rows.inputs.types,
        seed=seed,
        threads=threads,
        on_round=reporter.rounds(TRAINING),
        candidates=Candidates(candidates.read(every), candidates.inputs.types, choice.best) if choice.open else None,
    )
    _tell(found.fitted, reporter)
    return Validated(found.fitted, Scored.of(found.probabilities, rows.fails))


def fit_and_validate(
    rows: SetReader,
    validation: Validation,
    parameters: TrainingParameters,
    plan: BackendPlan,
    backend: BackendSettings,
    seed: int,
    threads: int,
    reporter: Reporter,
) -> Validated:
    """Boost as planned. Raises `JobFailed`, `StorageUnavailable`."""
    judging = compact(validation.held_out)
    fitted = fit_as_planned(
        plan,
        rows,
        compact(validation.fitting),
        judging,
        parameters,
        backend,
        seed=seed,
        threads=threads,
        on_round=reporter.rounds(TRAINING),
        warn=lambda message: reporter.log("WARNING", message),
    )
    _tell(fitted, reporter)
    return Validated(fitted, score_rows(fitted, rows, judging, plan.batch_bytes), validation.warning)


def score_rows(fitted: Fitted, rows: SetReader, chosen: Numbers, batch_bytes: int) -> Scored:
    """P(FAIL) of these rows, read a batch at a time."""
    parts = [
        probability_fail(fitted.booster, fitted.best_iteration, matrix)
        for _, matrix in rows.batches(chosen, batch_bytes)
    ]
    probabilities = numpy.concatenate(parts) if parts else numpy.empty(0, numpy.float32)
    return Scored.of(probabilities, labels(rows.fails, chosen))


def _tell(fitted: Fitted, reporter: Reporter) -> None:
    reporter.log("INFO", f"Best of {len(fitted.history.train_loss)} boosting rounds: {fitted.best_iteration + 1}")
