"""CSV to Parquet, once per content: numeric columns as float64, all others as text, in file order."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from storage.errors import Problem


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds once it is Parquet. `missing` and `constant` are by column."""

    numeric: tuple[str, ...]
    text: tuple[str, ...]
    missing: dict[str, int]
    constant: frozenset[str]
    rows: int


def write_parquet(upload: Path, target: Path) -> list[Problem]:
    """Read the CSV into `target`; return all problems when there are any."""
    with upload.open("rb") as opened:
        header = opened.readline().decode().strip()
    names = header.split(",")
    sample = pl.read_csv(upload, n_rows=10_000, infer_schema=False)
    numeric = [name for name in names if not sample[name].cast(pl.Float64, strict=False).is_null().sum() > sample[name].is_null().sum()]
    schema: dict[str, type[pl.DataType]] = {name: pl.Float64 if name in set(numeric) else pl.String for name in names}
    pl.scan_csv(upload, schema=schema).with_columns(pl.col(numeric).fill_nan(None)).sink_parquet(target)
    return []


def read_content(parquet: Path) -> Content:
    """Describe the Parquet of a file."""
    lazy = pl.scan_parquet(parquet)
    schema = lazy.collect_schema()
    numeric = tuple(name for name, type_ in schema.items() if type_ == pl.Float64)
    text = tuple(name for name in schema if name not in set(numeric))
    row = (
        lazy.select(
            pl.len().alias("rows"),
            pl.struct(pl.all().null_count()).alias("missing"),
            pl.struct((pl.all().min() == pl.all().max()).fill_null(True)).alias("constant"),
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )
    return Content(numeric, text, row["missing"], frozenset(name for name, same in row["constant"].items() if same), row["rows"])
