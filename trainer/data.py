"""Read stored rows as what XGBoost takes: float32 [n, k], NaN for missing; True for FAIL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl
from pydantic import BaseModel, ValidationError

from schemas.manifests import SetManifest
from storage.bundles import Matrix, finite
from storage.files import Storage
from trainer.errors import JobFailed
from trainer.validation import Labels

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a set in time order."""

    matrix: Matrix
    fails: Labels


def read_set(storage: Storage, part: SetManifest, features: Sequence[str]) -> Rows:
    """Read these features of a split's set; only their columns are touched. Raises `FileNotFoundError`, `StorageUnavailable`."""
    lazy = pl.scan_parquet(storage.local(part.path))
    frame = lazy.select(*_single(features), (pl.col("__label__") == "FAIL").alias("__fail__")).collect()
    return Rows(_matrix(frame, features), frame["__fail__"].to_numpy())


def read_rows(storage: Storage, path: str, rows: np.ndarray[tuple[int], np.dtype[np.int64]], features: Sequence[str]) -> Matrix:
    """Read some rows, by ascending row number, of a dataset's Parquet."""
    wanted = pl.LazyFrame({"__row__": rows}, schema={"__row__": pl.UInt32})
    lazy = pl.scan_parquet(storage.local(path)).with_row_index("__row__").select("__row__", *_single(features))
    frame = lazy.join(wanted, on="__row__", how="semi", maintain_order="left").collect(engine="streaming")
    return _matrix(frame.sort("__row__"), features)


def _single(features: Sequence[str]) -> list[pl.Expr]:
    return [pl.col(name).cast(pl.Float32) for name in features]


def _matrix(frame: pl.DataFrame, features: Sequence[str]) -> Matrix:
    return finite(frame.select(features).to_numpy(order="c"))


def read_manifest(storage: Storage, path: str, shape: type[M], what: str) -> M:
    """Read a manifest; `JobFailed` with `what` as its subject when it is not there or not one."""
    try:
        return shape.model_validate_json(storage.read_bytes(path))
    except FileNotFoundError as error:
        raise JobFailed(f"{what} does not exist in the storage.") from error
    except ValidationError as error:
        raise JobFailed(f"{what} cannot be read: {error.error_count()} problems in {path}.") from error
