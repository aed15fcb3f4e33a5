"""What a kind of model is to everything else: bytes that become something which scores rows."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from schemas.manifests import ModelManifest

Matrix = npt.NDArray[np.float32]


class Unusable(Exception):
    """The library cannot read a model, or cannot score by it; says why, for a person."""


class Scorer(Protocol):
    """A fitted model. A row's result has the same bits whatever other rows are in the batch and whatever the number of
    threads; the calls free the GIL and may come from several threads. Matrices are finite or NaN (missing), never
    empty."""

    @property
    def features(self) -> int:
        """How many columns it takes."""

    @property
    def categories(self) -> frozenset[int]:
        """Columns that it takes as codes of the vocabularies in the bundle."""

    def score(self, matrix: Matrix) -> Matrix:
        """P(FAIL): float32 [n, k] → float32 [n]. Raises `Unusable`."""

    def contributions(self, matrix: Matrix, *, approximate: bool) -> Matrix:
        """Each column's part in the log-odds of FAIL, without the bias: float32 [n, k] → [n, k]; `approximate` may be
        less than exact where that is much faster. Raises `Unusable`."""


class Kind(Protocol):
    """How models of one kind are loaded. Named by `ModelManifest.kind`."""

    @property
    def title(self) -> str:
        """As people call the library."""

    @property
    def library(self) -> str:
        """As `ModelManifest.library_versions` calls it."""

    def version(self) -> str:
        """Of the library that scores here; it is loaded by then."""

    def load(self, manifest: ModelManifest, content: bytes, *, threads: int) -> Scorer:
        """Give the model to the library, which a hostile one may crash: see `models.trial`. Raises `Unusable`."""


def finite(matrix: npt.NDArray[np.floating[Any]]) -> Matrix:
    """The matrix as float32. What it cannot hold is missing, as in an uploaded CSV, whether it came as 1e39, 1e400 or
    an infinity."""
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(matrix, np.float32)
    if not np.isinf(single).any():
        return single
    return np.where(np.isinf(single), np.float32(np.nan), single)
