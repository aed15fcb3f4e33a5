"""Which columns of a file are the label and the id, given or found, each with its reason; and what all the others hold.

Wrong settings and values come back as problems, each naming column, line and value, and what to send instead.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches

import polars as pl

from schemas.manifests import Choice, Column, ColumnType, LabelCounts
from storage.errors import StorageProblem, rows_text
from storage.tables.content import Content, ReadColumn
from storage.tables.csv_roles import ID_NAMES
from storage.tables.label_names import label_candidates, sense
from storage.tables.labels import NO_LABEL_WORDS, canonical, merged, read_labels
from storage.tables.names import column
from storage.tables.options import SYNTHETIC, DatasetOptions, LineOf, first_row, plain_name
from storage.tables.times import TimeFinding

NO_LABEL = "CSV must contain a 'Response' column."
LISTED = 20
MOST_VALUES = 1000
REPEATED_SHOWN = 3
MOST_MIXED, OFTEN = 50, 3
SOME_NUMBERS = "no number in"
"""How the reason begins for which a column of numbers and texts is text."""


def check_names(names: Sequence[str], readable: bool, options: DatasetOptions) -> list[StorageProblem]:
    """What the header alone tells about the settings; `readable`: the rows will tell more about the label."""
    given = {"label": options.label, "id_column": options.id_column, "time_column": options.time_column}
    problems = [
        unknown_column(field, name, names)
        for field, name in given.items()
        if name is not None and name not in names and not (field == "time_column" and name == SYNTHETIC)
    ]
    problems += [unknown_column("exclude", name, names) for name in options.exclude if name not in names]
    if not readable and options.label is None and not label_candidates(names):
        problems.append(
            StorageProblem(
                "label_missing",
                "file",
                f"{NO_LABEL} The file's columns: {_shown(names)}.",
                {"columns": list(names[:LISTED])},
            )
        )
    chosen = [name for name in given.values() if name is not None]
    problems += [
        StorageProblem("column_twice", "label", f"The column {name!r} is given for two purposes.", {"column": name})
        for name in sorted(set(chosen))
        if chosen.count(name) > 1
    ]
    if options.label is not None and options.label in options.exclude:
        problems.append(
            StorageProblem(
                "label_excluded", "exclude", f"The column {options.label!r} is the label and cannot be excluded.", {}
            )
        )
    if options.synthetic_step_seconds is not None and not 0 < options.synthetic_step_seconds < 1e9:
        problems.append(
            StorageProblem(
                "step_invalid",
                "synthetic_step_seconds",
                "The step must be more than 0 s.",
                {"value": options.synthetic_step_seconds},
            )
        )
    return problems


def unknown_column(field: str, name: str, names: Sequence[str]) -> StorageProblem:
    """A column that is not there; the ones that are called much like it."""
    plain = {plain_name(one): one for one in names}
    close = get_close_matches(plain_name(name), list(plain), n=3, cutoff=0.6)
    hint = f" Did you mean {', '.join(repr(plain[one]) for one in close)}?" if close else f" It has {_shown(names)}."
    return StorageProblem("column_unknown", field, f"There is no column {name!r} in the file.{hint}", {"column": name})


def choose_label(
    lazy: pl.LazyFrame, content: Content, options: DatasetOptions
) -> tuple[Choice, LabelCounts] | list[StorageProblem]:
    """Find the label column and what its values mean. A candidate that has two values is preferred to one that has
    not."""
    excluded = set(options.exclude)
    candidates = (
        [options.label]
        if options.label is not None
        else [name for name in label_candidates(content.names) if name not in excluded]
    )
    if not candidates:
        return [_no_label(lazy, content)]
    no_label = NO_LABEL_WORDS | {canonical(value) for value in options.na_values}
    counts = {name: value_counts(lazy, name, content) for name in candidates}
    name = next((name for name in candidates if len(merged(counts[name], no_label)[0]) == 2), candidates[0])
    decided = read_labels(name, counts[name], options.pass_value, empty=content.missing[name], no_label=no_label)
    if isinstance(decided, StorageProblem):
        return [decided]
    labels, reason = decided
    why = "given" if options.label is not None else f"named {name!r}"
    return Choice(value=name, reason=f"{why}; {reason}", detected=options.label is None), labels


def choose_id(
    lazy: pl.LazyFrame, content: Content, options: DatasetOptions, taken: Sequence[str], line_of: LineOf
) -> tuple[Choice | None, int] | StorageProblem:
    """Find the column that names the rows, and how many rows repeat an id; None when the row number has to do.

    A found one has no missing and no repeated values.
    """
    name = options.id_column
    if name is None:
        by_name = {
            plain_name(one.name): one.name for one in content.columns if one.name not in taken and not one.missing
        }
        found = [by_name[wanted] for wanted in ID_NAMES if wanted in by_name]
        repeats = {name: content.rows - _distinct(lazy, name) for name in found}
        unique = next((name for name in found if not repeats[name]), None)
        if unique is not None:
            return Choice(value=unique, reason=f"named {unique!r}, every value once", detected=True), 0
        return None, min(repeats.values(), default=0)
    if content.missing[name]:
        line, count = line_of(first_row(lazy, column(name).is_null())), content.missing[name]
        message = f"The id column {name!r} is empty in {rows_text(count)}, first in line {line}."
        return StorageProblem("id_empty", "id_column", message, {"column": name, "count": count, "line": line})
    repeated = content.rows - _distinct(lazy, name)
    if not repeated:
        return Choice(value=name, reason="given", detected=False), 0
    shown = (
        lazy.group_by(column(name).alias("id"))
        .len()
        .filter(pl.col("len") > 1)
        .sort("len", "id", descending=[True, False])
    )
    examples = ", ".join(repr(one) for one in shown.head(REPEATED_SHOWN).collect()["id"].to_list())
    reason = (
        f"given; {repeated} repeated values: {rows_text(repeated)} have an id that an earlier row has, such as"
        f" {examples}"
    )
    return Choice(value=name, reason=reason, detected=False), repeated


def describe(
    lazy: pl.LazyFrame,
    content: Content,
    findings: Mapping[str, TimeFinding],
    reasons: Mapping[str, str],
    left_out: Mapping[str, str],
    label: str,
) -> list[Column]:
    """Every column with its type, how it was read, and why it is no feature."""
    numbers = {label} if all(map(_is_number, value_counts(lazy, label, content))) else set()
    booleans = _booleans(lazy, [one.name for one in content.columns if not one.number and one.name not in findings])
    return [
        Column(
            name=one.name,
            type=_type(
                one.number or one.name in numbers,
                one.missing == content.rows,
                one.name in findings,
                one.name in booleans,
            ),
            missing=one.missing,
            constant=one.constant,
            reason=reasons.get(one.name) or _how_read(one, left_out, booleans),
            stored="number" if one.number else "text",
            unread=one.unread,
            unread_lines=list(one.unread_lines),
            unread_values=list(one.unread_values),
            left_out=left_out.get(one.name),
        )
        for one in content.columns
    ]


def mixed(lazy: pl.LazyFrame, content: Content) -> set[str]:
    """The columns of texts and numbers that have few different values, each of them often: they name something, as
    grades do."""
    return {
        one.name
        for one in content.columns
        if one.reason
        and one.reason.startswith(SOME_NUMBERS)
        and (different := _distinct(lazy, one.name)) <= MOST_MIXED
        and different * OFTEN <= content.rows
    }


def value_text(name: str, *, numeric: bool) -> pl.Expr:
    """A column's values as text; whole numbers without a decimal point."""
    value = column(name)
    if not numeric:
        return value
    whole = (value == value.round()) & (value.abs() < 2**53)
    return (
        pl.when(whole)
        .then(value.cast(pl.Int64, strict=False).cast(pl.String))
        .otherwise(value.cast(pl.String))
        .alias(name)
    )


def value_counts(lazy: pl.LazyFrame, name: str, content: Content) -> dict[str, int]:
    """Rows by text, at most `MOST_VALUES` of them, the most frequent."""
    texts = lazy.select(value_text(name, numeric=content.by_name()[name].number).alias("value")).drop_nulls()
    counted = texts.group_by("value").len().sort("len", "value", descending=[True, False]).head(MOST_VALUES)
    return dict(counted.collect(engine="streaming").iter_rows())


def _no_label(lazy: pl.LazyFrame, content: Content) -> StorageProblem:
    """The refusal without a label: the file's columns, those that could be one, and what to send."""
    pairs = _two_values(lazy, content)
    message = f"{NO_LABEL} The file's columns: {_shown(content.names)}."
    if pairs:
        listed = [
            f"{name!r} ({', '.join(f'{value!r} in {rows_text(rows)}' for value, rows in counts.items())})"
            for name, counts in list(pairs.items())[:5]
        ]
        message += f" With two values: {', '.join(listed)}."
        name = next(iter(pairs))
        passes = _likely_pass(name, list(pairs[name]))
        message += (
            f" Send label={name} and pass_value={passes} (in the command: --label {_quoted(name)} --pass-value"
            f" {_quoted(passes)})."
        )
    else:
        message += (
            " None has two values: send label=… and pass_value=… to say which column is the label, and which of its"
            " values means PASS."
        )
    return StorageProblem(
        "label_missing",
        "file",
        message,
        {"columns": content.names[:LISTED], "two_values": {name: dict(counts) for name, counts in pairs.items()}},
    )


def _two_values(lazy: pl.LazyFrame, content: Content) -> dict[str, dict[str, int]]:
    """The columns that have two values, the likeliest label first: words of pass and failure before others, the last
    before the first."""
    names = [one.name for one in content.columns if not one.constant][:5000]
    if not names:
        return {}
    distinct = (
        lazy.select(column(name).n_unique() - column(name).null_count().clip(0, 1) for name in names)
        .collect(engine="streaming")
        .row(0)
    )
    found = {}
    for name, count in zip(names, distinct, strict=True):
        if 2 <= count <= 6:
            values, _, _ = merged(value_counts(lazy, name, content))
            if len(values) == 2:
                found[name] = {value.shown: value.rows for value in values.values()}
    spoken = {name: any(sense(value) for value in values) + bool(sense(name)) for name, values in found.items()}
    places = {name: place for place, name in enumerate(content.names)}
    return {name: found[name] for name in sorted(found, key=lambda name: (-spoken[name], -places[name]))[:10]}


def _likely_pass(name: str, values: list[str]) -> str:
    found = read_labels(name, dict.fromkeys(values, 1), None)
    return values[0] if isinstance(found, StorageProblem) else found[0].pass_value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _how_read(column: ReadColumn, left_out: Collection[str], booleans: Collection[str]) -> str | None:
    if column.number or column.name in left_out:
        return column.reason
    read = f"{'yes/no' if column.name in booleans else 'text'}: taken as a category"
    return f"{column.reason}; {read}" if column.reason else read


def _type(number: bool, empty: bool, time: bool, boolean: bool) -> ColumnType:
    if empty:
        return "empty"
    if time:
        return "datetime"
    return "numeric" if number else "boolean" if boolean else "text"


def _booleans(lazy: pl.LazyFrame, names: Sequence[str]) -> set[str]:
    """The columns of texts that say true or false, all of them; a sample first."""
    left = list(names)
    for sample in (lazy.head(100), lazy):
        if not left:
            return set()
        words = [
            column(name).str.strip_chars().str.to_lowercase().is_in(["true", "false"]).all().alias(name)
            for name in left
        ]
        said = sample.select(words).collect(engine="streaming").row(0, named=True)
        left = [name for name in left if said[name]]
    return set(left)


def _distinct(lazy: pl.LazyFrame, name: str) -> int:
    return int(lazy.select(column(name).drop_nulls().n_unique()).collect(engine="streaming").item())


def _shown(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(map(repr, listed[:LISTED])) + (f" and {len(listed) - LISTED} more" if len(listed) > LISTED else "")


def _quoted(value: str) -> str:
    return value if value.replace("_", "").replace(".", "").replace("-", "").isalnum() else f"'{value}'"
