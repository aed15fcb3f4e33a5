"""Splits: the sets hold exactly the rows of their ranges, whatever the order of the file."""

import hashlib
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from schemas.manifests import DatasetManifest, DateRange, SplitManifest
from storage.errors import StorageProblem
from storage.objects.files import Storage
from storage.tables.datasets import DatasetOptions, ingest
from storage.tables.ranges import NAMES, DateRanges, check_ranges
from storage.tables.splits import SetSize, check_sets, count_sets, split, suggest

START = datetime(2021, 1, 1, tzinfo=UTC)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(f"file://{tmp_path}/storage").initialise()


def take_in(storage: Storage, upload: Path) -> DatasetManifest:
    sha256 = hashlib.sha256(upload.read_bytes()).hexdigest()
    found = ingest(storage, upload, file_name="rows.csv", workspace="tests", options=DatasetOptions(), sha256=sha256)
    assert isinstance(found, DatasetManifest), found
    return found


def made(found: SplitManifest | list[StorageProblem]) -> SplitManifest:
    assert isinstance(found, SplitManifest), found
    return found


def ranges(*ends: datetime) -> DateRanges:
    return DateRanges(*(DateRange(start=start, end=end) for start, end in zip(ends[::2], ends[1::2], strict=True)))


def suggested(storage: Storage, dataset: DatasetManifest) -> DateRanges:
    found = suggest(storage, dataset)
    assert isinstance(found, DateRanges), found
    return found


def write(path: Path, rows: list[tuple[int, int]]) -> Path:
    """A file of (second, label) rows; the feature is the row number."""
    lines = [
        f"{(START + timedelta(seconds=second)).isoformat()},p{row},{row},{label}"
        for row, (second, label) in enumerate(rows)
    ]
    path.write_text("Time,Id,f,Response\n" + "\n".join(lines) + "\n")
    return path


def sets(storage: Storage, manifest: SplitManifest) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(storage.local(getattr(manifest, name).path)) for name in NAMES}


@pytest.mark.parametrize(
    "ends",
    [
        ("2008-07-19", "2008-09-10", "2008-09-11", "2008-09-30", "2008-10-01", "2008-10-17"),
        ("2008-08-01", "2008-08-31", "2008-09-01", "2008-09-02", "2008-10-10", "2008-10-12"),
        (
            "2008-07-19 12:32",
            "2008-09-20 12:27",
            "2008-09-20 12:36",
            "2008-10-02 22:33",
            "2008-10-02 23:32",
            "2008-10-17 06:07",
        ),
    ],
)
def test_the_sets_of_secom_are_those_that_pandas_counts(
    ends: tuple[str, ...], storage: Storage, secom_csv: Path
) -> None:
    dataset = take_in(storage, secom_csv)
    instants = [pd.Timestamp(text, tz="UTC") for text in ends]
    whole_day = pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)
    instants = [at + whole_day if index % 2 and len(ends[index]) == 10 else at for index, at in enumerate(instants)]
    bounds = [at.to_pydatetime() for at in instants]
    bounds[0], bounds[-1] = max(bounds[0], dataset.first_timestamp), min(bounds[-1], dataset.last_timestamp)
    found = made(split(storage, dataset, ranges(*bounds)))
    reference = pd.read_csv(secom_csv)
    times = pd.to_datetime(reference["Time"], utc=True)
    for name, start, end in zip(NAMES, instants[::2], instants[1::2], strict=True):
        inside = reference[(times >= start) & (times <= end)]
        one = getattr(found, name)
        assert (one.rows, one.failures) == (len(inside), int((inside["Pass/Fail"] == 1).sum()))
        stored = sets(storage, found)[name]
        assert stored["__index__"].to_list() == inside.index.to_list()
        assert stored["3"].to_list() == [None if pd.isna(value) else value for value in inside["3"]]
    by_day = times.dt.strftime("%Y-%m-%d").value_counts().to_dict()
    assert found.daily_distribution == by_day


def test_a_set_has_the_columns_that_everyone_relies_on(storage: Storage, tmp_path: Path) -> None:
    dataset = take_in(storage, write(tmp_path / "rows.csv", [(second, second % 2) for second in range(10)]))
    found = made(split(storage, dataset, suggested(storage, dataset)))
    frame = sets(storage, found)["test"]
    schema = {
        "__index__": pl.UInt32,
        "__id__": pl.String,
        "__time__": pl.Datetime("us", "UTC"),
        "__label__": pl.String,
        "f": pl.Float64,
    }
    assert dict(frame.schema) == schema
    assert frame.row(0) == (6, "p6", START + timedelta(seconds=6), "PASS", 6.0)
    assert SplitManifest.model_validate_json(storage.read_bytes(f"splits/{found.split_id}/manifest.json")) == found


@pytest.mark.parametrize("cells_sorted_at_once", [1_000_000, 300])
def test_rows_come_in_time_order_with_ties_in_file_order(
    cells_sorted_at_once: int, storage: Storage, tmp_path: Path
) -> None:
    shuffled = random.Random(1)
    rows = [(shuffled.randrange(60), shuffled.randrange(2)) for _ in range(500)]
    dataset = take_in(storage, write(tmp_path / "rows.csv", rows))
    found = made(split(storage, dataset, suggested(storage, dataset), cells_sorted_at_once=cells_sorted_at_once))
    frames = sets(storage, found)
    assert {path.name for path in storage.local(found.train.path).parent.iterdir()} == {
        "manifest.json",
        "train.parquet",
        "test.parquet",
        "simulation.parquet",
    }
    order = sorted(range(len(rows)), key=lambda row: rows[row][0])
    assert [index for name in NAMES for index in frames[name]["__index__"]] == order
    assert [value for name in NAMES for value in frames[name]["f"]] == order


@pytest.mark.parametrize(
    "seconds", [[0, 1, 2], [0] * 50 + [1] * 3 + [2], [0, 1] + [2] * 90, list(range(100)), [0, 5, 5, 5, 5, 9, 9, 12]]
)
def test_suggested_sets_never_share_an_instant_and_cover_all_rows(
    seconds: list[int], storage: Storage, tmp_path: Path
) -> None:
    rows = [(second, row % 2) for row, second in enumerate(seconds)]
    dataset = take_in(storage, write(tmp_path / "rows.csv", rows))
    found = suggested(storage, dataset)
    assert check_ranges(found, dataset.first_timestamp, dataset.last_timestamp) == []
    counts = [
        sum(one.start <= START + timedelta(seconds=second) <= one.end for second in seconds)
        for one in (found.train, found.test, found.simulation)
    ]
    assert sum(counts) == len(seconds)
    assert min(counts) >= 1
    if len(set(seconds)) == len(seconds) == 100:
        assert counts == [60, 20, 20]


def test_a_sample_keeps_the_share_of_each_class_and_is_the_same_for_a_seed(storage: Storage, tmp_path: Path) -> None:
    dataset = take_in(
        storage, write(tmp_path / "rows.csv", [(second, int(second % 10 == 0)) for second in range(1_000)])
    )
    first, again, other = (
        sets(storage, made(split(storage, dataset, suggested(storage, dataset), sample_fraction=0.25, seed=seed)))
        for seed in (1, 1, 2)
    )
    assert first["train"].equals(again["train"])
    assert not first["train"].equals(other["train"])
    assert first["train"]["__label__"].value_counts(sort=True).rows() == [("PASS", 135), ("FAIL", 15)]
    assert first["train"]["__time__"].is_sorted()


def test_synthetic_times_split_to_the_row(storage: Storage, tmp_path: Path) -> None:
    upload = tmp_path / "rows.csv"
    upload.write_text("f,Response\n" + "".join(f"{row},{row % 2}\n" for row in range(100)))
    at = [START + timedelta(seconds=second) for second in (0, 49, 50, 50, 51, 99)]
    found = made(split(storage, take_in(storage, upload), ranges(*at)))
    assert (found.train.rows, found.test.rows, found.simulation.rows) == (50, 1, 49)
    assert sets(storage, found)["test"]["__id__"].to_list() == ["51"]


def test_sets_without_rows_and_a_training_set_of_one_class_are_problems_together(
    storage: Storage, tmp_path: Path
) -> None:
    dataset = take_in(storage, write(tmp_path / "rows.csv", [(0, 0), (1, 0), (10, 1), (20, 0)]))
    at = [START + timedelta(seconds=second) for second in (0, 5, 6, 7, 15, 16)]
    found = split(storage, dataset, ranges(*at))
    assert isinstance(found, list)
    assert [one.code for one in found] == ["set_empty", "set_empty", "train_one_class"]
    assert "only PASS rows" in found[2].message
    assert not storage.exists("splits")


def test_ranges_that_do_not_fit_are_problems(storage: Storage, tmp_path: Path) -> None:
    dataset = take_in(storage, write(tmp_path / "rows.csv", [(second, second % 2) for second in range(10)]))
    at = [START + timedelta(seconds=second) for second in (-1, 5, 5, 7, 8, 9)]
    found = split(storage, dataset, ranges(*at))
    assert isinstance(found, list)
    assert [one.code for one in found] == ["date_overlap", "date_bounds"]


def test_sets_are_counted_without_a_split(storage: Storage, tmp_path: Path) -> None:
    dataset = take_in(
        storage, write(tmp_path / "rows.csv", [(second % 50, int(second % 5 == 0)) for second in range(100)])
    )
    first, last = START, START + timedelta(seconds=9)
    counts, outside = count_sets(
        storage, dataset, {"train": DateRange(start=first, end=last), "test": DateRange(start=last, end=last)}
    )
    assert counts == {"train": SetSize(20, 4), "test": SetSize(2, 0)}
    assert outside == 80
    assert count_sets(storage, dataset, {}) == ({}, 100)


def test_a_training_set_of_one_class_and_an_empty_set_are_problems() -> None:
    range_ = DateRange(start=START, end=START)
    found = check_sets({"train": range_, "test": range_}, {"train": SetSize(3, 3), "test": SetSize(0, 0)})
    assert [problem.code for problem in found] == ["set_empty", "train_one_class"]
