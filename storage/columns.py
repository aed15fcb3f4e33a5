"""Which columns of a file are the label, the id and the time: given, or found by name and content, each with its reason.

Wrong settings and values come back as problems, each naming column, line and value; `line_of` turns a row number into a physical line.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from schemas.manifests import Choice, Column, ColumnType, LabelCounts, TimeAxis
from storage.csv_reader import ID_NAMES, Content
from storage.csv_types import not_a_number
from storage.errors import Problem
from storage.labels import LABEL_NAMES, read_labels
from storage.times import Finding, find_epoch, find_times, is_bad

TIME_NAMES = ("timestamp", "time", "datetime", "date time", "date", "synthetic timestamp", "ts")
"""Names of time columns, best first, after `plain_name`."""
SYNTHETIC = "synthetic_timestamp"
NO_LABEL = "CSV must contain a 'Response' column."
LineOf = Callable[[int], int]


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


def check_names(names: Sequence[str], options: DatasetOptions) -> list[Problem]:
    """What the header alone tells about the settings."""
    given = {"label": options.label, "id_column": options.id_column, "time_column": options.time_column}
    problems = [
        Problem("column_unknown", field, f"There is no column {name!r} in the file.", {"column": name})
        for field, name in given.items()
        if name is not None and name not in names and not (field == "time_column" and name == SYNTHETIC)
    ]
    if options.label is None and not label_candidates(names):
        problems.append(Problem("label_missing", "file", NO_LABEL, {"columns": list(names[:20])}))
    chosen = [name for name in given.values() if name is not None]
    problems += [
        Problem("column_twice", "label", f"The column {name!r} is given for two purposes.", {"column": name})
        for name in sorted(set(chosen))
        if chosen.count(name) > 1
    ]
    if options.synthetic_step_seconds is not None and not 0 < options.synthetic_step_seconds < 1e9:
        problems.append(
            Problem("step_invalid", "synthetic_step_seconds", "The step must be more than 0 s.", {"value": options.synthetic_step_seconds})
        )
    return problems


def label_candidates(names: Iterable[str]) -> list[str]:
    """Columns named like a label, the best name first."""
    by_name = {plain_name(name): name for name in reversed(list(names))}
    return [by_name[name] for name in LABEL_NAMES if name in by_name]


def choose_label(
    lazy: pl.LazyFrame, content: Content, options: DatasetOptions, line_of: LineOf
) -> tuple[Choice, LabelCounts] | list[Problem]:
    """Find the label column and what its two values mean. A candidate that has two values is preferred to one that has not."""
    candidates = [options.label] if options.label is not None else label_candidates(content.names)
    counts = {name: _value_counts(lazy, name, content) for name in candidates}
    name = next((name for name in candidates if len(counts[name]) == 2), candidates[0])
    problems = []
    if content.missing[name]:
        line, count = line_of(_first(lazy, pl.col(name).is_null())), content.missing[name]
        problems.append(
            Problem(
                "label_empty",
                "label",
                f"The label column {name!r} is empty in {_rows(count)}, first in line {line}.",
                {"column": name, "count": count, "line": line},
            )
        )
    decided = read_labels(name, counts[name], options.pass_value)
    if isinstance(decided, Problem):
        return [*problems, decided]
    labels, reason = decided
    why = "given" if options.label is not None else f"named {name!r}"
    return problems or (Choice(value=name, reason=f"{why}; {reason}", detected=options.label is None), labels)


def choose_id(
    lazy: pl.LazyFrame, content: Content, options: DatasetOptions, taken: Sequence[str], line_of: LineOf
) -> Choice | Problem | None:
    """Find the column that names the rows; None when the row number has to do. A found one has no missing and no repeated values."""
    name = options.id_column
    if name is None:
        by_name = {name.lower(): name for name in content.names if name not in taken and not content.missing[name]}
        found = [by_name[wanted] for wanted in ID_NAMES if wanted in by_name]
        unique = next((name for name in found if _distinct(lazy, name) == content.rows), None)
        return Choice(value=unique, reason=f"named {unique!r}, every value once", detected=True) if unique else None
    if content.missing[name]:
        line, count = line_of(_first(lazy, pl.col(name).is_null())), content.missing[name]
        message = f"The id column {name!r} is empty in {_rows(count)}, first in line {line}."
        return Problem("id_empty", "id_column", message, {"column": name, "count": count, "line": line})
    repeated = content.rows - _distinct(lazy, name)
    return Choice(value=name, reason=f"given; {repeated} repeated values" if repeated else "given", detected=False)


def choose_time(
    lazy: pl.LazyFrame, content: Content, options: DatasetOptions, taken: Sequence[str], line_of: LineOf
) -> tuple[TimeAxis | Problem, dict[str, Finding]]:
    """Find the time column, and every other column that holds times. A synthetic axis comes back without start and step.

    Real times are never passed over in silence: a column of them that cannot be used is a problem, unless it is one that some rows lack.
    """
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


def describe(lazy: pl.LazyFrame, content: Content, findings: dict[str, Finding], line_of: LineOf) -> list[Column]:
    """Every column with its type; numbers that had to stay text with the reason."""
    return [
        Column(
            name=name,
            type=_type(lazy, content, name, findings.get(name)),
            missing=content.missing[name],
            constant=name in content.constant,
            reason=None if name in content.numeric or name in findings else _why_text(lazy, content, name, line_of),
        )
        for name in content.names
    ]


def value_text(name: str, *, numeric: bool) -> pl.Expr:
    """A column's values as text; whole numbers without a decimal point."""
    value = pl.col(name)
    if not numeric:
        return value
    whole = (value == value.round()) & (value.abs() < 2**53)
    return pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String)).alias(name)


def _time_axis(lazy: pl.LazyFrame, content: Content, name: str, found: Finding | None, why: str, line_of: LineOf) -> TimeAxis | Problem:
    hint = f"Mend it, or ask for synthetic times with time_column={SYNTHETIC}."
    if found is None:
        row = _first(lazy, pl.col(name).is_not_null()) if content.missing[name] < content.rows else 0
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
        row = _first(lazy, is_bad(name, found.style) | pl.col(name).is_null())
        return _bad_time(lazy, content, name, row, found.bad + content.missing[name], line_of, hint)
    return TimeAxis(column=name, synthetic=False, style=found.style, reason=f"{why}, read as {found.style}")


def _bad_time(lazy: pl.LazyFrame, content: Content, name: str, row: int, count: int, line_of: LineOf, hint: str) -> Problem:
    value, line = lazy.select(name).slice(row, 1).collect().item(), line_of(row)
    what = "is empty" if value is None else f"holds {value!r}, which is not a time"
    return Problem(
        "time_unreadable",
        "time_column",
        f"The time column {name!r} {what} in line {line}" + (f", as in {_rows(count)} in all. " if count > 1 else ". ") + hint,
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


def _type(lazy: pl.LazyFrame, content: Content, name: str, found: Finding | None) -> ColumnType:
    if content.missing[name] == content.rows:
        return "empty"
    if found and not found.bad:
        return "datetime"
    if name in content.numeric:
        return "numeric"
    words = pl.col(name).str.strip_chars().str.to_lowercase()
    for sample in (lazy.select(name).head(100), lazy.select(name)):
        if not sample.select(words.is_in(("true", "false")).all()).collect(engine="streaming").item():
            return "text"
    return "boolean"


def _why_text(lazy: pl.LazyFrame, content: Content, name: str, line_of: LineOf) -> str | None:
    """Why a column most of whose values are numbers is text; None when it is plainly text."""
    present = content.rows - content.missing[name]
    if name.strip().lower() in ID_NAMES and present:
        return "named like an identifier, so its spelling is kept"
    odd = not_a_number(name, comma=False)
    count = int(lazy.select(odd.sum()).collect(engine="streaming").item())
    if not present or 2 * count > present:
        return None
    row = _first(lazy, odd)
    value = lazy.select(name).slice(row, 1).collect().item()
    return f"{_rows(count)} hold no number, the first is line {line_of(row)}: {value!r}"


def _value_counts(lazy: pl.LazyFrame, name: str, content: Content) -> dict[str, int]:
    texts = lazy.select(value_text(name, numeric=name in content.numeric).alias("value")).drop_nulls()
    return dict(texts.group_by("value").len().sort("len", "value", descending=[True, False]).collect(engine="streaming").iter_rows())


def _distinct(lazy: pl.LazyFrame, name: str) -> int:
    return int(lazy.select(pl.col(name).drop_nulls().n_unique()).collect(engine="streaming").item())


def _first(lazy: pl.LazyFrame, condition: pl.Expr) -> int:
    """Number of the first row for which the condition holds; there must be one."""
    return int(lazy.with_row_index("__index__").filter(condition).select("__index__").head(1).collect(engine="streaming").item())


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
