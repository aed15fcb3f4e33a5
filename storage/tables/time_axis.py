"""Where a row's time comes from: a column of times, given or found, or synthetic times when there is none.

Real times are never passed over in silence: a column that is called or looks like times and cannot be read is a
problem, with examples and what to send, unless another one can be read or a person says that there are no times.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from zoneinfo import available_timezones

import polars as pl

from schemas.manifests import Notice, TimeAxis
from storage.errors import StorageProblem, rows_text
from storage.tables.content import Content
from storage.tables.names import column
from storage.tables.options import SYNTHETIC, DatasetOptions, LineOf, few, first_row
from storage.tables.time_forms import AMBIGUOUS_ZONES, clock_format, order_of, to_strptime
from storage.tables.time_names import CLOCKS, is_hinted, is_named, rank
from storage.tables.time_words import tidy
from storage.tables.times import (
    ELAPSED,
    ISO,
    NUMBER_STYLES,
    SAMPLED,
    WORDS,
    TimeFinding,
    find_number_style,
    find_times,
    parse_time,
    works,
)

EXAMPLES = 3
FORMS = "%d.%m.%Y %H:%M:%S, dd/MM/yyyy HH:mm, epoch-ms, excel, digits-yy or elapsed-s"
LOOKS_TIMED = r"\d:\d\d|\d{1,4}[-./]\d{1,2}[-./]\d{2,4}"


@dataclass(slots=True)
class Times:
    """What was found. `findings` are the columns that hold times, `looked_at` all that were taken for times, which are
    no features."""

    axis: TimeAxis | StorageProblem
    findings: dict[str, TimeFinding]
    looked_at: dict[str, str] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)


def time_expression(axis: TimeAxis) -> pl.Expr:
    """UTC time of a row of a real axis. Needs `__index__` where an hour repeats."""
    value = column(axis.column)
    if axis.clock_column is not None:
        value = value.str.strip_chars() + " " + column(axis.clock_column).str.strip_chars()
    later = None
    if axis.later:
        index = pl.col("__index__")
        later = pl.any_horizontal(index.is_between(first, last) for first, last in axis.later)
    time = parse_time(value, axis.style, axis.zone, later)
    return (
        time
        if axis.start is None or axis.style not in ELAPSED
        else time + pl.lit(axis.start - axis.start.fromtimestamp(0, axis.start.tzinfo))
    )


def unused_settings(axis: TimeAxis, options: DatasetOptions) -> list[Notice]:
    """Settings that were given and have nothing to act on."""
    said = []
    if axis.synthetic and options.time_zone is not None:
        said.append(("time_zone", "the times are synthetic, in UTC"))
    if not axis.synthetic and axis.style not in ELAPSED:
        given = {"synthetic_start": options.synthetic_start, "synthetic_step_seconds": options.synthetic_step_seconds}
        said += [
            (name, f"the times are those of {axis.column!r}") for name, value in given.items() if value is not None
        ]
    return [Notice(code="unused_setting", message=f"{name} was given but is not used: {why}.") for name, why in said]


def check_zone(zone: str) -> str | None:
    """The zone as Polars takes it: a name such as Europe/Berlin, UTC, or an offset as `+02:00`; None when it is
    none."""
    plain = zone.strip()
    if plain.upper() in ("UTC", "GMT", "Z"):
        return "UTC"
    if match := re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?", plain, re.IGNORECASE):
        hours, minutes = int(match[2]), int(match[3] or 0)
        return f"{match[1]}{hours:02d}:{minutes:02d}" if hours <= 14 and minutes < 60 else None
    return next((name for name in available_timezones() if name.lower() == plain.lower()), None)


def choose_time(
    lazy: pl.LazyFrame, content: Content, options: DatasetOptions, taken: Sequence[str], line_of: LineOf
) -> Times:
    """Find the time column, and every other column that holds times. A synthetic axis comes back without start and
    step."""
    chooser = _Chooser(lazy, content, options, line_of)
    free = [
        one.name for one in content.columns if not one.number and one.name not in taken and one.missing < content.rows
    ]
    return chooser.choose(free)


class _Chooser:
    """The steps of the choice."""

    def __init__(self, lazy: pl.LazyFrame, content: Content, options: DatasetOptions, line_of: LineOf) -> None:
        self._lazy, self._content, self._options, self._line_of = lazy, content, options, line_of
        self._missing = content.missing
        self._samples: dict[str, list[str]] = {}

    def choose(self, free: list[str]) -> Times:
        self._samples = self._read_samples(free)
        findings = {name: found for name in free if (found := self._find(name)) is not None}
        clocks = [name for name in free if name not in findings and self._is_clock(name)]
        looked = dict.fromkeys(findings, "holds times")
        looked |= {name: "holds times of day" for name in clocks if is_hinted(name)}
        looked |= {name: "named like a time" for name in free if is_named(name) and name not in looked}
        unread = sorted(
            (name for name in free if name not in findings and self._is_unread_time(name, clocks)), key=rank
        )
        looked |= {name: "looks like times that cannot be read" for name in unread if name not in looked}
        times = Times(TimeAxis(column=SYNTHETIC, synthetic=True, reason="no column holds times"), findings, looked)
        given = self._options.time_column
        if given == SYNTHETIC and given not in self._content.names:
            times.axis = TimeAxis(column=SYNTHETIC, synthetic=True, reason="given")
            return times
        if given is not None:
            times.axis = self._axis(given, findings.get(given), "given", clocks)
            looked[given] = "the time column"
            return times
        by_name = sorted(findings, key=rank)
        usable = next((name for name in by_name if not self._flawed(name, findings[name])), None)
        flawed = next((name for name in by_name if is_named(name) or (is_hinted(name) and findings[name].other)), None)
        flawed = flawed or next((name for name in by_name if findings[name].other and not self._missing[name]), None)
        if usable is not None and flawed is not None and rank(flawed) < rank(usable) and not findings[flawed].other:
            usable = flawed  # the column that is called time, though some rows lack it, is not passed over for another
        name = usable or flawed
        if name is not None:
            why = "named like a time" if is_hinted(name) else "the first column that holds times"
            times.axis = self._axis(name, findings[name], why, clocks)
        elif unread:
            times.axis = self._unreadable(unread[0])
        elif self._options.time_format is not None:
            message = (
                "No column is called like a time: send time_column=… for the one that is written as"
                f" {self._options.time_format!r}."
            )
            times.axis = StorageProblem(
                "time_column_missing", "time_column", message, {"columns": self._content.names[:20]}
            )
        elif findings:
            times.axis = TimeAxis(column=SYNTHETIC, synthetic=True, reason="no column holds a time in every row")
        for other in unread:
            if name is not None and other != getattr(times.axis, "clock_column", None):
                message = f"{other!r} looks like times but cannot be read as such; {name!r} is the time column."
                times.notices.append(Notice(code="time_unread", message=message, column=other))
        return times

    def _read_samples(self, names: Sequence[str]) -> dict[str, list[str]]:
        if not names:
            return {}
        frame = self._lazy.select(column(name).drop_nulls().head(SAMPLED).implode() for name in names).collect()
        return {name: frame[name][0].to_list() for name in names}

    def _find(self, name: str) -> TimeFinding | None:
        given = self._options.time_format
        chosen = self._options.time_column
        if given is not None and (name == chosen or (chosen is None and is_hinted(name))):
            return self._given_style(name, given)
        if style := find_number_style(self._samples[name], hinted=is_hinted(name) or name == self._options.time_column):
            return self._counted(name, style)
        return find_times(self._lazy, name)

    def _given_style(self, name: str, given: str) -> TimeFinding | None:
        """A style as given: one of ours, an order (`dmy`) or a format, tried as it is and with its words put into
        English."""
        if given in NUMBER_STYLES or given == ISO:
            return self._counted(name, given)
        if given in ("dmy", "mdy", "ymd"):
            found = find_times(self._lazy, name)
            return None if found is None else self._counted(name, _in_order(found, given))
        form = to_strptime(given)
        tries = [self._counted(name, style) for style in (form, WORDS + form) if works(style)]
        return min(tries, key=lambda found: found.bad, default=None)

    def _counted(self, name: str, style: str) -> TimeFinding:
        value = column(name)
        bad = (value.is_not_null() & parse_time(value, style).is_null()).sum()
        return TimeFinding(style, bad=int(self._lazy.select(bad).collect(engine="streaming").item()))

    def _flawed(self, name: str, found: TimeFinding) -> bool:
        lacking = found.bad + self._missing[name]
        return bool(found.other) or not few(lacking, self._content.rows, self._options.max_unread_share)

    def _is_clock(self, name: str) -> bool:
        sample = pl.DataFrame({"value": self._samples[name][:50]}, schema={"value": pl.String})
        values = [value for value in sample.select(tidy(pl.col("value"))).to_series().to_list() if value]
        return bool(values) and sum(clock_format(value) is not None for value in values) > 0.9 * len(values)

    def _is_unread_time(self, name: str, clocks: Sequence[str]) -> bool:
        """Whether a column is called like times, or full of what looks like them, and could not be read."""
        values = self._samples[name]
        if is_named(name):
            return True
        looks = sum(bool(re.search(LOOKS_TIMED, value)) for value in values) > 0.9 * len(values)
        return (looks and name not in clocks) or (
            is_hinted(name) and name not in clocks and all(re.search(r"\d", value) for value in values)
        )

    def _axis(self, name: str, found: TimeFinding | None, why: str, clocks: Sequence[str]) -> TimeAxis | StorageProblem:
        if found is None:
            return self._unreadable(name)
        if found.other is not None:
            return self._ambiguous(name, found)
        zone = found.zone
        if self._options.time_zone is not None:
            zone = check_zone(self._options.time_zone)
        if found.style.endswith(AMBIGUOUS_ZONES) and zone is None:
            word = found.style[-3:]
            message = (
                f"The times in {name!r} end in {word}, the name of several zones: send time_zone, such as Asia/Kolkata."
            )
            return StorageProblem("time_zone_ambiguous", "time_zone", message, {"column": name})
        if self._flawed(name, found):
            return self._lacking(name, found)
        clock = self._clock_for(name, found, clocks)
        beside = f" with the time of day in {clock[0]!r}" if clock else ""
        return TimeAxis(
            column=name,
            synthetic=False,
            style=clock[1] if clock else found.style,
            clock_column=clock[0] if clock else None,
            zone=None if zone == "UTC" else zone,
            reason=f"{why}, read as {found.style.removeprefix(WORDS)}{beside}"
            + (f": {found.why}" if found.why else ""),
        )

    def _clock_for(self, name: str, found: TimeFinding, clocks: Sequence[str]) -> tuple[str, str] | None:
        """The column that holds the time of day where this one holds the date alone, and the style of both together."""
        if (
            any(sign in found.style for sign in ("%H", "%I"))
            or any(":" in value for value in self._samples[name][:50])
            or not clocks
        ):
            return None
        named = [clock for clock in clocks if is_hinted(clock) or set(re.split(r"\W+", clock.lower())) & CLOCKS]
        if not named:
            return None
        clock = min(named, key=rank)
        both = self._lazy.select((column(name).str.strip_chars() + " " + column(clock).str.strip_chars()).alias("both"))
        if found.style in NUMBER_STYLES:
            return None
        together = find_times(both, "both")
        if together is None or not few(together.bad, self._content.rows, self._options.max_unread_share):
            return None
        return clock, together.style

    def _ambiguous(self, name: str, found: TimeFinding) -> StorageProblem:
        return StorageProblem(
            "time_ambiguous",
            "time_format",
            f"The times in {name!r} could be read as {found.style} or as {found.other}:"
            f" {_examples(self._samples[name])}. Send time_format={found.style} or time_format={found.other}, or"
            f" time_column={SYNTHETIC} for no times.",
            {"column": name, "styles": [found.style, found.other]},
        )

    def _unreadable(self, name: str) -> StorageProblem:
        values = self._samples.get(name) or []
        if not values:
            return StorageProblem(
                "time_unreadable", "time_column", f"The time column {name!r} is empty.", {"column": name}
            )
        first = first_row(self._lazy, column(name).is_not_null())
        line = self._line_of(first)
        what = (
            "cannot be read as times"
            if self._options.time_format is None
            else f"are not of the form {self._options.time_format!r}"
        )
        return StorageProblem(
            "time_unreadable",
            "time_column",
            f"The values in {name!r} {what}: {_examples(values)}, the first in line {line}. Send time_format=… (such as"
            f" {FORMS}), time_column=… for another column, or time_column={SYNTHETIC} if the file has no times.",
            {"column": name, "line": line, "value": values[0], "count": self._content.rows},
        )

    def _lacking(self, name: str, found: TimeFinding) -> StorageProblem:
        value = column(name)
        row = first_row(self._lazy, value.is_null() | parse_time(value, found.style).is_null())
        text, line = self._lazy.select(value).slice(row, 1).collect().item(), self._line_of(row)
        count = found.bad + self._missing[name]
        what = "is empty" if text is None else f"holds {text!r}, which is not a time"
        return StorageProblem(
            "time_unreadable",
            "time_column",
            f"The time column {name!r} {what} in line {line}"
            + (f", and so it is in {rows_text(count)} in all, too many to leave out" if count > 1 else "")
            + f". Mend it, raise max_unread_share, name another column or another time_format (such as {FORMS}), or"
            " send"
            f" time_column={SYNTHETIC} for no times.",
            {"column": name, "line": line, "value": text, "count": count},
        )


def _in_order(found: TimeFinding, order: str) -> str:
    """The style with day, month and year in this order."""
    for style in (found.style, found.other):
        if style is not None and order_of(style) == order:
            return style
    words, form = (WORDS, found.style[len(WORDS) :]) if found.style.startswith(WORDS) else ("", found.style)
    year = "%Y" if "%Y" in form else "%y"
    signs = iter({"d": "%d", "m": "%m", "y": year}[letter] for letter in order)
    return words + re.sub(r"%[dmyY]", lambda _: next(signs), form, count=3)


def _examples(values: Sequence[str]) -> str:
    return ", ".join(repr(value)[:40] for value in list(dict.fromkeys(values))[:EXAMPLES])
