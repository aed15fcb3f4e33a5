"""Datasets: a CSV file taken in, its settings found with a reason or taken as given.

The content is stored once per SHA-256 and way of reading, under `files/{sha256}/`; every upload makes a new dataset
that points to it. Nothing is stored when there are problems, or when the process dies half-way.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl

from schemas.ids import new_id
from schemas.manifests import (
    Cell,
    Choice,
    Column,
    ColumnType,
    DatasetManifest,
    LabelCounts,
    LeftOut,
    Notice,
    ReadingReport,
    SpanCount,
    TimeAxis,
)
from storage.errors import StorageProblem, rows_text
from storage.objects.files import Storage
from storage.tables.columns import check_names, choose_id, choose_label, describe, mixed, value_text
from storage.tables.content import CONTENT, Content
from storage.tables.csv_head import MAX_COLUMNS
from storage.tables.csv_lines import line_of
from storage.tables.csv_reader import CsvSource, read_layout, write_parquet
from storage.tables.csv_tally import sample_every
from storage.tables.csv_text import check_file_name
from storage.tables.names import column
from storage.tables.options import DatasetOptions, LineOf
from storage.tables.suspects import find_suspects, is_index
from storage.tables.time_axis import check_zone, choose_time, time_expression, unused_settings
from storage.tables.time_order import look_at_order
from storage.tables.times import ELAPSED, UTC_TIME, WORDS, instant, microseconds

__all__ = ["DatasetOptions", "ingest", "preview", "row_id", "row_label", "row_time"]

SYNTHETIC_START = datetime(2021, 1, 1, tzinfo=UTC)
SYNTHETIC_STEP_SECONDS = 1.0
MAX_BYTES = 10 << 30
USABLE: tuple[ColumnType, ...] = ("numeric", "text", "boolean")
"""Types of columns that a model may use; texts and yes/no as categories."""
SPANS = 10
LINES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """All that is chosen about a file."""

    columns: list[Column]
    label: Choice
    labels: LabelCounts
    id_column: Choice | None
    time: TimeAxis
    first: datetime
    last: datetime
    report: ReadingReport

    def features(self) -> list[str]:
        """The columns of numbers, texts and yes/no that have no other purpose: constant ones too, no empty and excluded
        ones."""
        return [one.name for one in self.columns if one.type in USABLE and one.left_out is None]


def ingest(
    storage: Storage,
    upload: Path,
    *,
    file_name: str,
    workspace: str,
    options: DatasetOptions,
    sha256: str,
    dataset_id: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_columns: int = MAX_COLUMNS,
) -> DatasetManifest | list[StorageProblem]:
    """Store the file's content unless it is there already, and make a new dataset of it; return all problems when there
    are any.

    `sha256` is that of the upload as it is; `max_bytes` limits what a gzip file may unpack to. Takes as long as the
    file needs: run it off the event loop. Safe to call at the same time for the same file. Raises `StorageUnavailable`.
    """
    if problems := check_file_name(file_name) + check_options(options):
        return problems
    with storage.scratch() as folder:
        check = partial(check_names, options=options)
        read = partial(
            read_layout,
            upload,
            file_name,
            folder,
            max_bytes=max_bytes,
            max_columns=max_columns,
            options=options,
            check=check,
        )
        lines = _Lines(read)
        place = f"files/{sha256}"
        taken = _take_in(storage, folder, lines, options, place)
        if isinstance(taken, list):
            return taken
        if problems := check(taken.content.names, True):
            return problems
        lazy = pl.scan_parquet(taken.parquet)
        label = choose_label(lazy, taken.content, options)
        if (
            not isinstance(label, list) and taken.content.by_name()[label[0].value].number
        ):  # another than the first rows suggest
            taken = _take_in(storage, folder, lines, replace(options, label=label[0].value), place)
            if isinstance(taken, list):
                return taken
            lazy = pl.scan_parquet(taken.parquet)
            label = choose_label(lazy, taken.content, options)
        settings = _choose(lazy, taken.sample, taken.content, options, label, lines.line_of)
        if isinstance(settings, list):
            return settings
        taken.keep(storage)
    manifest = DatasetManifest(
        dataset_id=dataset_id or new_id("ds"),
        workspace=workspace,
        file_name=file_name,
        file_size=upload.stat().st_size,
        sha256=sha256,
        path=taken.path,
        created_at=datetime.now(UTC),
        row_count=taken.content.rows,
        column_count=len(taken.content.names),
        columns=settings.columns,
        features=settings.features(),
        label=settings.label,
        labels=settings.labels,
        id_column=settings.id_column,
        time=settings.time,
        first_timestamp=settings.first,
        last_timestamp=settings.last,
        excluded=list(options.exclude),
        report=settings.report,
    )
    storage.write_bytes(f"datasets/{manifest.dataset_id}/manifest.json", manifest.model_dump_json(indent=2).encode())
    return manifest


def check_options(options: DatasetOptions) -> list[StorageProblem]:
    """What is wrong with settings whatever the file holds."""
    problems = []
    if options.time_zone is not None and check_zone(options.time_zone) is None:
        message = f"There is no time zone {options.time_zone!r:.60}. Send one such as Europe/Berlin, UTC or +02:00."
        problems.append(StorageProblem("time_zone_unknown", "time_zone", message, {"value": options.time_zone}))
    if options.decimal is not None and options.decimal == options.thousands:
        problems.append(
            StorageProblem("signs_equal", "thousands", "The signs for decimals and for thousands must differ.", {})
        )
    return problems


@dataclass(frozen=True, slots=True)
class _Taken:
    """A content: stored already, or still in a scratch folder."""

    content: Content
    parquet: Path
    path: str
    stored: bool
    sample: pl.DataFrame

    def keep(self, storage: Storage) -> None:
        """Store it; the Parquet last, by which others know that it is whole."""
        if not self.stored:
            storage.write_bytes(f"{self.path.rsplit('/', 1)[0]}/{CONTENT}", self.content.model_dump_json().encode())
            storage.put_file(self.parquet, self.path)


def _take_in(
    storage: Storage, folder: Path, lines: "_Lines", options: DatasetOptions, place: str
) -> _Taken | list[StorageProblem]:
    place = f"{place}/{options.content_key()}"
    path = f"{place}/data.parquet"
    if storage.exists(path):
        known, parquet = Content.model_validate_json(storage.read_bytes(f"{place}/{CONTENT}")), storage.local(path)
        every = sample_every(known.rows, len(known.columns))
        return _Taken(known, parquet, path, True, pl.scan_parquet(parquet).gather_every(every).collect())
    source = lines.source()
    if isinstance(source, list):
        return source
    parquet = folder / f"{options.content_key()}.parquet"
    sample: list[pl.DataFrame] = []
    content = write_parquet(source, parquet, options, sample)
    return content if isinstance(content, list) else _Taken(content, parquet, path, False, pl.concat(sample))


def preview(storage: Storage, dataset: DatasetManifest, rows: int) -> list[dict[str, Cell]]:
    """The first rows as stored, by column name; a synthetic time column comes first."""
    lazy = pl.scan_parquet(storage.local(dataset.path)).head(rows)
    if dataset.time.synthetic:
        time = row_time(dataset).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ").alias(dataset.time.column)
        lazy = lazy.with_row_index("__index__").select(time, pl.exclude("__index__", dataset.time.column))
    return lazy.collect().to_dicts()


def row_time(dataset: DatasetManifest) -> pl.Expr:
    """UTC time of a row of the dataset's Parquet, null where it has none; the frame must have its row number as
    `__index__`."""
    return _time_expression(dataset.time)


def row_id(dataset: DatasetManifest) -> pl.Expr:
    """Id of a row as text: the id column's value, else the row number from 1. Needs `__index__`."""
    if dataset.id_column is None:
        return (pl.col("__index__").cast(pl.Int64) + 1).cast(pl.String)
    return value_text(dataset.id_column.value, numeric=_is_number(dataset, dataset.id_column.value))


def row_label(dataset: DatasetManifest) -> pl.Expr:
    """`PASS`, `FAIL`, or null where the row has no label."""
    name = dataset.label.value
    return _label_expression(value_text(name, numeric=_is_number(dataset, name)), dataset.labels)


def _label_expression(text: pl.Expr, labels: LabelCounts) -> pl.Expr:
    without = text.is_null() | text.is_in(labels.no_label_spellings)
    passed = text.is_in(labels.pass_spellings or [labels.pass_value])
    return pl.when(without).then(None).when(passed).then(pl.lit("PASS")).otherwise(pl.lit("FAIL"))


def _is_number(dataset: DatasetManifest, name: str) -> bool:
    return next(
        (one.stored or ("number" if one.type == "numeric" else "text")) == "number"
        for one in dataset.columns
        if one.name == name
    )


def _time_expression(time: TimeAxis) -> pl.Expr:
    if not time.synthetic:
        return time_expression(time)
    assert time.start is not None
    assert time.step_seconds is not None
    passed = (pl.col("__index__").cast(pl.Float64) * (time.step_seconds * 1e6)).round().cast(pl.Int64)
    return (pl.lit(microseconds(time.start)) + passed).cast(UTC_TIME)


def _choose(
    lazy: pl.LazyFrame,
    sample: pl.DataFrame,
    content: Content,
    options: DatasetOptions,
    label: tuple[Choice, LabelCounts] | list[StorageProblem],
    line: LineOf,
) -> DatasetSettings | list[StorageProblem]:
    problems: list[StorageProblem] = list(label) if isinstance(label, list) else []
    taken = [
        name for name in (options.label, options.id_column, None if isinstance(label, list) else label[0].value) if name
    ]
    times = choose_time(lazy, content, options, taken, line)
    axis = times.axis if isinstance(times.axis, StorageProblem) else _with_start(times.axis, options)
    problems += [axis] if isinstance(axis, StorageProblem) else []
    taken += [] if isinstance(axis, StorageProblem) else [axis.column]
    identity = choose_id(lazy, content, options, [*taken, *times.looked_at], line)
    problems += [identity] if isinstance(identity, StorageProblem) else []
    if isinstance(label, list) or isinstance(axis, StorageProblem) or isinstance(identity, StorageProblem):
        return problems
    notices = [*content.notices, *times.notices, *unused_settings(axis, options)]
    if not axis.synthetic:
        order = look_at_order(lazy, axis)
        axis, notices = order.axis, [*notices, *order.notices]
    ends = _first_and_last(lazy, axis)
    if isinstance(ends, StorageProblem):
        return [ends]
    axis, lacking = _without_times(lazy, axis, content.rows, line)
    left_out = _left_out(lazy, content, options, label[0].value, identity[0], axis, times.looked_at)
    written = {name: f"times, written as {found.style.removeprefix(WORDS)}" for name, found in times.findings.items()}
    columns = describe(lazy, content, times.findings, written, left_out, label[0].value)
    report = _report(lazy, sample, content, columns, label, axis, identity, [*notices, *lacking], ends)
    settings = DatasetSettings(columns, *label, identity[0], axis, *ends, report)
    if not settings.features():
        return [_no_features(columns)]
    return settings


def _no_features(columns: list[Column]) -> StorageProblem:
    why = "; ".join(f"{one.name!r}: {one.left_out or one.reason or one.type}" for one in columns[:LINES_SHOWN])
    return StorageProblem(
        "features_missing",
        "file",
        f"No column is left to learn from. {why}.",
        {"columns": [one.name for one in columns]},
    )


def _without_times(lazy: pl.LazyFrame, axis: TimeAxis, rows: int, line: LineOf) -> tuple[TimeAxis, list[Notice]]:
    """The axis with how many rows lack a time, and the first of them named."""
    if axis.synthetic:
        return axis, []
    absent = lazy.with_row_index("__index__").filter(_time_expression(axis).is_null())
    count = int(absent.select(pl.len()).collect(engine="streaming").item())
    if not count:
        return axis, []
    first = absent.select("__index__", column(axis.column).alias("text")).head(LINES_SHOWN).collect()
    lines = [line(row) for row in first["__index__"].to_list()]
    shown = ", ".join(
        f"{text!r} (line {at})" if text is not None else f"empty (line {at})"
        for text, at in zip(first["text"], lines, strict=True)
    )
    message = (
        f"No time that can be read in {axis.column!r} in {rows_text(count)} of {rows}, in no set of a split: {shown}."
    )
    return axis.model_copy(update={"missing": count}), [
        Notice(code="rows_without_time", message=message, column=axis.column, lines=lines, count=count)
    ]


def _left_out(
    lazy: pl.LazyFrame,
    content: Content,
    options: DatasetOptions,
    label: str,
    identity: Choice | None,
    axis: TimeAxis,
    looked_at: dict[str, str],
) -> dict[str, str]:
    """The columns that are no features, each with the reason."""
    grades = mixed(lazy, content)
    reasons = {
        one.name: one.reason for one in content.columns if one.reason and not one.number and one.name not in grades
    }
    reasons |= {one.name: "it is empty" for one in content.columns if one.missing == content.rows}
    reasons |= dict.fromkeys(looked_at, "it holds times") | looked_at
    if content.index is not None and is_index(lazy, content.index):
        reasons[content.index] = "it has no name and counts the rows"
    reasons |= dict.fromkeys(options.exclude, "excluded, as asked")
    reasons |= {axis.column: "the time column"} if not axis.synthetic else {}
    reasons |= {axis.clock_column: "the time of day of the time column"} if axis.clock_column else {}
    reasons |= {identity.value: "the id column"} if identity else {}
    return reasons | {label: "the label"}


def _report(
    lazy: pl.LazyFrame,
    sample: pl.DataFrame,
    content: Content,
    columns: list[Column],
    label: tuple[Choice, LabelCounts],
    axis: TimeAxis,
    identity: tuple[Choice | None, int],
    notices: list[Notice],
    ends: tuple[datetime, datetime],
) -> ReadingReport:
    choice, labels = label
    failed = (
        _label_expression(value_text(choice.value, numeric=content.by_name()[choice.value].number), labels) == "FAIL"
    )
    roles = {choice.value, axis.column, axis.clock_column, identity[0].value if identity[0] else None}
    numbers = [one.name for one in columns if one.type == "numeric" and one.stored == "number" and one.left_out is None]
    texts = [
        one.name
        for one in columns
        if one.type in ("text", "boolean") and one.name not in roles and one.left_out != "excluded, as asked"
    ]
    if labels.unlabelled_count:
        rows = rows_text(labels.unlabelled_count)
        message = (
            f"{rows} have no label in {choice.value!r}: they are kept and simulated, and never trained on or counted."
        )
        notices = [
            *notices,
            Notice(code="unlabelled", message=message, column=choice.value, count=labels.unlabelled_count),
        ]
    if identity[1]:
        what = (
            repr(identity[0].value)
            if identity[0]
            else "The column named like an id, which is therefore not used as one,"
        )
        message = f"{what} repeats an id in {rows_text(identity[1])}; the ids stay as they are written."
        notices = [
            *notices,
            Notice(
                code="repeated_ids",
                message=message,
                column=identity[0].value if identity[0] else None,
                count=identity[1],
            ),
        ]
    return ReadingReport(
        encoding=content.encoding,
        encoding_reason=content.encoding_reason,
        separator=content.separator,
        decimal=content.decimal,
        thousands=content.thousands,
        header_line=content.header_line,
        notices=notices,
        left_out=[
            LeftOut(column=one.name, reason=one.left_out) for one in columns if one.left_out and one.name not in roles
        ],
        suspects=find_suspects(lazy, sample, failed, numbers, texts),
        unlabelled=labels.unlabelled_count,
        rows_without_time=axis.missing,
        repeated_ids=identity[1],
        failures_over_time=_spans(lazy, failed, axis, ends),
    )


def _spans(lazy: pl.LazyFrame, failed: pl.Expr, axis: TimeAxis, ends: tuple[datetime, datetime]) -> list[SpanCount]:
    """Labelled rows and failures in equal spans of time."""
    first, last = (microseconds(end) for end in ends)
    step = max(1, (last - first) // SPANS + 1)
    span = ((_time_expression(axis).cast(pl.Int64) - first) // step).clip(0, SPANS - 1)
    rows = lazy.with_row_index("__index__").select(span.alias("span"), failed.alias("failed")).drop_nulls()
    counted = (
        rows.group_by("span")
        .agg(pl.len().alias("rows"), pl.col("failed").sum().alias("failures"))
        .collect(engine="streaming")
    )
    found = {at: (total, fails) for at, total, fails in counted.iter_rows()}
    return [
        SpanCount(start=instant(first + i * step), rows=found.get(i, (0, 0))[0], failures=found.get(i, (0, 0))[1])
        for i in range(SPANS)
    ]


def _with_start(time: TimeAxis, options: DatasetOptions) -> TimeAxis:
    if not time.synthetic and time.style not in ELAPSED:
        return time
    start = options.synthetic_start or SYNTHETIC_START
    start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
    return time.model_copy(
        update={"start": start, "step_seconds": options.synthetic_step_seconds or SYNTHETIC_STEP_SECONDS}
    )


def _first_and_last(lazy: pl.LazyFrame, time: TimeAxis) -> tuple[datetime, datetime] | StorageProblem:
    at = _time_expression(time).cast(pl.Int64)
    first, last = (
        lazy.with_row_index("__index__")
        .select(at.min().alias("first"), at.max().alias("last"))
        .collect(engine="streaming")
        .row(0)
    )
    if first is None:
        return StorageProblem(
            "time_unreadable", "time_column", f"No row has a time in {time.column!r}.", {"column": time.column}
        )
    try:
        return instant(first), instant(last)
    except OverflowError:
        return StorageProblem(
            "time_range", "time_column", "The times lead out of the years 1 to 9999.", {"column": time.column}
        )


class _Lines:
    """The layout of an upload, read when it is first asked for: a file whose content is stored needs it only to name a
    line."""

    def __init__(self, read: Callable[[], CsvSource | list[StorageProblem]]) -> None:
        self._read = read
        self._source: CsvSource | list[StorageProblem] | None = None

    def source(self) -> CsvSource | list[StorageProblem]:
        if self._source is None:
            self._source = self._read()
        return self._source

    def line_of(self, row: int) -> int:
        source = self.source()
        assert isinstance(source, CsvSource)  # rows are asked for only of files that could be read
        return line_of(source.layout, row)
