"""How a dataset's rows lie in time: records and failures in equal spans, for a person who chooses ranges."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from schemas.manifests import DatasetManifest
from storage.objects.files import Storage
from storage.tables.datasets import row_label, row_time


@dataclass(frozen=True, slots=True)
class Timeline:
    """Span i begins at `start + i * step_seconds`; the last one is closed."""

    start: datetime
    step_seconds: float
    rows: list[int]
    failures: list[int]


def timeline(storage: Storage, dataset: DatasetManifest, spans: int) -> Timeline:
    """Count the rows of each of `spans` equal parts of the dataset's time. Reads two columns; run it off the event
    loop."""
    start = dataset.first_timestamp
    step = max((dataset.last_timestamp - start) / spans, timedelta(microseconds=1))
    span = ((row_time(dataset) - start).dt.total_microseconds() // round(step.total_seconds() * 1e6)).clip(0, spans - 1)
    counted = (
        pl.scan_parquet(storage.local(dataset.path))
        .with_row_index("__index__")
        .select(span.alias("span"), (row_label(dataset) == "FAIL").fill_null(False).alias("failed"))
        .filter(pl.col("span").is_not_null())
        .group_by("span")
        .agg(pl.len().alias("rows"), pl.col("failed").sum().alias("failures"))
        .collect(engine="streaming")
    )
    rows, failures = [0] * spans, [0] * spans
    for at, total, failed in counted.iter_rows():
        rows[at], failures[at] = total, failed
    return Timeline(start=start, step_seconds=step.total_seconds(), rows=rows, failures=failures)
