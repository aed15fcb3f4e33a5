"""How fast a dataset is split by time, against the least that is possible and the usual way. Goal: 1.3 × a bare Polars
read, filter, write.

All write three Parquet files, 60/20/20 by time, of 100 feature columns.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.ingest import content
from benchmarks.side_by_side import Made, compare, table

SHARES = {"train": (0.0, 0.6), "test": (0.6, 0.8), "simulation": (0.8, 1.0)}


def bare(folder: Path, storage: str, dataset: str) -> Made:
    """Read, filter by row number, write: the data is in time order, and its times are its row numbers."""
    import polars as pl

    manifest = _manifest(storage, dataset)
    lazy = pl.scan_parquet(Path(storage) / manifest.path, row_index_name="__index__")
    for name, (first, last) in SHARES.items():
        inside = pl.col("__index__").is_between(
            round(first * manifest.row_count), round(last * manifest.row_count), closed="left"
        )
        lazy.filter(inside).select("__index__", manifest.label.value, *manifest.features).sink_parquet(
            folder / f"{name}.parquet"
        )
    return Made(lambda: content([folder / f"{name}.parquet" for name in SHARES], manifest.features))


def ours(folder: Path, storage: str, dataset: str) -> Made:
    """As the gateway does it: ids, times and labels of each row, rows in time order, counts, manifest."""
    from schemas.manifests import SplitManifest
    from storage.objects.files import Storage
    from storage.tables.ranges import DateRanges
    from storage.tables.splits import split, suggest

    manifest, kept = _manifest(storage, dataset), Storage(f"file://{storage}").initialise()
    ranges = suggest(kept, manifest)
    assert isinstance(ranges, DateRanges), ranges
    made = split(kept, manifest, ranges)
    assert isinstance(made, SplitManifest), made
    return Made(lambda: content([kept.local(getattr(made, name).path) for name in SHARES], manifest.features))


def pandas_in_chunks(folder: Path, storage: str, dataset: str) -> Made:
    """From the CSV, as pandas alone would: each chunk's rows go to the set they belong to."""
    import pandas as pd
    import polars as pl

    manifest = _manifest(storage, dataset)
    parts: dict[str, list[Path]] = {name: [] for name in SHARES}
    chosen = [*manifest.features, manifest.label.value]
    for number, chunk in enumerate(pd.read_csv(Path(storage) / "rows.csv", usecols=chosen, chunksize=20_000)):
        for name, (first, last) in SHARES.items():
            rows = chunk.loc[round(first * manifest.row_count) : round(last * manifest.row_count) - 1]
            if len(rows):
                parts[name].append(folder / f"{name}-{number}.parquet")
                frame = pl.DataFrame({column: rows[column].to_numpy() for column in rows}, nan_to_null=True)
                frame.write_parquet(parts[name][-1])
    return Made(lambda: content([path for paths in parts.values() for path in paths], manifest.features))


def _manifest(storage: str, dataset: str) -> Any:
    from schemas.manifests import DatasetManifest

    return DatasetManifest.model_validate_json((Path(storage) / "datasets" / dataset / "manifest.json").read_bytes())


CONTESTANTS = {"bare": bare, "ours": ours, "pandas in chunks": pandas_in_chunks}


def prepare(folder: Path, rows: int, features: int) -> tuple[str, str]:
    """A generated dataset taken in: the storage's folder and the dataset's id."""
    from devstack.generate import generate
    from schemas.manifests import DatasetManifest
    from storage.objects.files import Storage
    from storage.tables.datasets import DatasetOptions, ingest

    generate(folder / "rows.csv", rows=rows, features=features)
    storage = Storage(f"file://{folder}").initialise()
    made = ingest(
        storage,
        folder / "rows.csv",
        file_name="rows.csv",
        workspace="benchmark",
        options=DatasetOptions(),
        sha256="0" * 64,
    )
    assert isinstance(made, DatasetManifest), made
    return str(folder), made.dataset_id


def arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)


def main(given: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, return what the report needs."""
    with tempfile.TemporaryDirectory() as folder:
        storage, dataset = prepare(Path(folder), given.rows, given.features)
        found = compare("benchmarks.split", list(CONTESTANTS), given.rounds, storage=storage, dataset=dataset)
    title = f"Split of {given.rows:,} rows, {given.features} features"
    shown = table(found)
    print(f"{title}\n\n{shown}\n", flush=True)
    return {"sizes": {title: found}, "tables": {title: shown}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    arguments(parser)
    main(parser.parse_args())
