"""Settings of a dataset as given with its upload, and what finding the others has in common."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

SYNTHETIC = "synthetic_timestamp"
READER = 4
"""Raised when files are read in another way: what an older reader stored is not taken for what this one would."""
MAX_UNREAD_SHARE = 0.05
LineOf = Callable[[int], int]
"""Turns a row number into the physical line of the file."""


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """Settings given with an upload; None asks for detection. `time_column="synthetic_timestamp"` asks for synthetic
    times.

    `max_unread_share`: of a column's values, how many may be no number, or no time, and are then taken for missing.
    """

    label: str | None = None
    pass_value: str | None = None
    id_column: str | None = None
    time_column: str | None = None
    time_format: str | None = None
    time_zone: str | None = None
    synthetic_start: datetime | None = None
    synthetic_step_seconds: float | None = None
    encoding: str | None = None
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    thousands: str | None = None
    header: bool | None = None
    na_values: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_unread_share: float = MAX_UNREAD_SHARE

    def sign(self) -> Literal[".", ","] | None:
        """The decimal sign as given, or as the sign for thousands leaves it."""
        return self.decimal or {",": ".", ".": ","}.get(self.thousands or "")  # type: ignore[return-value]

    def content_key(self) -> str:
        """The same for all settings with which a file's content is read alike."""
        reading = (
            self.label,
            self.id_column,
            self.time_column,
            self.encoding,
            self.separator,
            self.sign(),
            self.header,
        )
        text = json.dumps([READER, *reading, sorted(self.na_values), self.max_unread_share, bool(self.time_format)])
        return f"r{READER}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def few(count: int, total: int, share: float) -> bool:
    """Whether so many strange values of a column are few: one among ten, or a share of more."""
    return count <= max(1 if total >= 10 and share else 0, share * total)


def plain_name(name: str) -> str:
    """A name without case, underscores and hyphens; `EventTime` is `event time`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name) if not name.isupper() else name
    return re.sub(r"[_\s.-]+", " ", spaced).strip().lower()


def first_row(lazy: pl.LazyFrame, condition: pl.Expr) -> int:
    """Number of the first row for which the condition holds; there must be one."""
    return int(
        lazy.with_row_index("__index__")
        .filter(condition)
        .select("__index__")
        .head(1)
        .collect(engine="streaming")
        .item()
    )
