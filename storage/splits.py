"""Splits: three sets of a dataset by time, each a Parquet file of its own, rows in time order, ties in file order."""

import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.ids import new_id
from schemas.manifests import DatasetManifest, DateRange, SetManifest, SplitManifest
from storage.datasets import row_id, row_label, row_time
from storage.errors import Problem
from storage.files import Storage
from storage.ranges import NAMES, Ranges, check_ranges, show

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000
Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def split(
    storage: Storage, dataset: DatasetManifest, ranges: Ranges, *, sample_fraction: float = 1.0, seed: int = 0
) -> SplitManifest | list[Problem]:
    """Write the three sets and their manifest; return all problems when there are any, with nothing written."""
    problems = check_ranges(ranges, dataset.first_timestamp, dataset.last_timestamp)
    if problems:
        return problems
    times, fails = times_and_fails(storage, dataset)
    chosen = {name: _choose(times, fails, getattr(ranges, name), sample_fraction, seed) for name in NAMES}
    problems = _check_sets(ranges, {name: fails[rows] for name, rows in chosen.items()})
    if problems:
        return problems
    split_id = new_id("split")
    sets = {
        name: SetManifest(
            path=f"splits/{split_id}/{name}.parquet", range=getattr(ranges, name), rows=len(rows), failures=int(fails[rows].sum())
        )
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
    with storage.scratch() as folder:
        target = folder / "split"
        target.mkdir()
        for name, rows in chosen.items():
            wanted = pl.LazyFrame({"__index__": rows}, schema={"__index__": pl.UInt32})
            _rows(storage, dataset).join(wanted, on="__index__", how="semi").sort("__time__", "__index__").sink_parquet(
                target / f"{name}.parquet"
            )
        (target / "manifest.json").write_text(manifest.model_dump_json(indent=2))
        storage.put_folder(target, f"splits/{split_id}")
        shutil.rmtree(target, ignore_errors=True)
    return manifest


def suggest(storage: Storage, dataset: DatasetManifest, *, shares: tuple[float, float] = (0.6, 0.2)) -> Ranges:
    """Ranges with 60 % of the rows for training, 20 % for testing, 20 % for simulation by time; rows of one instant stay together."""
    times, _ = times_and_fails(storage, dataset)
    times = np.sort(times)
    first_of_instant = np.flatnonzero(np.diff(times, prepend=times[0] - 1))
    test = _nearest(first_of_instant[1:-1], shares[0] * len(times))
    simulation = _nearest(first_of_instant[first_of_instant > test], (shares[0] + shares[1]) * len(times))
    return Ranges(
        train=_range(times[0], times[test - 1]),
        test=_range(times[test], times[simulation - 1]),
        simulation=_range(times[simulation], times[-1]),
    )


def daily_distribution(times: Times) -> dict[str, int]:
    """Rows by UTC day, days without rows left out."""
    days, counts = np.unique(times // DAY_US, return_counts=True)
    return {(EPOCH + timedelta(days=int(day))).date().isoformat(): int(count) for day, count in zip(days, counts, strict=True)}


def _nearest(candidates: npt.NDArray[np.int64], wanted: float) -> int:
    return int(candidates[np.abs(candidates - wanted).argmin()])


def _range(start: int, end: int) -> DateRange:
    return DateRange(start=EPOCH + timedelta(microseconds=int(start)), end=EPOCH + timedelta(microseconds=int(end)))


def _microseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def times_and_fails(storage: Storage, dataset: DatasetManifest) -> tuple[Times, Flags]:
    """Time of each row in microseconds since 1970, and whether it is FAIL, in file order."""
    lazy = pl.scan_parquet(storage.local(dataset.path)).with_row_index("__index__")
    frame = lazy.select(row_time(dataset).cast(pl.Int64).alias("time"), (row_label(dataset) == "FAIL").alias("fail")).collect()
    return frame["time"].to_numpy(), frame["fail"].to_numpy()


def _choose(times: Times, fails: Flags, range_: DateRange, fraction: float, seed: int) -> npt.NDArray[np.int64]:
    """Row numbers of a set, ascending; of each class the same fraction, at least one row."""
    inside = np.flatnonzero((times >= _microseconds(range_.start)) & (times <= _microseconds(range_.end)))
    if fraction >= 1:
        return inside
    generator = np.random.default_rng(seed)
    parts = [inside[fails[inside] == fail] for fail in (False, True)]
    kept = [generator.choice(part, max(1, round(fraction * len(part))), replace=False) for part in parts if len(part)]
    return np.sort(np.concatenate(kept)) if kept else inside


def _check_sets(ranges: Ranges, fails: dict[str, Flags]) -> list[Problem]:
    problems = [
        Problem(
            "set_empty",
            f"{name}_start_date",
            f"The {name} range holds no rows: {show(getattr(ranges, name).start)} to {show(getattr(ranges, name).end)}.",
            {"name": name},
        )
        for name in NAMES
        if not len(fails[name])
    ]
    train = fails["train"]
    if len(train) and train.all() == train.any():
        word = "FAIL" if train[0] else "PASS"
        problems.append(
            Problem(
                "train_one_class", "train_start_date", f"The training range holds only {word} rows: a model needs both.", {"label": word}
            )
        )
    return problems


def _rows(storage: Storage, dataset: DatasetManifest) -> pl.LazyFrame:
    """All rows of a dataset with the columns of a set."""
    return (
        pl.scan_parquet(storage.local(dataset.path))
        .with_row_index("__index__")
        .select(
            pl.col("__index__"),
            row_id(dataset).alias("__id__"),
            row_time(dataset).alias("__time__"),
            row_label(dataset).alias("__label__"),
            *(pl.col(name) for name in dataset.features),
        )
    )
