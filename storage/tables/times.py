"""Columns to times: in which style a column is written, and the Polars expression that reads it as UTC microseconds.

Styles: `iso8601` in mixed forms; a strptime format; `words ` and a strptime format, for texts that are put into English
words and signs first (`storage.tables.time_words`); numbers: `epoch-s` (`-ms`, `-us`, `-ns`) since 1970, `elapsed-s`
(`-ms`, `-m`, `-h`, `-d`) since a start that is given, `excel` and `matlab` days, `dotnet-ticks`, `dotnet-date`,
`filetime`, `labview` (seconds since 1904), `digits-ymd` (20240105063000) and `digits-yy` (240105063000). A text without
a zone is UTC, or in the zone that is given. Where day and month could be swapped, only what cannot be swapped decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import ComputeError, InvalidOperationError

from storage.tables.names import column as named
from storage.tables.time_forms import formats_of, order_of
from storage.tables.time_words import ends_a_day, tidy

ISO = "iso8601"
WORDS = "words "
ISO_NAIVE = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
ISO_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M%:z")
EPOCHS = {"epoch-s": 1_000_000.0, "epoch-ms": 1000.0, "epoch-us": 1.0, "epoch-ns": 0.001}
COUNTS = {
    "dotnet-ticks": (0.1, -62_135_596_800_000_000),
    "filetime": (0.1, -11_644_473_600_000_000),
    "labview": (1e6, -2_082_844_800_000_000),
    "excel": (86_400e6, -25_569 * 86_400_000_000),
    "matlab": (86_400e6, -719_529 * 86_400_000_000),
}
"""Microseconds of one, and the microseconds since 1970 at which 0 lies."""
ELAPSED = {"elapsed-ms": 1e3, "elapsed-s": 1e6, "elapsed-m": 60e6, "elapsed-h": 3600e6, "elapsed-d": 86_400e6}
DIGITS = ("digits-ymd", "digits-yy")
NUMBER_STYLES = (*EPOCHS, *COUNTS, *ELAPSED, *DIGITS, "dotnet-date")
YEARS = (946_684_800_000_000, 4_102_444_800_000_000)
"""Numbers are taken for times only in the years 2000 to 2099, in microseconds since 1970."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Floats = npt.NDArray[np.float64]
UTC_TIME = pl.Datetime("us", "UTC")
SAMPLED = 500
MOSTLY = 0.9
EXAMPLES = 25
SMALLEST, LOOKED_AT_FIRST = 9e8, 20
"""No time that is a number under any name is smaller; the first values tell."""
CLEARLY = 5
"""How many times longer a span of time must be than another reading's to be the wrong one."""


@dataclass(frozen=True, slots=True)
class TimeFinding:
    """A column that holds times. `other` is a second style that reads all values, differently; `bad` counts values of
    no time.

    `why` says what decided where several styles were possible; `zone` is one that the texts name.
    """

    style: str
    other: str | None = None
    bad: int = 0
    why: str | None = None
    zone: str | None = None


def instant(since_1970: int) -> datetime:
    """The time so many microseconds after 1970, UTC. Raises `OverflowError` outside the years 1 to 9999."""
    return EPOCH + timedelta(microseconds=int(since_1970))


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 of a time that has a zone."""
    return (at - EPOCH) // timedelta(microseconds=1)


def read_time(column: str, style: str) -> pl.Expr:
    """UTC time of each value of a column, null where it is not of this style."""
    return parse_time(named(column), style)


def parse_time(value: pl.Expr, style: str, zone: str | None = None, later: pl.Expr | None = None) -> pl.Expr:
    """UTC time of each value, null where it is not of this style. `later`: whether a row lies in the second pass of a
    repeated hour."""
    if style in NUMBER_STYLES:
        return _read_number(value, style)
    value = value.str.strip_chars()
    if style == ISO:
        return _read_iso(value, zone, later)
    words = style.startswith(WORDS)
    form = style.removeprefix(WORDS)
    text = tidy(value) if words else value
    if "%z" in form or "%#z" in form or "%:z" in form:
        time = text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
    else:
        naive = text.str.to_datetime(form, time_unit="us", strict=False)
        naive = pl.when(naive.dt.year() >= 1000).then(naive)  # %Y reads 21 as the year 21
        time = in_zone(naive, None if form.endswith("Z") else zone, later)
    return time + pl.when(ends_a_day(value)).then(pl.duration(days=1)).otherwise(pl.duration(days=0)) if words else time


def in_zone(naive: pl.Expr, zone: str | None, later: pl.Expr | None) -> pl.Expr:
    """The UTC time of a clock on the wall in `zone`. An hour that does not exist is taken in standard time."""
    if zone is None:
        return naive.dt.replace_time_zone("UTC")
    if zone[0] in "+-":
        sign, hours, minutes = zone[0] + "1", int(zone[1:3]), int(zone[-2:])
        return (naive - pl.duration(minutes=int(sign) * (60 * hours + minutes))).dt.replace_time_zone("UTC")
    which = pl.lit("earliest") if later is None else pl.when(later).then(pl.lit("latest")).otherwise(pl.lit("earliest"))
    local = naive.dt.replace_time_zone(zone, ambiguous=which, non_existent="null")
    after = (naive + pl.duration(hours=1)).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return pl.coalesce(local, after).dt.convert_time_zone("UTC")


def is_bad(column: str, style: str) -> pl.Expr:
    """Whether a value is present and not of this style."""
    return named(column).is_not_null() & read_time(column, style).is_null()


def find_times(lazy: pl.LazyFrame, column: str) -> TimeFinding | None:
    """Find the style of a column of texts; None when it does not hold times. All values are looked at once a sample
    says yes."""
    sample = lazy.select(named(column)).drop_nulls().head(SAMPLED).collect()
    texts = sample[column]
    if not len(texts):
        return None
    if texts.str.contains(r"\d").sum() < MOSTLY * len(texts) or texts.str.contains(r"^[+-]?\d*[.,]?\d*$").sum() > (
        1 - MOSTLY
    ) * len(texts):
        return None
    likely = _likely(sample, column)
    if not likely:
        return None
    bad = _bad(
        lazy, column, [style for style in likely if style != ISO]
    )  # one format is several times faster than all of ISO 8601
    if ISO in likely and 0 not in bad.values():
        bad |= _bad(lazy, column, [ISO])
    best = min(bad, key=lambda style: (bad[style], style.startswith(WORDS)))
    if bad[best]:  # later values may be written in another way, 24:00 say
        more = [style for style in _words_styles(sample, column) if style not in bad]
        bad |= _bad(lazy, column, more)
        best = min(bad, key=lambda style: (bad[style], style.startswith(WORDS)))
    others = [
        style
        for style in bad
        if style != best and bad[style] == bad[best] and order_of(style) != order_of(best) and style != ISO
    ]
    found = TimeFinding(best, None, bad[best], None, _zone_in(sample[column]))
    for other in others:
        if _differ(lazy, column, best, other):
            found = _between(lazy, column, found, other)
    return found


def _likely(sample: pl.DataFrame, column: str) -> list[str]:
    """The styles that read most of a sample, the plain ones if there are any."""
    most = (1 - MOSTLY) * len(sample)
    for styles in ([ISO, *_plain_styles(sample[column])], _words_styles(sample, column)):
        likely = [style for style, bad in _bad(sample.lazy(), column, styles).items() if bad <= most]
        if likely:
            return likely
    return []


def _plain_styles(texts: pl.Series) -> list[str]:
    return list(dict.fromkeys(form for text in _examples(texts) for form in formats_of(text.strip())))


def _words_styles(sample: pl.DataFrame, column: str) -> list[str]:
    tidied = sample.select(tidy(named(column)).alias("value"))["value"]
    return [WORDS + form for form in _plain_styles(tidied)]


def _examples(texts: pl.Series) -> list[str]:
    """A few values from everywhere in the sample."""
    return [str(text) for text in texts.gather_every(max(1, len(texts) // EXAMPLES)).to_list()]


def _zone_in(texts: pl.Series) -> str | None:
    """The zone that every text names, `Europe/Berlin` say, where no offset stands beside it."""
    found = (
        texts.str.strip_chars().str.extract(r"(?:^|[^+-]\d\d:?\d\d| )\[?([A-Z][A-Za-z]+/[A-Z][A-Za-z_]+)\]?$").unique()
    )
    return str(found[0]) if len(found) == 1 and found[0] is not None else None


def _between(lazy: pl.LazyFrame, column: str, found: TimeFinding, other: str) -> TimeFinding:
    """Of two styles that read every value, differently, the one that the order or the span of the times speaks for;
    else both."""
    ends = [read_time(column, style).cast(pl.Int64) for style in (found.style, other)]
    steps = [end.diff() for end in ends]
    one = (
        lazy.select(
            *(value.alias(f"span{i}") for i, value in enumerate(end.max() - end.min() for end in ends)),
            *(((step < 0).sum() * (step > 0).sum()).alias(f"mixed{i}") for i, step in enumerate(steps)),
            *(end.n_unique().alias(f"distinct{i}") for i, end in enumerate(ends)),
        )
        .collect()
        .row(0, named=True)
    )
    years = [order_of(style)[0] == "y" for style in (found.style, other)]
    dotted = "." in found.style.removeprefix(WORDS).split("%H")[0]
    if years[0] != years[1]:
        day_first, year_first = (1, 0) if years[0] else (0, 1)
        wins = year_first if CLEARLY * one[f"span{year_first}"] < one[f"span{day_first}"] else day_first
        style = (found.style, other)[wins]
        return replace(
            found,
            style=style,
            why=f"read so the times span {_days(one[f'span{wins}'])} instead of {_days(one[f'span{1 - wins}'])}",
        )
    if dotted:
        style = found.style if order_of(found.style) == "dmy" else other
        return replace(found, style=style, why="with dots, the day stands first")
    for i, style in enumerate((found.style, other)):
        if not one[f"mixed{i}"] and one[f"mixed{1 - i}"] and one[f"distinct{i}"] >= 20:
            return replace(found, style=style, why="read so, the rows are in the order of their times")
    return replace(found, other=other)


def _days(span: int) -> str:
    return f"{span / 86_400e6:,.0f} days"


def _bad(lazy: pl.LazyFrame, column: str, styles: Iterable[str]) -> dict[str, int]:
    """How many values are not of each style; a style that is no format at all is left out."""
    wanted = [style for style in styles if works(style)]
    counts = [is_bad(column, style).sum().alias(style) for style in wanted]
    return lazy.select(counts).collect(engine="streaming").row(0, named=True) if counts else {}


def works(style: str) -> bool:
    """Whether it is a style, or a format that Polars takes."""
    try:
        pl.DataFrame({"value": ["x"]}).select(parse_time(pl.col("value"), style))
    except (ComputeError, InvalidOperationError, pl.exceptions.PolarsError):
        return False
    return True


def find_number_style(values: Sequence[str], *, hinted: bool) -> str | None:
    """The style of numbers that could be times; None when they are none. `hinted`: the column is called like a time."""
    if not hinted and not any(
        (number := _float(value)) is not None and number > SMALLEST for value in values[:LOOKED_AT_FIRST]
    ):
        return "dotnet-date" if any("/Date(" in value for value in values[:LOOKED_AT_FIRST]) else None
    present = [value.strip() for value in values if value.strip()]
    numbers = [number for value in present if (number := _float(value)) is not None]
    if len(numbers) < MOSTLY * len(present) or not numbers:
        return (
            "dotnet-date" if present and sum("/Date(" in value for value in present) >= MOSTLY * len(present) else None
        )
    floats = np.asarray(numbers)
    whole = (floats == np.floor(floats)).mean() >= MOSTLY
    now = microseconds(datetime.now(UTC)) + 2 * 366 * 86_400_000_000
    for latest in (now, YEARS[1]):
        for style in EPOCHS | dict.fromkeys(("dotnet-ticks", "filetime", "labview"), 0):
            at = _at(floats, style)
            inside = at[(at >= YEARS[0]) & (at < latest)]
            if len(inside) >= MOSTLY * len(numbers) and (
                hinted or (whole and inside.max() - inside.min() < 30 * 366 * 86_400e6)
            ):
                return style
        if hinted and whole and (digits := _digits_style(present)):
            return digits
    if hinted:
        for style in ("excel", "matlab"):
            at = _at(floats, style)
            if ((at >= YEARS[0]) & (at < now)).mean() >= MOSTLY:
                return style
    return None


def _at(number: Floats, style: str) -> Floats:
    factor, zero = COUNTS.get(style) or (EPOCHS[style], 0)
    return number * factor + zero


def _float(value: str) -> float | None:
    try:
        number = float(value.replace(",", "."))
    except ValueError:
        return None
    return number if abs(number) < 1e30 else None


def _digits_style(values: list[str]) -> str | None:
    frame = pl.DataFrame({"value": values[:SAMPLED]})
    for style, lengths in (("digits-ymd", (8, 10, 12, 14, 17)), ("digits-yy", (6, 8, 10, 12))):
        if all(len(value) in lengths for value in values[:SAMPLED]):
            times = frame.select(parse_time(pl.col("value"), style)).to_series()
            if times.null_count() <= (1 - MOSTLY) * len(times):
                return style
    return None


def _read_number(value: pl.Expr, style: str) -> pl.Expr:
    text = value.cast(pl.String).str.strip_chars()
    if style in DIGITS:
        if style == "digits-yy":
            text = "20" + text
        padded = text.str.pad_end(17, "0")
        iso = padded.str.replace(
            r"^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{3})$", "${1}-${2}-${3}T${4}:${5}:${6}.${7}"
        )
        time = (
            pl.when(text.str.len_chars() >= 8)
            .then(iso)
            .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
        )
        return pl.when(time.cast(pl.Int64).is_between(*YEARS)).then(time).dt.replace_time_zone("UTC")
    if style == "dotnet-date":
        return (text.str.extract(r"Date\((-?\d+)").cast(pl.Int64, strict=False) * 1000).cast(UTC_TIME)
    if style in ELAPSED:
        passed = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False) * ELAPSED[style]
        return passed.round().cast(pl.Int64, strict=False).cast(UTC_TIME)
    factor, zero = COUNTS.get(style) or (EPOCHS[style], 0)
    number = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    rounded = (number * factor + zero).round().cast(pl.Int64, strict=False)
    whole = text.cast(pl.Int64, strict=False)
    exact = (whole * int(factor) if factor >= 1 else whole // round(1 / factor)) + zero
    since = pl.coalesce(exact, rounded) if factor <= 1e6 else rounded
    return pl.when(since.is_between(*YEARS, closed="left")).then(since).cast(UTC_TIME)


def _differ(lazy: pl.LazyFrame, column: str, one: str, other: str) -> bool:
    differ = (read_time(column, one) != read_time(column, other)).any()
    return bool(lazy.select(differ).collect(engine="streaming").item())


def _read_iso(value: pl.Expr, zone: str | None, later: pl.Expr | None) -> pl.Expr:
    value = value.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00").str.replace(
        r"^(\d{4}-\d{2}-\d{2})[ t](.+)$", "${1}T${2}"
    )
    value = value.str.replace(r"\s*([zZ]|UTC|GMT)$", "+00:00").str.replace(r"([+-]\d{2})$", "${1}:00")
    naive = [in_zone(value.str.to_datetime(form, time_unit="us", strict=False), zone, later) for form in ISO_NAIVE]
    zoned = [value.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False) for form in ISO_ZONED]
    return pl.coalesce(*naive, *zoned)
