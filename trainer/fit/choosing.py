"""Which columns a training takes: the best by rank on nothing but rows that learn, so that unseen rows have no say.
Pure but for reading.

The dataset's own selection says how many columns are kept, and of how many rows the sample is. Where it kept all of
them there is nothing to choose: its features are taken as they are.
"""

from typing import NamedTuple

import numpy as np

from models.kinds.base import Matrix
from rows.inputs import ModelInputs
from trainer.fit import features
from trainer.fit.data import Numbers, SetReader, labels
from trainer.fit.validation import Indices, Labels


class ColumnChoice(NamedTuple):
    """How columns are chosen; the same rows give the same columns, whatever the number of threads."""

    inputs: ModelInputs
    kept: int
    sampled_rows: int
    seed: int
    threads: int

    @property
    def open(self) -> bool:
        """Whether there are more columns than are kept."""
        return len(self.inputs.names) > self.kept

    def best(self, matrix: Matrix, fails: Labels) -> Indices:
        """The columns of `matrix` [n, all of the inputs] that are kept, best first."""
        numbers = {name: number for number, name in enumerate(self.inputs.names)}
        ranking = features.rank(
            matrix,
            fails,
            self.inputs.names,
            seed=self.seed,
            threads=self.threads,
            on_round=_untold,
            types=self.inputs.types,
        )
        return np.array([numbers[name] for name in ranking.features[: self.kept]], np.int64)

    def of_sample(self, rows: SetReader, among: Numbers) -> Indices:
        """The same by a sample of these rows, each class in its share; only the sample is read."""
        fails = labels(rows.fails, among)
        drawn = features.choose_rows(
            np.arange(len(among)), fails, time_share=1.0, fraction=0.0, minimum=self.sampled_rows, seed=self.seed
        )
        return self.best(rows.read(np.asarray(among)[drawn]), fails[drawn])

    def only(self, columns: Indices) -> ModelInputs:
        """The inputs of these columns."""
        return ModelInputs([self.inputs.inputs[column] for column in columns])


def _untold(done: int, of: int, train_loss: float, validation_loss: float | None) -> None:
    """Rounds of a ranking are not told: the boosting's own are."""
