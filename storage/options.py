"""Settings of a dataset as given with its upload, and what finding the others has in common."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

SYNTHETIC = "synthetic_timestamp"
LineOf = Callable[[int], int]
"""Turns a row number into the physical line of the file."""


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """Settings given with an upload; None asks for detection. `time_column="synthetic_timestamp"` asks for synthetic times."""

    label: str | None = None
    pass_value: str | None = None
    id_column: str | None = None
    time_column: str | None = None
    synthetic_start: datetime | None = None
    synthetic_step_seconds: float | None = None


def plain_name(name: str) -> str:
    """A name without case, underscores and hyphens."""
    return re.sub(r"[_\s-]+", " ", name).strip().lower()


def first_row(lazy: pl.LazyFrame, condition: pl.Expr) -> int:
    """Number of the first row for which the condition holds; there must be one."""
    return int(lazy.with_row_index("__index__").filter(condition).select("__index__").head(1).collect(engine="streaming").item())
