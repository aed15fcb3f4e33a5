"""Read stored rows as what XGBoost takes: float32 [n, k], NaN for missing; True for FAIL."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ValidationError

from models.kinds.base import Matrix, finite
from models.stored_inputs import model_columns
from rows.inputs import ModelInput, ModelInputs
from schemas.manifests import SetManifest
from storage.objects.files import Storage
from storage.tables.names import column
from trainer.errors import JobFailed
from trainer.fit.validation import Indices, Labels

M = TypeVar("M", bound=BaseModel)
ROW = "__row__"
COLUMNS_AT_A_TIME = 32
BATCH_BYTES = 64 << 20
"""About so much of a matrix is read at once where not all of it is needed."""
Numbers = range | Indices
"""Ascending row numbers."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a set in time order."""

    matrix: Matrix
    fails: Labels


class SetReader:
    """A split's set: labels in memory, feature values read as they are wanted. After `load` they are in memory too."""

    def __init__(self, storage: Storage, path: str, inputs: ModelInputs) -> None:
        """Open it: read the labels. Raises `FileNotFoundError`, `StorageUnavailable`."""
        self.storage, self.path, self.inputs, self.features = storage, path, inputs, inputs.names
        self._lazy = pl.scan_parquet(storage.local(path))
        self.fails: Labels = self._lazy.select(pl.col("__label__") == "FAIL").collect().to_series().to_numpy()
        self._whole: Matrix | None = None

    def load(self) -> None:
        """Read it whole, once."""
        if self._whole is None:
            self._whole = _matrix(self._lazy, self.inputs.inputs, len(self.fails))

    def unload(self) -> None:
        """Forget what `load` read."""
        self._whole = None

    def read(self, rows: Numbers) -> Matrix:
        """The values [n, k] of these rows. May be part of what is in memory: not to be changed."""
        if not len(rows):
            return np.empty((0, len(self.features)), np.float32)
        if self._whole is not None:
            return self._whole[rows.start : rows.stop] if isinstance(rows, range) else self._whole[rows]
        first = int(rows[0])
        span = int(rows[-1]) + 1 - first
        matrix = _matrix(self._lazy.slice(first, span), self.inputs.inputs, span)
        return matrix if len(rows) == span else matrix[np.asarray(rows) - first]

    def batches(self, rows: Numbers, batch_bytes: int = BATCH_BYTES) -> Iterator[tuple[Numbers, Matrix]]:
        """The same a batch at a time, in order."""
        size = batch_rows(len(self.features), batch_bytes)
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            yield chosen, self.read(chosen)

    def columns(self) -> Iterator[tuple[Sequence[ModelInput], Matrix]]:
        """All rows, some features at a time."""
        for first in range(0, len(self.features), COLUMNS_AT_A_TIME):
            some = self.inputs.inputs[first : first + COLUMNS_AT_A_TIME]
            if self._whole is not None:
                yield some, self._whole[:, first : first + len(some)]
                continue
            for one in some:
                yield [one], _matrix(self._lazy, [one], len(self.fails))


def labels(fails: Labels, rows: Numbers) -> Labels:
    """The labels of these rows."""
    return fails[rows.start : rows.stop] if isinstance(rows, range) else fails[rows]


def compact(rows: Indices) -> Numbers:
    """The same numbers, as a range where they are one: read without a copy, and small to send."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return range(int(rows[0]), int(rows[-1]) + 1)
    return rows


def batch_rows(features: int, batch_bytes: int) -> int:
    """Rows of a batch of so many bytes."""
    return max(1, batch_bytes // (4 * max(1, features)))


def read_set(storage: Storage, part: SetManifest, inputs: ModelInputs) -> Rows:
    """Read these inputs of a split's set; only their columns are touched. Raises `FileNotFoundError`,
    `StorageUnavailable`."""
    reader = SetReader(storage, part.path, inputs)
    return Rows(reader.read(range(len(reader.fails))), reader.fails)


def some_rows(storage: Storage, path: str, rows: npt.NDArray[np.int64]) -> pl.LazyFrame:
    """Some rows, by ascending row number, of a dataset's Parquet."""
    wanted = pl.LazyFrame({ROW: rows}, schema={ROW: pl.UInt32})
    lazy = pl.scan_parquet(storage.local(path)).with_row_index(ROW)
    return lazy.join(wanted, on=ROW, how="semi").sort(ROW)


def read_rows(rows: pl.LazyFrame, count: int, inputs: ModelInputs) -> Matrix:
    """The values of all of these rows."""
    return _matrix(rows, inputs.inputs, count)


def _matrix(lazy: pl.LazyFrame, inputs: Sequence[ModelInput], rows: int) -> Matrix:
    """A few columns at a time, so that memory holds little beside the result."""
    matrix = np.empty((rows, len(inputs)), np.float32)
    for first in range(0, len(inputs), COLUMNS_AT_A_TIME):
        some = ModelInputs(inputs[first : first + COLUMNS_AT_A_TIME])
        frame = lazy.select(column(name) for name in some.names).collect(engine="streaming")
        matrix[:, first : first + len(some.names)] = model_columns(frame, some).to_numpy()
    return finite(matrix)


def read_manifest(storage: Storage, path: str, shape: type[M], what: str) -> M:
    """Read a manifest; `JobFailed` with `what` as its subject when it is not there or not one."""
    try:
        return shape.model_validate_json(storage.read_bytes(path))
    except FileNotFoundError as error:
        raise JobFailed(f"{what} does not exist in the storage.") from error
    except ValidationError as error:
        raise JobFailed(f"{what} cannot be read: {error.error_count()} problems in {path}.") from error
