"""Datasets: a CSV file taken in, its settings found with a reason or taken as given.

The content is stored once per SHA-256, under `files/{sha256}/`; every upload makes a new dataset that points to it. Nothing is stored when
there are problems, or when the process dies half-way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl

from schemas.ids import new_id
from schemas.manifests import Cell, Choice, Column, ColumnType, DatasetManifest, LabelCounts, TimeAxis
from storage.columns import check_names, choose_id, choose_label, describe, value_text
from storage.csv_lines import Layout, line_of
from storage.csv_reader import ID_NAMES, Content, read_content, read_layout, write_parquet
from storage.csv_text import check_file_name
from storage.errors import Problem
from storage.files import Storage
from storage.options import DatasetOptions, LineOf, plain_name
from storage.time_axis import choose_time
from storage.times import UTC_TIME, instant, microseconds, read_time

__all__ = ["DatasetOptions", "ingest", "preview", "row_id", "row_label", "row_time"]

SYNTHETIC_START = datetime(2021, 1, 1, tzinfo=UTC)
SYNTHETIC_STEP_SECONDS = 1.0
MAX_BYTES = 10 << 30
USABLE: tuple[ColumnType, ...] = ("numeric", "text", "boolean")
"""Types of columns that a model may use; texts and yes/no as categories."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that is chosen about a file."""

    columns: list[Column]
    label: Choice
    labels: LabelCounts
    id_column: Choice | None
    time: TimeAxis
    first: datetime
    last: datetime

    def features(self) -> list[str]:
        """The columns of numbers, texts and yes/no without another purpose: constant ones too, no empty ones, times and identifiers."""
        taken = {self.label.value, self.time.column, self.id_column.value if self.id_column else None}
        taken |= {column.name for column in self.columns if column.type == "text" and plain_name(column.name) in ID_NAMES}
        return [column.name for column in self.columns if column.type in USABLE and column.name not in taken]


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
) -> DatasetManifest | list[Problem]:
    """Store the file's content unless it is there already, and make a new dataset of it; return all problems when there are any.

    `sha256` is that of the upload as it is; `max_bytes` limits what a gzip file may unpack to. Takes as long as the file needs: run it off
    the event loop. Safe to call at the same time for the same file. Raises `StorageUnavailable`.
    """
    path = f"files/{sha256}/data.parquet"
    with storage.scratch() as folder:
        check = partial(check_names, options=options)
        lines = _Lines(lambda: read_layout(upload, file_name, folder, max_bytes=max_bytes, check=check))
        stored = storage.exists(path)
        problems: list[Problem] = []
        if stored:
            parquet = storage.local(path)
            content = read_content(parquet)
            problems = [*check_file_name(file_name), *check(content.names)]
        else:
            layout = lines.layout()
            if isinstance(layout, list):
                return layout
            parquet = folder / "data.parquet"
            content = write_parquet(layout, parquet)
        settings = problems or _choose(pl.scan_parquet(parquet), content, options, lines.line_of)
        if isinstance(settings, list):
            return settings
        if not stored:
            storage.put_file(parquet, path)
    manifest = DatasetManifest(
        dataset_id=dataset_id or new_id("ds"),
        workspace=workspace,
        file_name=file_name,
        file_size=upload.stat().st_size,
        sha256=sha256,
        path=path,
        created_at=datetime.now(UTC),
        row_count=content.rows,
        column_count=len(content.names),
        columns=settings.columns,
        features=settings.features(),
        label=settings.label,
        labels=settings.labels,
        id_column=settings.id_column,
        time=settings.time,
        first_timestamp=settings.first,
        last_timestamp=settings.last,
    )
    storage.write_bytes(f"datasets/{manifest.dataset_id}/manifest.json", manifest.model_dump_json(indent=2).encode())
    return manifest


def preview(storage: Storage, dataset: DatasetManifest, rows: int) -> list[dict[str, Cell]]:
    """The first rows as stored, by column name; a synthetic time column comes first."""
    lazy = pl.scan_parquet(storage.local(dataset.path)).head(rows)
    if dataset.time.synthetic:
        time = row_time(dataset).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ").alias(dataset.time.column)
        lazy = lazy.with_row_index("__index__").select(time, pl.exclude("__index__", dataset.time.column))
    return lazy.collect().to_dicts()


def row_time(dataset: DatasetManifest) -> pl.Expr:
    """UTC time of a row of the dataset's Parquet, which must have its row number as `__index__`."""
    return _time_expression(dataset.time)


def row_id(dataset: DatasetManifest) -> pl.Expr:
    """Id of a row as text: the id column's value, else the row number from 1. Needs `__index__`."""
    if dataset.id_column is None:
        return (pl.col("__index__").cast(pl.Int64) + 1).cast(pl.String)
    return value_text(dataset.id_column.value, numeric=_is_number(dataset, dataset.id_column.value))


def row_label(dataset: DatasetManifest) -> pl.Expr:
    """`PASS` or `FAIL`."""
    label = value_text(dataset.label.value, numeric=_is_number(dataset, dataset.label.value))
    return pl.when(label == dataset.labels.pass_value).then(pl.lit("PASS")).otherwise(pl.lit("FAIL"))


def _is_number(dataset: DatasetManifest, name: str) -> bool:
    return next(column.type == "numeric" for column in dataset.columns if column.name == name)


def _time_expression(time: TimeAxis) -> pl.Expr:
    if not time.synthetic:
        return read_time(time.column, time.style)
    assert time.start is not None
    assert time.step_seconds is not None
    passed = (pl.col("__index__").cast(pl.Float64) * (time.step_seconds * 1e6)).round().cast(pl.Int64)
    return (pl.lit(microseconds(time.start)) + passed).cast(UTC_TIME)


def _choose(lazy: pl.LazyFrame, content: Content, options: DatasetOptions, line: LineOf) -> Settings | list[Problem]:
    problems: list[Problem] = []
    label = choose_label(lazy, content, options, line)
    problems += label if isinstance(label, list) else []
    taken = [name for name in (options.label, options.id_column, None if isinstance(label, list) else label[0].value) if name]
    time, findings = choose_time(lazy, content, options, taken, line)
    time = time if isinstance(time, Problem) else _with_start(time, options)
    problems += [time] if isinstance(time, Problem) else []
    taken += [] if isinstance(time, Problem) else [time.column]
    id_column = choose_id(lazy, content, options, taken, line)
    problems += [id_column] if isinstance(id_column, Problem) else []
    if isinstance(label, list) or isinstance(time, Problem) or isinstance(id_column, Problem):
        return problems
    ends = _first_and_last(lazy, time)
    if isinstance(ends, Problem):
        return [ends]
    settings = Settings(describe(lazy, content, findings, line), *label, id_column, time, *ends)
    if not settings.features():
        return [Problem("features_missing", "file", "No column is left to learn from.", {"columns": list(content.names)})]
    return settings


def _with_start(time: TimeAxis, options: DatasetOptions) -> TimeAxis:
    if not time.synthetic:
        return time
    start = options.synthetic_start or SYNTHETIC_START
    start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
    return time.model_copy(update={"start": start, "step_seconds": options.synthetic_step_seconds or SYNTHETIC_STEP_SECONDS})


def _first_and_last(lazy: pl.LazyFrame, time: TimeAxis) -> tuple[datetime, datetime] | Problem:
    at = _time_expression(time).cast(pl.Int64)
    first, last = (
        lazy.with_row_index("__index__").select(at.min().alias("first"), at.max().alias("last")).collect(engine="streaming").row(0)
    )
    try:
        return instant(first), instant(last)
    except OverflowError:
        return Problem("time_range", "time_column", "The times lead out of the years 1 to 9999.", {"column": time.column})


class _Lines:
    """The layout of an upload, read when it is first asked for: a file whose content is stored needs it only to name a line."""

    def __init__(self, read: Callable[[], Layout | list[Problem]]) -> None:
        self._read = read
        self._layout: Layout | list[Problem] | None = None

    def layout(self) -> Layout | list[Problem]:
        if self._layout is None:
            self._layout = self._read()
        return self._layout

    def line_of(self, row: int) -> int:
        layout = self.layout()
        assert isinstance(layout, Layout)  # rows are asked for only of files that could be read
        return line_of(layout, row)
