"""Splits: three sets of a dataset by time, each a Parquet file of its own, rows in time order, ties in file order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.ids import new_id
from schemas.manifests import DatasetManifest, DateRange, Notice, SetManifest, SplitManifest
from storage.errors import StorageProblem, rows_text
from storage.objects.files import Storage
from storage.tables.columns import unknown_column
from storage.tables.csv_reader import sink
from storage.tables.datasets import row_id, row_label, row_time
from storage.tables.names import column
from storage.tables.ranges import NAMES, DateRanges, Name, check_ranges, show
from storage.tables.times import instant, microseconds

DAY_US = 86_400_000_000
SHARES = (0.6, 0.2)
"""Of the rows for training and for testing, in a suggested split; the rest is for simulation."""
CELLS_SORTED_AT_ONCE = 40_000_000
"""How much of a set is put in time order in memory."""
Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RowFacts:
    """Of every row in file order: time (UTC microseconds since 1970), whether it has one, whether it has a label,
    whether it FAILed."""

    times: Times
    timed: Flags
    labelled: Flags
    fails: Flags


@dataclass(frozen=True, slots=True)
class SetSize:
    """How many rows a set has, and how many of them FAILed."""

    rows: int
    failures: int


def split(
    storage: Storage,
    dataset: DatasetManifest,
    ranges: DateRanges,
    *,
    sample_fraction: float = 1.0,
    seed: int = 0,
    exclude: Sequence[str] = (),
    cells_sorted_at_once: int = CELLS_SORTED_AT_ONCE,
) -> SplitManifest | list[StorageProblem]:
    """Write the three sets and their manifest; return all problems when there are any, with nothing written.

    A `sample_fraction` below 1 keeps that share of each class of each set, at least one row. A row without a label is
    in the simulation set alone, one without a time in none. The features of `exclude` are in none of the sets. Raises
    `StorageUnavailable`."""
    features = [name for name in dataset.features if name not in exclude]
    problems = check_ranges(ranges, dataset.first_timestamp, dataset.last_timestamp) + check_excluded(dataset, exclude)
    if problems:
        return problems
    facts = row_facts(storage, dataset)
    fails = facts.fails
    ranges_by_name: dict[Name, DateRange] = {name: getattr(ranges, name) for name in NAMES}
    chosen = {name: _choose(facts, name, range_, sample_fraction, seed) for name, range_ in ranges_by_name.items()}
    counts = {name: SetSize(len(rows), int(fails[rows].sum())) for name, rows in chosen.items()}
    problems = check_sets(ranges_by_name, counts)
    if problems:
        return problems
    split_id = new_id("split")
    folder = f"splits/{split_id}"
    sets = {
        name: SetManifest(
            path=f"{folder}/{name}.parquet", range=ranges_by_name[name], rows=len(rows), failures=int(fails[rows].sum())
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
        daily_distribution=daily_distribution(facts.times[facts.timed]),
        excluded=[name for name in dataset.features if name in exclude],
        notices=set_notices(facts, ranges_by_name, counts),
        **sets,
    )
    with storage.scratch() as scratch:
        target = scratch / split_id
        target.mkdir()
        for name, rows in chosen.items():
            _write_set(storage, dataset, features, rows, target / f"{name}.parquet", cells_sorted_at_once)
        (target / "manifest.json").write_text(manifest.model_dump_json(indent=2))
        storage.put_folder(target, folder)
    return manifest


def suggest(storage: Storage, dataset: DatasetManifest) -> DateRanges | list[StorageProblem]:
    """Ranges that share the rows out by `SHARES` in time order. Rows of one instant stay together, so it takes three
    instants at least."""
    facts = row_facts(storage, dataset)
    times = np.sort(facts.times[facts.timed])
    starts = np.flatnonzero(np.diff(times, prepend=times[0] - 1))  # the first row of each instant
    if len(starts) < 3:
        message = f"The data holds {len(starts)} different times; a split needs at least 3."
        return [StorageProblem("too_few_times", "dataset_id", message, {"distinct": len(starts)})]
    test = _nearest(starts[1:-1], SHARES[0] * len(times))
    simulation = _nearest(starts[starts > test], sum(SHARES) * len(times))
    return DateRanges(
        train=_range(times[0], times[test - 1]),
        test=_range(times[test], times[simulation - 1]),
        simulation=_range(times[simulation], times[-1]),
    )


def daily_distribution(times: Times) -> dict[str, int]:
    """Rows by UTC day, days without rows left out."""
    days, counts = np.unique(times // DAY_US, return_counts=True)
    return {instant(day * DAY_US).date().isoformat(): int(count) for day, count in zip(days, counts, strict=True)}


def row_facts(storage: Storage, dataset: DatasetManifest) -> RowFacts:
    """Time and label of every row in file order. Reads two columns, or three."""
    lazy = pl.scan_parquet(storage.local(dataset.path)).with_row_index("__index__")
    frame = lazy.select(row_time(dataset).cast(pl.Int64).alias("time"), row_label(dataset).alias("label")).collect()
    time, label = frame["time"], frame["label"]
    return RowFacts(
        time.fill_null(0).to_numpy(),
        time.is_not_null().to_numpy(),
        label.is_not_null().to_numpy(),
        (label == "FAIL").fill_null(False).to_numpy(),
    )


def labelled_rows(storage: Storage, dataset: DatasetManifest) -> tuple[Rows, Times, Flags]:
    """The numbers, times and failures of the rows that may be learnt from: those with a label and a time."""
    facts = row_facts(storage, dataset)
    rows = np.flatnonzero(facts.timed & facts.labelled)
    return rows, facts.times[rows], facts.fails[rows]


def check_excluded(dataset: DatasetManifest, exclude: Sequence[str]) -> list[StorageProblem]:
    """What is wrong with leaving these columns out."""
    known = {one.name for one in dataset.columns}
    problems = [unknown_column("exclude", name, list(known)) for name in exclude if name not in known]
    if dataset.features and not set(dataset.features) - set(exclude):
        problems.append(
            StorageProblem(
                "features_missing", "exclude", "Every feature is excluded: nothing is left to learn from.", {}
            )
        )
    return problems


def set_notices(facts: RowFacts, ranges: Mapping[Name, DateRange], counts: Mapping[Name, SetSize]) -> list[Notice]:
    """What a person should know of sets that are no problem: one without failures, rows left out of training for want
    of a label."""
    notices = []
    for name, count in counts.items():
        if count.rows and not count.failures and name != "train":
            message = f"The {name} range holds no failures: figures about finding them say nothing there."
            notices.append(Notice(code="set_without_failures", message=message, count=0))
        without = int((_inside(facts, ranges[name]) & ~facts.labelled).sum())
        if without:
            what = "simulated, and not counted as right or wrong" if name == "simulation" else f"not in the {name} set"
            notices.append(
                Notice(
                    code="unlabelled",
                    message=f"{rows_text(without)} of the {name} range have no label: {what}.",
                    count=without,
                )
            )
    if missing := int((~facts.timed).sum()):
        notices.append(
            Notice(
                code="rows_without_time", message=f"{rows_text(missing)} have no time and are in no set.", count=missing
            )
        )
    return notices


def _inside(facts: RowFacts, range_: DateRange) -> Flags:
    found: Flags = facts.timed & (facts.times >= microseconds(range_.start)) & (facts.times <= microseconds(range_.end))
    return found


def _nearest(candidates: Rows, wanted: float) -> int:
    return int(candidates[np.abs(candidates - wanted).argmin()])


def _range(start: int, end: int) -> DateRange:
    return DateRange(start=instant(start), end=instant(end))


def _choose(facts: RowFacts, name: Name, range_: DateRange, fraction: float, seed: int) -> Rows:
    """Row numbers of a set, in time order, ties in file order."""
    wanted = _inside(facts, range_)
    inside = np.flatnonzero(wanted if name == "simulation" else wanted & facts.labelled)
    if fraction < 1 and len(inside):
        generator = np.random.default_rng(seed)
        classes = [inside[facts.fails[inside] == fail] for fail in (False, True)]
        kept = [
            generator.choice(rows, max(1, round(fraction * len(rows))), replace=False) for rows in classes if len(rows)
        ]
        inside = np.sort(np.concatenate(kept))
    return inside[np.argsort(facts.times[inside], kind="stable")]


def check_sets(ranges: Mapping[Name, DateRange], counts: Mapping[Name, SetSize]) -> list[StorageProblem]:
    """What is wrong with sets of these sizes."""
    problems = [
        StorageProblem(
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
            StorageProblem(
                "train_one_class",
                "train_start_date",
                f"The training range holds only {word} rows: a model needs both.",
                {"label": word},
            )
        )
    return problems


def count_sets(
    storage: Storage, dataset: DatasetManifest, ranges: Mapping[Name, DateRange]
) -> tuple[dict[Name, SetSize], int]:
    """How many rows and failures lie in each range, and how many rows in none. Reads two columns with flat memory."""
    time, failed = pl.col("time"), pl.col("fail")
    inside = {
        name: time.is_between(range_.start, range_.end).fill_null(False)
        & (pl.lit(name == "simulation") | pl.col("labelled"))
        for name, range_ in ranges.items()
    }
    lazy = pl.scan_parquet(storage.local(dataset.path)).with_row_index("__index__")
    sums = [
        *(held.sum().alias(f"{name}_rows") for name, held in inside.items()),
        *((held & failed).sum().alias(f"{name}_failures") for name, held in inside.items()),
        (pl.len().cast(pl.Int64) - pl.any_horizontal(False, *inside.values()).sum()).alias("outside"),
    ]
    label = row_label(dataset)
    rows = lazy.select(
        row_time(dataset).alias("time"),
        (label == "FAIL").fill_null(False).alias("fail"),
        label.is_not_null().alias("labelled"),
    )
    found = rows.select(sums).collect(engine="streaming").row(0, named=True)
    return {name: SetSize(found[f"{name}_rows"], found[f"{name}_failures"]) for name in ranges}, found["outside"]


def _write_set(
    storage: Storage,
    dataset: DatasetManifest,
    features: Sequence[str],
    rows: Rows,
    target: Path,
    cells_sorted_at_once: int,
) -> None:
    """Write the rows, given in time order. Memory stays flat; a file that is not in time order is read once for each
    part of the set."""
    lazy = pl.scan_parquet(storage.local(dataset.path), row_index_name="__index__")
    columns = (
        pl.col("__index__"),
        row_id(dataset).alias("__id__"),
        row_time(dataset).alias("__time__"),
        row_label(dataset).alias("__label__"),
        *(column(name) for name in features),
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
