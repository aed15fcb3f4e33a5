"""Datasets: a CSV file taken in, its settings found with a reason or taken as given. The content is stored once per SHA-256."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from schemas.ids import new_id
from schemas.manifests import Cell, Choice, Column, ColumnType, DatasetManifest, TimeAxis
from storage.csv_reader import Content, read_content, write_parquet
from storage.errors import Problem
from storage.files import Storage
from storage.labels import LABEL_NAMES, read_labels
from storage.times import ISO, UTC_TIME, read_time

SYNTHETIC = "synthetic_timestamp"
SYNTHETIC_START = datetime(2021, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """Settings given with an upload; None asks for detection. `time_column="synthetic_timestamp"` asks for synthetic times."""

    label: str | None = None
    pass_value: str | None = None
    id_column: str | None = None
    time_column: str | None = None
    synthetic_start: datetime | None = None
    synthetic_step_seconds: float | None = None


def ingest(
    storage: Storage,
    upload: Path,
    *,
    file_name: str,
    workspace: str,
    options: DatasetOptions,
    sha256: str,
    dataset_id: str | None = None,
) -> DatasetManifest | list[Problem]:
    """Store the file's content unless it is there already, and make a new dataset of it; nothing is stored when there are problems."""
    path = f"files/{sha256}/data.parquet"
    with storage.scratch() as folder:
        known = storage.exists(path)
        parquet = storage.local(path) if known else folder / "data.parquet"
        problems = [] if known else write_parquet(upload, parquet)
        if problems:
            return problems
        dataset = _describe(parquet, read_content(parquet), options)
        if isinstance(dataset, list):
            return dataset
        label, labels, time, first, last, columns, features, rows = dataset
        if not known:
            storage.put_file(parquet, path)
    names = [column.name for column in columns]
    manifest = DatasetManifest(
        dataset_id=dataset_id or new_id("ds"),
        workspace=workspace,
        file_name=file_name,
        file_size=upload.stat().st_size,
        sha256=sha256,
        path=path,
        created_at=datetime.now(UTC),
        row_count=rows,
        column_count=len(names),
        columns=columns,
        features=features,
        label=label,
        labels=labels,
        id_column=Choice(value="Id", reason="its name", detected=True) if "Id" in names else None,
        time=time,
        first_timestamp=first,
        last_timestamp=last,
    )
    storage.write_bytes(f"datasets/{manifest.dataset_id}/manifest.json", manifest.model_dump_json(indent=2).encode())
    return manifest


def _describe(parquet: Path, content: Content, options: DatasetOptions):  # type: ignore[no-untyped-def]
    lazy = pl.scan_parquet(parquet)
    names = list(lazy.collect_schema())
    label = options.label or next((name for wanted in LABEL_NAMES for name in names if name.lower() == wanted), None)
    if label is None or label not in names:
        return [Problem("label_missing", "file", "CSV must contain a 'Response' column.", {})]
    counts = lazy.select(label_text(label, numeric=label in content.numeric)).drop_nulls().collect().get_column(label).value_counts()
    decided = read_labels(label, dict(counts.iter_rows()), options.pass_value)
    if isinstance(decided, Problem):
        return [decided]
    labels, reason = decided
    time_column = next((name for name in content.text if "time" in name.lower()), None)
    if time_column:
        time = TimeAxis(column=time_column, synthetic=False, reason="its name and content")
        first, last = (
            lazy.select(read_time(pl.col(time_column), ISO).min().alias("a"), read_time(pl.col(time_column), ISO).max().alias("b"))
            .collect()
            .row(0)
        )
    else:
        step = options.synthetic_step_seconds or 1.0
        first = options.synthetic_start or SYNTHETIC_START
        time = TimeAxis(column=SYNTHETIC, synthetic=True, start=first, step_seconds=step, reason="no column holds times")
        last = first + timedelta(seconds=step * (content.rows - 1))
    columns = [
        Column(name=name, type=_type(name, content, time_column), missing=content.missing[name], constant=name in content.constant)
        for name in names
    ]
    features = [column.name for column in columns if column.type == "numeric" and column.name not in (label, "Id")]
    return Choice(value=label, reason=reason, detected=options.label is None), labels, time, first, last, columns, features, content.rows


def _type(name: str, content: Content, time_column: str | None) -> ColumnType:
    if content.missing[name] == content.rows:
        return "empty"
    if name in content.numeric:
        return "numeric"
    return "datetime" if name == time_column else "text"


def label_text(column: str, *, numeric: bool) -> pl.Expr:
    """A column's values as text: whole numbers without a decimal point."""
    value = pl.col(column)
    if not numeric:
        return value
    return (
        pl.when(value == value.round())
        .then(value.cast(pl.Int64, strict=False).cast(pl.String))
        .otherwise(value.cast(pl.String))
        .alias(column)
    )


def time_expression(time: TimeAxis, rows: str = "__index__") -> pl.Expr:
    """UTC time of a row, from the manifest's time axis; `rows` is the column that numbers the rows from 0."""
    if not time.synthetic:
        return read_time(pl.col(time.column), ISO)
    assert time.start is not None
    assert time.step_seconds is not None
    offset = (pl.col(rows).cast(pl.Float64) * (time.step_seconds * 1e6)).round().cast(pl.Int64)
    return (pl.lit(time.start).cast(UTC_TIME) + pl.duration(microseconds=offset)).cast(UTC_TIME)


def preview(storage: Storage, dataset: DatasetManifest, rows: int) -> list[dict[str, Cell]]:
    """The first rows as stored, by column name; a synthetic time column comes first."""
    lazy = pl.scan_parquet(storage.local(dataset.path)).head(rows)
    if dataset.time.synthetic:
        time = time_expression(dataset.time).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ").alias(dataset.time.column)
        lazy = lazy.with_row_index("__index__").select(time, pl.exclude("__index__", dataset.time.column))
    return lazy.collect().to_dicts()
