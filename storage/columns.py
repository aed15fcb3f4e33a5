"""Which columns of a file are the label and the id, given or found, each with its reason; and what all the others hold.

Wrong settings and values come back as problems, each naming column, line and value.
"""

from collections.abc import Iterable, Sequence

import polars as pl

from schemas.manifests import Choice, Column, ColumnType, LabelCounts
from storage.csv_reader import ID_NAMES, Content
from storage.csv_types import not_a_number
from storage.errors import Problem, rows_text
from storage.labels import LABEL_NAMES, read_labels
from storage.options import SYNTHETIC, DatasetOptions, LineOf, first_row, plain_name
from storage.times import Finding

NO_LABEL = "CSV must contain a 'Response' column."


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
        line, count = line_of(first_row(lazy, pl.col(name).is_null())), content.missing[name]
        problems.append(
            Problem(
                "label_empty",
                "label",
                f"The label column {name!r} is empty in {rows_text(count)}, first in line {line}.",
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
        by_name = {plain_name(name): name for name in content.names if name not in taken and not content.missing[name]}
        found = [by_name[wanted] for wanted in ID_NAMES if wanted in by_name]
        unique = next((name for name in found if _distinct(lazy, name) == content.rows), None)
        return Choice(value=unique, reason=f"named {unique!r}, every value once", detected=True) if unique else None
    if content.missing[name]:
        line, count = line_of(first_row(lazy, pl.col(name).is_null())), content.missing[name]
        message = f"The id column {name!r} is empty in {rows_text(count)}, first in line {line}."
        return Problem("id_empty", "id_column", message, {"column": name, "count": count, "line": line})
    repeated = content.rows - _distinct(lazy, name)
    return Choice(value=name, reason=f"given; {repeated} repeated values" if repeated else "given", detected=False)


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
    if plain_name(name) in ID_NAMES and present:
        return "named like an identifier, so its spelling is kept"
    odd = not_a_number(pl.col(name))
    count = int(lazy.select(odd.sum()).collect(engine="streaming").item())
    if not present or 2 * count > present:
        return None
    row = first_row(lazy, odd)
    value = lazy.select(name).slice(row, 1).collect().item()
    return f"no number in {rows_text(count)}, first in line {line_of(row)}: {value!r}"


def _value_counts(lazy: pl.LazyFrame, name: str, content: Content) -> dict[str, int]:
    texts = lazy.select(value_text(name, numeric=name in content.numeric).alias("value")).drop_nulls()
    return dict(texts.group_by("value").len().sort("len", "value", descending=[True, False]).collect(engine="streaming").iter_rows())


def _distinct(lazy: pl.LazyFrame, name: str) -> int:
    return int(lazy.select(pl.col(name).drop_nulls().n_unique()).collect(engine="streaming").item())
