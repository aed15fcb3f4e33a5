"""Datasets: settings with their reasons, content stored once, nothing left behind when refused."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from schemas.manifests import DatasetManifest, LabelCounts
from storage.errors import StorageProblem
from storage.objects.files import Storage
from storage.tables.datasets import DatasetOptions, ingest, preview
from storage.tables.splits import suggest


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(f"file://{tmp_path}/storage").initialise()


def take_in(storage: Storage, tmp_path: Path, text: str, **options: Any) -> DatasetManifest | list[StorageProblem]:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    upload = tmp_path / f"{uuid.uuid4()}.upload"
    upload.write_text(text)
    return ingest(
        storage, upload, file_name="rows.csv", workspace="tests", options=DatasetOptions(**options), sha256=sha256
    )


def dataset_of(storage: Storage, tmp_path: Path, text: str, **options: Any) -> DatasetManifest:
    found = take_in(storage, tmp_path, text, **options)
    assert isinstance(found, DatasetManifest), found
    return found


def problems_of(storage: Storage, tmp_path: Path, text: str, **options: Any) -> list[StorageProblem]:
    found = take_in(storage, tmp_path, text, **options)
    assert isinstance(found, list)
    assert files(storage) == []
    return found


def files(storage: Storage) -> list[str]:
    root = Path(storage.url.removeprefix("file://"))
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != "storage.json"
    )


BOSCH = "Id,L0_S0_F0,L0_S1_F2,Response\n4,0.5,,0\n6,0.1,2,1\n7,,,0\n"


def test_a_bosch_like_file_gets_synthetic_times(storage: Storage, tmp_path: Path) -> None:
    found = dataset_of(storage, tmp_path, BOSCH)
    assert (found.label.value, found.labels.pass_value, found.labels.pass_count, found.labels.fail_count) == (
        "Response",
        "0",
        2,
        1,
    )
    assert found.id_column is not None
    assert found.id_column.value == "Id"
    assert (found.time.column, found.time.synthetic, found.time.step_seconds) == ("synthetic_timestamp", True, 1.0)
    assert (found.first_timestamp, found.last_timestamp) == (
        datetime(2021, 1, 1, tzinfo=UTC),
        datetime(2021, 1, 1, 0, 0, 2, tzinfo=UTC),
    )
    assert (found.row_count, found.column_count, found.features) == (3, 4, ["L0_S0_F0", "L0_S1_F2"])
    assert [column.missing for column in found.columns] == [0, 1, 2, 0]
    assert found.columns[2].constant
    assert (
        DatasetManifest.model_validate_json(storage.read_bytes(f"datasets/{found.dataset_id}/manifest.json")) == found
    )


def test_the_preview_shows_a_synthetic_time_first(storage: Storage, tmp_path: Path) -> None:
    found = dataset_of(
        storage, tmp_path, BOSCH, synthetic_start=datetime(2022, 5, 1, tzinfo=UTC), synthetic_step_seconds=0.5
    )
    rows = preview(storage, found, 2)
    assert [list(row)[:2] for row in rows] == [["synthetic_timestamp", "Id"]] * 2
    assert rows[1] == {
        "synthetic_timestamp": "2022-05-01T00:00:00.500Z",
        "Id": "6",
        "L0_S0_F0": 0.1,
        "L0_S1_F2": 2.0,
        "Response": "1",
    }


def test_the_same_file_is_a_new_dataset_with_the_data_stored_once(storage: Storage, tmp_path: Path) -> None:
    first, second = dataset_of(storage, tmp_path, BOSCH), dataset_of(storage, tmp_path, BOSCH, pass_value="1")
    assert first.dataset_id != second.dataset_id
    assert first.path == second.path
    assert (second.labels.pass_value, second.labels.pass_count) == ("1", 1)
    assert len([path for path in files(storage) if path.endswith(".parquet")]) == 1


def test_the_same_file_at_the_same_time_is_safe(storage: Storage, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: take_in(storage, tmp_path, BOSCH), range(8)))
    datasets = [one for one in found if isinstance(one, DatasetManifest)]
    assert len({one.dataset_id for one in datasets}) == 8
    content = [datasets[0].path, datasets[0].path.replace("data.parquet", "content.json")]
    assert files(storage) == sorted([*content, *(f"datasets/{one.dataset_id}/manifest.json" for one in datasets)])


def test_a_stored_file_is_still_checked(storage: Storage, tmp_path: Path) -> None:
    dataset_of(storage, tmp_path, BOSCH)
    found = take_in(storage, tmp_path, BOSCH, label="nope", id_column="L0_S0_F0")
    assert isinstance(found, list)
    assert [one.code for one in found] == ["column_unknown"]
    found = take_in(storage, tmp_path, BOSCH, id_column="L0_S0_F0")
    assert isinstance(found, list)
    assert found[0].message == "The id column 'L0_S0_F0' is empty in 1 row, first in line 4."


def test_secom_is_read_as_it_is(storage: Storage, secom_csv: Path) -> None:
    reference = pd.read_csv(secom_csv)
    sha256 = hashlib.sha256(secom_csv.read_bytes()).hexdigest()
    found = ingest(
        storage, secom_csv, file_name="secom.csv", workspace="tests", options=DatasetOptions(), sha256=sha256
    )
    assert isinstance(found, DatasetManifest)
    fails = int((reference["Pass/Fail"] == 1).sum())
    assert (found.row_count, found.column_count) == reference.shape == (1547, 592)
    counts = {"pass_value": "-1", "fail_value": "1", "pass_count": 1547 - fails, "fail_count": fails}
    assert found.labels == LabelCounts.model_validate(counts)
    assert (found.label.value, found.label.detected, found.id_column) == ("Pass/Fail", True, None)
    assert (found.time.column, found.time.synthetic) == ("Time", False)
    times = pd.to_datetime(reference["Time"], utc=True)
    assert (found.first_timestamp, found.last_timestamp) == (times.min(), times.max())
    assert {column.name: column.missing for column in found.columns} == reference.isna().sum().to_dict()
    assert {column.name for column in found.columns if column.constant} == set(
        reference.columns[reference.nunique() <= 1]
    )
    assert found.features == [name for name in reference.columns[1:-1] if reference[name].notna().any()]
    stored = pl.read_parquet(storage.local(found.path))
    for name in reference.columns[1:-1]:
        assert stored[name].to_list() == [None if pd.isna(value) else value for value in reference[name]]


def test_the_real_secom_file_has_its_known_figures(storage: Storage, secom_csv: Path) -> None:
    sha256 = hashlib.sha256(secom_csv.read_bytes()).hexdigest()
    found = ingest(
        storage, secom_csv, file_name="secom.csv", workspace="tests", options=DatasetOptions(), sha256=sha256
    )
    assert isinstance(found, DatasetManifest)
    if (
        sha256 == "7f3f56e927ed37e1027f6df61e5561ba1f2e9034240f0982a919910ea911153e"
    ):  # /shared/data/secom/secom.csv; elsewhere a stand-in
        assert (found.labels.pass_count, found.labels.fail_count) == (1453, 94)
        assert found.first_timestamp == datetime(2008, 7, 19, 12, 32, tzinfo=UTC)
        assert found.last_timestamp == datetime(2008, 10, 17, 6, 7, tzinfo=UTC)
        assert sum(column.constant for column in found.columns) == 116
        assert sum(column.missing for column in found.columns) == 41_391


@pytest.mark.parametrize(
    ("header", "label", "passed"),
    [
        ("a,Response,target", "Response", "0"),
        ("target,a,LABEL", "LABEL", "0"),
        ("a,Machine failure,b", "Machine failure", "0"),
        ("a,PassOrFail,isOk", "isOk", "1"),
        ("is_ok,a,b", "is_ok", "1"),
    ],
)
def test_the_label_is_found_by_its_name(header: str, label: str, passed: str, storage: Storage, tmp_path: Path) -> None:
    options = {"label": label} if label == "isOk" else {}
    found = dataset_of(storage, tmp_path, f"{header}\n0,0,0\n1,1,1\n", **options)
    assert found.label.value == label
    assert found.labels.pass_value == passed
    assert repr(label) in found.label.reason or options


def test_a_candidate_with_two_values_is_preferred(storage: Storage, tmp_path: Path) -> None:
    assert dataset_of(storage, tmp_path, "a,label,class\n1,x,0\n2,y,1\n3,z,1\n").label.value == "class"


def test_given_settings_win(storage: Storage, tmp_path: Path) -> None:
    text = "Response,ok,serial,when,F\n0,yes,1.0,2021-01-02,5\n1,no,2.5,2021-01-01,6\n"
    found = dataset_of(storage, tmp_path, text, label="ok", id_column="F", time_column="synthetic_timestamp")
    assert (found.label.value, found.labels.pass_value, found.time.synthetic) == ("ok", "yes", True)
    assert found.id_column is not None
    assert (found.id_column.value, found.id_column.detected) == ("F", False)
    assert found.features == ["Response"]


@pytest.mark.parametrize(
    ("text", "column", "first"),
    [
        ("a,Response,Time\n1,0,2021-01-01\n2,1,2021-01-02\n", "Time", datetime(2021, 1, 1, tzinfo=UTC)),
        (
            "a,Response,x\n1,0,31/12/2020 10:00:00\n2,1,01/01/2021 00:00:00\n",
            "x",
            datetime(2020, 12, 31, 10, tzinfo=UTC),
        ),
        (
            "other,Response,a,time\n2020-01-01,0,1,2021-01-01\n2020-01-02,1,2,2021-01-02\n",
            "time",
            datetime(2021, 1, 1, tzinfo=UTC),
        ),
        (
            "timestamp,Response,a\n1600000000,0,1\n1600000060,1,2\n",
            "timestamp",
            datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC),
        ),
        (
            "synthetic_timestamp,Response,a\n2021-01-01T00:00:00Z,0,1\n2021-01-01T00:00:01Z,1,2\n",
            "synthetic_timestamp",
            datetime(2021, 1, 1, tzinfo=UTC),
        ),
    ],
)
def test_a_real_time_column_is_found(text: str, column: str, first: datetime, storage: Storage, tmp_path: Path) -> None:
    found = dataset_of(storage, tmp_path, text)
    assert (found.time.column, found.time.synthetic, found.first_timestamp) == (column, False, first)
    assert found.features == ["a"]


def test_numbers_named_time_that_are_no_times_are_asked_about_and_never_a_feature(
    storage: Storage, tmp_path: Path
) -> None:
    text = "time,a,Response\n1.5,1,0\n2.5,2,1\n"
    (problem,) = problems_of(storage, tmp_path, text)
    assert problem.code == "time_unreadable"
    assert all(
        words in problem.message
        for words in ("'1.5', '2.5'", "line 2", "time_format=", "time_column=synthetic_timestamp")
    )
    assert dataset_of(storage, tmp_path, text, time_column="synthetic_timestamp").features == ["a"]
    elapsed = dataset_of(storage, tmp_path, text, time_format="elapsed-s")
    assert elapsed.first_timestamp == datetime(2021, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "id_column"),
    [
        ("Id,a,Response\n1,1,0\n1,2,1\n", None),
        ("Id,a,Response\n1,1,0\n,2,1\n", None),
        ("serial,a,Response\nx,1,0\ny,2,1\n", "serial"),
        ("a,Product ID,Response\n1,M1,0\n2,M2,1\n", "Product ID"),
        ("a,b,Response\n1,1,0\n2,2,1\n", None),
    ],
)
def test_an_id_column_names_every_row_once(text: str, id_column: str | None, storage: Storage, tmp_path: Path) -> None:
    found = dataset_of(storage, tmp_path, text)
    assert (found.id_column.value if found.id_column else None) == id_column


def test_column_types_are_told(storage: Storage, tmp_path: Path) -> None:
    text = (
        "n,t,flag,when,none,odd,Response\n1,x,true,2021-01-01,,1,0\n2,y,False,2021-01-02,,2,1\n3,y,,2021-01-03,,q,1\n"
    )
    found = dataset_of(storage, tmp_path, text)
    types = {column.name: column.type for column in found.columns}
    expected = {
        "n": "numeric",
        "t": "text",
        "flag": "boolean",
        "when": "datetime",
        "none": "empty",
        "odd": "text",
        "Response": "numeric",
    }
    assert types == expected
    assert {column.name: column.reason for column in found.columns if column.reason} == {
        "t": "text: taken as a category",
        "flag": "yes/no: taken as a category",
        "odd": "no number in 1 of 3 rows, first 'q' in line 4",
        "when": "times, written as %Y-%m-%d",
        "Response": "the label",
    }


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("a,b\n1,2\n", {}, [("label_missing", "CSV must contain a 'Response' column.")]),
        ("a,b\n1,2\n1\n", {}, [("label_missing", "'Response'"), ("ragged_rows", "line 3")]),
        (BOSCH, {"label": "x", "time_column": "y"}, [("column_unknown", "'x'"), ("column_unknown", "'y'")]),
        (BOSCH, {"label": "Id", "id_column": "Id"}, [("column_twice", "'Id'")]),
        (BOSCH, {"synthetic_step_seconds": 0.0}, [("step_invalid", "more than 0")]),
        (BOSCH, {"pass_value": "2"}, [("pass_value_unknown", "'0' (2 rows), '1' (1 row)")]),
        (
            BOSCH,
            {"time_column": "L0_S0_F0"},
            [("time_unreadable", "cannot be read as times: '0.5', '0.1', the first in line 2")],
        ),
        ("a,Response\n1,0\n2,0\n", {}, [("label_values", "it has 1: '0' (2 rows)")]),
        ("a,Response\n1,0\n2,1\n3,2\n", {}, [("label_values", "it has 3")]),
        ("a,Response\n1,\n2,\n", {}, [("label_values", "it has 0")]),
        ("a,Response\n1,1\n2,2\n", {}, [("pass_value_ambiguous", "'1' (1 row), '2' (1 row)")]),
        ("id,Response\nx,0\ny,1\n", {}, [("features_missing", "No column")]),
        (
            "a,t,Response\n1,01/02/2021,0\n2,03/04/2021,1\n",
            {"time_column": "t"},
            [("time_ambiguous", "%d/%m/%Y or as %m/%d/%Y")],
        ),
        (
            "a,t,Response\n1,01/02/2021,0\n2,03/04/2021,2\n2,03/04/2021,5\n",
            {},
            [("label_values", "3"), ("time_ambiguous", "'t'")],
        ),
        (
            "a,t,Response\n" + "1,2021-01-01,0\n" * 40 + "2,soon,1\n" * 4,
            {"time_column": "t"},
            [("time_unreadable", "'soon', which is not a time in line 42, and so it is in 4 rows in all")],
        ),
        (
            "a,Time,Response\n" + "1,2021-01-01,0\n" * 40 + "2,,1\n" * 9,
            {},
            [("time_unreadable", "is empty in line 42")],
        ),
        (
            "a,t,Response\n1,x,0\n2,2021-01-01,1\n",
            {"time_column": "t"},
            [("time_unreadable", "'x', '2021-01-01', the first in line 2")],
        ),
        (BOSCH, {"synthetic_start": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)}, [("time_range", "9999")]),
    ],
)
def test_settings_that_do_not_fit_are_problems_with_column_line_and_value(
    text: str, options: dict[str, Any], expected: list[tuple[str, str]], storage: Storage, tmp_path: Path
) -> None:
    found = problems_of(storage, tmp_path, text, **options)
    assert [one.code for one in found] == [code for code, _ in expected]
    for one, (_, words) in zip(found, expected, strict=True):
        assert words in one.message


def test_a_column_that_holds_times_by_name_only_is_not_forced_on_anyone(storage: Storage, tmp_path: Path) -> None:
    text = "a,Time,Response\n" + "1,2021-01-01,0\n" * 40 + "2,,1\n" * 9
    assert dataset_of(storage, tmp_path, text, time_column="synthetic_timestamp").time.synthetic


def test_times_that_some_rows_lack_are_not_the_rows_times(storage: Storage, tmp_path: Path) -> None:
    found = dataset_of(storage, tmp_path, "a,repaired,Response\n1,2021-01-01,0\n2,,1\n")
    assert (found.time.synthetic, found.time.reason) == (True, "no column holds a time in every row")


def test_a_suggested_split_needs_three_instants(storage: Storage, tmp_path: Path) -> None:
    found = suggest(storage, dataset_of(storage, tmp_path, "a,Time,Response\n1,2021-01-01,0\n2,2021-01-02,1\n"))
    assert isinstance(found, list)
    assert found[0].code == "too_few_times"
