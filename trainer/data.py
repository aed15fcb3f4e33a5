"""Read stored rows as what XGBoost takes: float32 [n, k], NaN for missing; True for FAIL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ValidationError

from schemas.manifests import SetManifest
from storage.bundles import Matrix, finite
from storage.files import Storage
from trainer.errors import JobFailed
from trainer.validation import Labels

M = TypeVar("M", bound=BaseModel)
ROW = "__row__"
COLUMNS_AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a set in time order."""

    matrix: Matrix
    fails: Labels


def read_set(storage: Storage, part: SetManifest, features: Sequence[str]) -> Rows:
    """Read these features of a split's set; only their columns are touched. Raises `FileNotFoundError`, `StorageUnavailable`."""
    lazy = pl.scan_parquet(storage.local(part.path))
    fails = lazy.select(pl.col("__label__") == "FAIL").collect().to_series().to_numpy()
    return Rows(_matrix(lazy, features, len(fails)), fails)


def read_rows(storage: Storage, path: str, rows: npt.NDArray[np.int64], features: Sequence[str]) -> Matrix:
    """Read some rows, by ascending row number, of a dataset's Parquet."""
    wanted = pl.LazyFrame({ROW: rows}, schema={ROW: pl.UInt32})
    lazy = pl.scan_parquet(storage.local(path)).with_row_index(ROW)
    return _matrix(lazy.join(wanted, on=ROW, how="semi").sort(ROW), features, len(rows))


def _matrix(lazy: pl.LazyFrame, features: Sequence[str], rows: int) -> Matrix:
    """A few columns at a time, so that memory holds little beside the result."""
    matrix = np.empty((rows, len(features)), np.float32)
    for first in range(0, len(features), COLUMNS_AT_A_TIME):
        names = features[first : first + COLUMNS_AT_A_TIME]
        frame = lazy.select(pl.col(name).cast(pl.Float32) for name in names).collect(engine="streaming")
        matrix[:, first : first + len(names)] = frame.to_numpy()
    return finite(matrix)


def read_manifest(storage: Storage, path: str, shape: type[M], what: str) -> M:
    """Read a manifest; `JobFailed` with `what` as its subject when it is not there or not one."""
    try:
        return shape.model_validate_json(storage.read_bytes(path))
    except FileNotFoundError as error:
        raise JobFailed(f"{what} does not exist in the storage.") from error
    except ValidationError as error:
        raise JobFailed(f"{what} cannot be read: {error.error_count()} problems in {path}.") from error
