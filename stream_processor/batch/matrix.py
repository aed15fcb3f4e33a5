"""The input of a model for one batch: rows in the order in which they are added. Pure.

Values that came as JSON become float32 block by block, while they are still in the processor's cache: a batch of 2,000
rows of 100 features makes 5 MB of Python's floats.
"""

from collections.abc import Sequence

import numpy as np

from models.kinds.base import Matrix
from rows.packed import FLOAT32

BLOCK_ROWS = 64


class Input:
    """Rows of `features` values each; `rows` is the place of the next one."""

    def __init__(self, features: int) -> None:
        self.rows = 0
        self._features = features
        self._parts: list[Matrix] = []
        self._block: list[Sequence[float | None]] = []

    def add(self, values: Sequence[float | None]) -> None:
        """One row; None is a missing value, what is too large for float32 becomes infinite."""
        self.rows += 1
        self._block.append(values)
        if len(self._block) == BLOCK_ROWS:
            self._fold()

    def add_packed(self, rows: bytes) -> None:
        """Rows of float32, little-endian, row by row; the length must be right."""
        self._fold()
        part = np.frombuffer(rows, FLOAT32).reshape(-1, self._features)
        self._parts.append(part)
        self.rows += len(part)

    def matrix(self) -> Matrix:
        """All rows: float32 [rows, features]."""
        self._fold()
        return self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)

    def _fold(self) -> None:
        if self._block:
            with np.errstate(over="ignore"):
                self._parts.append(np.array(self._block, dtype=np.float32))
            self._block = []
