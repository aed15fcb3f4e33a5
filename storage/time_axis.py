"""Where a row's time comes from: a column of times, given or found, or synthetic times when there is none.

Real times are never passed over in silence: a column of them that cannot be used is a problem, unless it is one that some rows lack.
"""

from collections.abc import Sequence

import polars as pl

from schemas.manifests import TimeAxis
from storage.csv_reader import Content
from storage.errors import Problem, rows_text
from storage.options import SYNTHETIC, DatasetOptions, LineOf, first_row, plain_name
from storage.times import Finding, find_epoch, find_times, is_bad

TIME_NAMES = ("timestamp", "time", "datetime", "date time", "date", "synthetic timestamp", "ts")
"""Names of time columns, best first, after `plain_name`."""


def choose_time(
    lazy: pl.LazyFrame, content: Content, options: DatasetOptions, taken: Sequence[str], line_of: LineOf
) -> tuple[TimeAxis | Problem, dict[str, Finding]]:
    """Find the time column, and every other column that holds times. A synthetic axis comes back without start and step."""
    free = [name for name in content.names if name not in taken]
    findings = {name: found for name in free if name not in content.numeric and (found := find_times(lazy, name))}
    findings |= {
        name: found
        for name in free
        if name in content.numeric and (name == options.time_column or plain_name(name) in TIME_NAMES) and (found := find_epoch(lazy, name))
    }
    given = options.time_column
    if given == SYNTHETIC and given not in content.names:
        return TimeAxis(column=SYNTHETIC, synthetic=True, reason="given"), findings
    if given is not None:
        return _time_axis(lazy, content, given, findings.get(given), "given", line_of), findings
    by_name = sorted(findings, key=_hint)
    usable = next((name for name in by_name if not _flawed(content, name, findings[name])), None)
    flawed = next((name for name in by_name if plain_name(name) in TIME_NAMES or not content.missing[name]), None)
    name = usable or flawed
    if name is not None:
        why = "named like a time" if _hint(name) <= len(TIME_NAMES) else "the first column that holds times"
        return _time_axis(lazy, content, name, findings[name], why, line_of), findings
    reason = "no column holds a time in every row" if findings else "no column holds times"
    return TimeAxis(column=SYNTHETIC, synthetic=True, reason=reason), findings


def _time_axis(lazy: pl.LazyFrame, content: Content, name: str, found: Finding | None, why: str, line_of: LineOf) -> TimeAxis | Problem:
    hint = f"Mend it, or ask for synthetic times with time_column={SYNTHETIC}."
    if found is None:
        row = first_row(lazy, pl.col(name).is_not_null()) if content.missing[name] < content.rows else 0
        return _bad_time(lazy, content, name, row, content.rows, line_of, f"The column {name!r} does not hold times.")
    if found.other is not None:
        return Problem(
            "time_ambiguous",
            "time_column",
            f"The times in {name!r} could be read as {found.style} or as {found.other}. Write them as 2021-01-31T08:00:00, or ask for"
            f" synthetic times with time_column={SYNTHETIC}.",
            {"column": name, "styles": [found.style, found.other]},
        )
    if found.bad or content.missing[name]:
        row = first_row(lazy, is_bad(name, found.style) | pl.col(name).is_null())
        return _bad_time(lazy, content, name, row, found.bad + content.missing[name], line_of, hint)
    return TimeAxis(column=name, synthetic=False, style=found.style, reason=f"{why}, read as {found.style}")


def _bad_time(lazy: pl.LazyFrame, content: Content, name: str, row: int, count: int, line_of: LineOf, hint: str) -> Problem:
    value, line = lazy.select(name).slice(row, 1).collect().item(), line_of(row)
    what = "is empty" if value is None else f"holds {value!r}, which is not a time"
    return Problem(
        "time_unreadable",
        "time_column",
        f"The time column {name!r} {what} in line {line}" + (f", as in {rows_text(count)} in all. " if count > 1 else ". ") + hint,
        {"column": name, "line": line, "value": value, "count": count},
    )


def _flawed(content: Content, name: str, found: Finding) -> bool:
    return bool(found.bad or found.other or content.missing[name])


def _hint(name: str) -> int:
    """How well a name suggests times, 0 best; above `len(TIME_NAMES)` not at all."""
    plain = plain_name(name)
    if plain in TIME_NAMES:
        return TIME_NAMES.index(plain)
    return len(TIME_NAMES) + (0 if {"time", "date", "timestamp", "datetime"} & set(plain.split()) else 1)
