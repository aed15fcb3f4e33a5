"""Splits: three sets of a dataset by time, each a Parquet file of its own, rows in time order, ties in file order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.ids import new_id
from schemas.manifests import DatasetManifest, DateRange, SetManifest, SplitManifest
from storage.csv_reader import sink
from storage.datasets import row_id, row_label, row_time
from storage.errors import Problem
from storage.files import Storage
from storage.ranges import NAMES, Name, Ranges, check_ranges, show
from storage.times import instant, microseconds

DAY_US = 86_400_000_000
SHARES = (0.6, 0.2)
"""Of the rows for training and for testing, in a suggested split; the rest is for simulation."""
CELLS_SORTED_AT_ONCE = 40_000_000
"""How much of a set is put in time order in memory."""
Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SetCount:
    """How many rows a set has, and how many of them FAILed."""

    rows: int
    failures: int


def split(
    storage: Storage,
    dataset: DatasetManifest,
    ranges: Ranges,
    *,
    sample_fraction: float = 1.0,
    seed: int = 0,
    cells_sorted_at_once: int = CELLS_SORTED_AT_ONCE,
) -> SplitManifest | list[Problem]:
    """Write the three sets and their manifest; return all problems when there are any, with nothing written.

    A `sample_fraction` below 1 keeps that share of each class of each set, at least one row. Raises `StorageUnavailable`.
    """
    problems = check_ranges(ranges, dataset.first_timestamp, dataset.last_timestamp)
    if problems:
        return problems
    times, fails = times_and_fails(storage, dataset)
    ranges_by_name: dict[Name, DateRange] = {name: getattr(ranges, name) for name in NAMES}
    chosen = {name: _choose(times, fails, range_, sample_fraction, seed) for name, range_ in ranges_by_name.items()}
    problems = check_sets(ranges_by_name, {name: SetCount(len(rows), int(fails[rows].sum())) for name, rows in chosen.items()})
    if problems:
        return problems
    split_id = new_id("split")
    folder = f"splits/{split_id}"
    sets = {
        name: SetManifest(path=f"{folder}/{name}.parquet", range=ranges_by_name[name], rows=len(rows), failures=int(fails[rows].sum()))
        for name, rows in chosen.items()
    }
    manifest = SplitManifest(
        split_id=split_id,
        dataset_id=dataset.dataset_id,
        workspace=dataset.workspace,
        created_at=datetime.now(UTC),
        sample_fraction=sample_fraction,
        seed=seed,
        daily_distribution=daily_distribution(times),
        **sets,
    )
    with storage.scratch() as scratch:
        target = scratch / split_id
        target.mkdir()
        for name, rows in chosen.items():
            _write_set(storage, dataset, rows, target / f"{name}.parquet", cells_sorted_at_once)
        (target / "manifest.json").write_text(manifest.model_dump_json(indent=2))
        storage.put_folder(target, folder)
    return manifest


def suggest(storage: Storage, dataset: DatasetManifest) -> Ranges | list[Problem]:
    """Ranges that share the rows out by `SHARES` in time order. Rows of one instant stay together, so it takes three instants at least."""
    times, _ = times_and_fails(storage, dataset)
    times = np.sort(times)
    starts = np.flatnonzero(np.diff(times, prepend=times[0] - 1))  # the first row of each instant
    if len(starts) < 3:
        message = f"The data holds {len(starts)} different times; a split needs at least 3."
        return [Problem("too_few_times", "dataset_id", message, {"distinct": len(starts)})]
    test = _nearest(starts[1:-1], SHARES[0] * len(times))
    simulation = _nearest(starts[starts > test], sum(SHARES) * len(times))
    return Ranges(
        train=_range(times[0], times[test - 1]),
        test=_range(times[test], times[simulation - 1]),
        simulation=_range(times[simulation], times[-1]),
    )


def daily_distribution(times: Times) -> dict[str, int]:
    """Rows by UTC day, days without rows left out."""
    days, counts = np.unique(times // DAY_US, return_counts=True)
    return {instant(day * DAY_US).date().isoformat(): int(count) for day, count in zip(days, counts, strict=True)}


def times_and_fails(storage: Storage, dataset: DatasetManifest) -> tuple[Times, Flags]:
    """Time (UTC microseconds since 1970) and whether it FAILed, of every row in file order. Reads two columns at most."""
    lazy = pl.scan_parquet(storage.local(dataset.path)).with_row_index("__index__")
    frame = lazy.select(row_time(dataset).cast(pl.Int64).alias("time"), (row_label(dataset) == "FAIL").alias("fail")).collect()
    return frame["time"].to_numpy(), frame["fail"].to_numpy()


def _nearest(candidates: Rows, wanted: float) -> int:
    return int(candidates[np.abs(candidates - wanted).argmin()])


def _range(start: int, end: int) -> DateRange:
    return DateRange(start=instant(start), end=instant(end))


def _choose(times: Times, fails: Flags, range_: DateRange, fraction: float, seed: int) -> Rows:
    """Row numbers of a set, in time order, ties in file order."""
    inside = np.flatnonzero((times >= microseconds(range_.start)) & (times <= microseconds(range_.end)))
    if fraction < 1 and len(inside):
        generator = np.random.default_rng(seed)
        classes = [inside[fails[inside] == fail] for fail in (False, True)]
        kept = [generator.choice(rows, max(1, round(fraction * len(rows))), replace=False) for rows in classes if len(rows)]
        inside = np.sort(np.concatenate(kept))
    return inside[np.argsort(times[inside], kind="stable")]


def check_sets(ranges: Mapping[Name, DateRange], counts: Mapping[Name, SetCount]) -> list[Problem]:
    """What is wrong with sets of these sizes."""
    problems = [
        Problem(
            "set_empty",
            f"{name}_start_date",
            f"The {name} range holds no rows: {show(ranges[name].start)} to {show(ranges[name].end)}.",
            {"name": name},
        )
        for name, count in counts.items()
        if not count.rows
    ]
    train = counts.get("train")
    if train and train.rows and train.failures in (0, train.rows):
        word = "FAIL" if train.failures else "PASS"
        problems.append(
            Problem(
                "train_one_class", "train_start_date", f"The training range holds only {word} rows: a model needs both.", {"label": word}
            )
        )
    return problems


def count_sets(storage: Storage, dataset: DatasetManifest, ranges: Mapping[Name, DateRange]) -> tuple[dict[Name, SetCount], int]:
    """How many rows and failures lie in each range, and how many rows in none. Reads two columns with flat memory."""
    time, failed = pl.col("time"), pl.col("fail")
    inside = {name: time.is_between(range_.start, range_.end) for name, range_ in ranges.items()}
    lazy = pl.scan_parquet(storage.local(dataset.path)).with_row_index("__index__")
    sums = [
        *(held.sum().alias(f"{name}_rows") for name, held in inside.items()),
        *((held & failed).sum().alias(f"{name}_failures") for name, held in inside.items()),
        (pl.len().cast(pl.Int64) - pl.any_horizontal(False, *inside.values()).sum()).alias("outside"),
    ]
    rows = lazy.select(row_time(dataset).alias("time"), (row_label(dataset) == "FAIL").alias("fail"))
    found = rows.select(sums).collect(engine="streaming").row(0, named=True)
    return {name: SetCount(found[f"{name}_rows"], found[f"{name}_failures"]) for name in ranges}, found["outside"]


def _write_set(storage: Storage, dataset: DatasetManifest, rows: Rows, target: Path, cells_sorted_at_once: int) -> None:
    """Write the rows, given in time order. Memory stays flat; a file that is not in time order is read once for each part of the set."""
    lazy = pl.scan_parquet(storage.local(dataset.path), row_index_name="__index__")
    columns = (
        pl.col("__index__"),
        row_id(dataset).alias("__id__"),
        row_time(dataset).alias("__time__"),
        row_label(dataset).alias("__label__"),
        *(pl.col(name) for name in dataset.features),
    )
    if (np.diff(rows) > 0).all():
        sink(_pick(lazy, rows).select(columns), target, len(columns))
        return
    size = 1 + cells_sorted_at_once // len(columns)
    parts = [target.with_name(f"{target.stem}-part-{start}.parquet") for start in range(0, len(rows), size)]
    for number, part in enumerate(parts):
        chosen = np.sort(rows[number * size : (number + 1) * size])
        sink(_pick(lazy, chosen).select(columns).sort("__time__", "__index__"), part, len(columns))
    sink(pl.scan_parquet(parts), target, len(columns))
    for part in parts:
        part.unlink()


def _pick(lazy: pl.LazyFrame, rows: Rows) -> pl.LazyFrame:
    """The rows of these ascending numbers, in file order."""
    span = lazy.slice(int(rows[0]), int(rows[-1] - rows[0]) + 1)
    if len(rows) == rows[-1] - rows[0] + 1:
        return span
    return span.filter(pl.col("__index__").is_in(pl.Series(rows, dtype=pl.UInt32).implode()))
