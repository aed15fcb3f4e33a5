"""Columns to times: in which style a column is written, and the Polars expression that reads it as UTC microseconds.

A text without a zone is UTC. A style is a strptime format, ISO 8601 in mixed forms, or seconds (milli-, micro-, nano-) since 1970. Where
day and month could be swapped, only a value that cannot be swapped decides; without one the column is ambiguous and no guess is made.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product

import polars as pl

ISO = "iso8601"
ISO_NAIVE = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
ISO_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M%:z")
DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d %Y", "%b %d, %Y"),
)
CLOCKS = (" %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p", "T%H:%M:%S%.f", "T%H:%M:%S%.fZ", ", %H:%M:%S%.f", "")
FORMATS = (*(date + clock for date, clock in product(DATES, CLOCKS)), "%Y%m%dT%H%M%S", "%a %b %d %H:%M:%S %Y")
EPOCHS = {"epoch-s": 1e6, "epoch-ms": 1e3, "epoch-us": 1.0, "epoch-ns": 1e-3}
EPOCH_YEARS = (946_684_800, 4_102_444_800)
"""Numbers are taken for times only if all of them lie in the years 2000 to 2099."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UTC_TIME = pl.Datetime("us", "UTC")
SAMPLED = 500
MOSTLY = 0.95


@dataclass(frozen=True, slots=True)
class Finding:
    """A column that holds times. `other` is a second style that reads all values, differently; `bad` counts values of no time."""

    style: str
    other: str | None = None
    bad: int = 0


def instant(since_1970: int) -> datetime:
    """The time so many microseconds after 1970, UTC. Raises `OverflowError` outside the years 1 to 9999."""
    return EPOCH + timedelta(microseconds=int(since_1970))


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 of a time that has a zone."""
    return (at - EPOCH) // timedelta(microseconds=1)


def read_time(column: str, style: str) -> pl.Expr:
    """UTC time of each value, null where it is not of this style."""
    if style in EPOCHS:
        return (pl.col(column) * EPOCHS[style]).round().cast(pl.Int64, strict=False).cast(UTC_TIME)
    value = pl.col(column).str.strip_chars()
    if style == ISO:
        return _read_iso(value)
    time = value.str.to_datetime(style, time_unit="us", strict=False)
    return pl.when(time.dt.year() >= 1000).then(time).dt.replace_time_zone("UTC")  # %Y reads 21 as the year 21


def is_bad(column: str, style: str) -> pl.Expr:
    """Whether a value is present and not of this style."""
    return pl.col(column).is_not_null() & read_time(column, style).is_null()


def find_times(lazy: pl.LazyFrame, column: str) -> Finding | None:
    """Find the style of a column of texts; None when it does not hold times. All values are looked at once a sample says yes."""
    sample = lazy.select(column).drop_nulls().head(SAMPLED).collect()
    if not len(sample) or sample[column].str.contains(r"\d").sum() < MOSTLY * len(sample):
        return None
    likely = [style for style, bad in _bad(sample.lazy(), column, (*FORMATS, ISO)).items() if bad <= (1 - MOSTLY) * len(sample)]
    bad = _bad(lazy, column, [style for style in likely if style != ISO])  # one format is several times faster than all of ISO 8601
    if ISO in likely and 0 not in bad.values():
        bad |= _bad(lazy, column, [ISO])
    if not bad:
        return None
    best = min(bad, key=lambda style: bad[style])
    others = [style for style in bad if style != best and not bad[style]]
    return Finding(best, next((other for other in others if _differ(lazy, column, best, other)), None), bad[best])


def _bad(lazy: pl.LazyFrame, column: str, styles: Iterable[str]) -> dict[str, int]:
    """How many values are not of each style."""
    counts = [is_bad(column, style).sum().alias(style) for style in styles]
    return lazy.select(counts).collect(engine="streaming").row(0, named=True) if counts else {}


def find_epoch(lazy: pl.LazyFrame, column: str) -> Finding | None:
    """Find the unit of a column of numbers since 1970; None when they are no times of this century."""
    low, high = lazy.select(pl.col(column).min().alias("low"), pl.col(column).max().alias("high")).collect(engine="streaming").row(0)
    for style, microseconds in EPOCHS.items():
        if low is not None and EPOCH_YEARS[0] <= low * microseconds / 1e6 and high * microseconds / 1e6 < EPOCH_YEARS[1]:
            return Finding(style)
    return None


def _differ(lazy: pl.LazyFrame, column: str, one: str, other: str) -> bool:
    differ = (read_time(column, one) != read_time(column, other)).any()
    return bool(lazy.select(differ).collect(engine="streaming").item())


def _read_iso(value: pl.Expr) -> pl.Expr:
    value = value.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00").str.replace(r"^(\d{4}-\d{2}-\d{2})[ t](.+)$", "${1}T${2}")
    value = value.str.replace(r"\s*([zZ]|UTC|GMT)$", "+00:00").str.replace(r"([+-]\d{2})$", "${1}:00")
    naive = [value.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC") for form in ISO_NAIVE]
    zoned = [value.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in ISO_ZONED]
    return pl.coalesce(*naive, *zoned)
