"""What a table holds, told by its batches while they are written: the file need not be read again."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

MOST_SAMPLED, SAMPLED_CELLS = 10_000, 2_000_000
"""Rows and cells of the sample in which columns are looked for that give the label away."""


def sample_every(rows: int, columns: int) -> int:
    """Of so many rows, every how manieth is in the sample: at least 1,000 rows, else as many as fit into
    `SAMPLED_CELLS`."""
    return max(1, rows // max(1_000, min(MOST_SAMPLED, SAMPLED_CELLS // max(1, columns))))


@dataclass
class Tally:
    """Describes a table from its batches as they are written, in any order and from several threads: the file need not
    be read again."""

    names: Sequence[str]
    sample: list[pl.DataFrame]
    every: int
    rows: int = 0
    missing: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.missing = dict.fromkeys(self.names, 0)
        self._ends: dict[str, tuple[Any, Any]] = dict.fromkeys(self.names, (None, None))
        """Smallest and largest value of each column that has had one value at most; None when it had none."""
        self._lock = threading.Lock()

    def add(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Take a batch in and return it as it is."""
        missing = batch.null_count().row(0, named=True)
        ends = {name: (batch[name].min(), batch[name].max()) for name in list(self._ends)}
        kept = batch.gather_every(self.every)
        with self._lock:
            self.sample.append(kept)
            self.rows += len(batch)
            for name, count in missing.items():
                self.missing[name] += count
            for name in self._ends.keys() & ends.keys():
                values = [value for value in (*self._ends[name], *ends[name]) if value is not None]
                if values and min(values) != max(values):
                    del self._ends[name]
                elif values:
                    self._ends[name] = (values[0], values[0])
        return batch

    def constant(self) -> frozenset[str]:
        """The columns that have one value at most, when all batches were taken in."""
        return frozenset(self._ends)
