"""Labels and what is said of a file: polarity, several values, rows without a label, leaks, exclusions."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from schemas.manifests import SplitManifest
from storage.errors import StorageProblem
from storage.tables.label_names import sense
from storage.tables.labels import read_labels
from storage.tables.ranges import DateRanges
from storage.tables.splits import count_sets, labelled_rows, split, suggest
from tests.support.plant_files import Reader, file, label, notices


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(
            (name, 1)
            for name in (
                "Passed",
                "is_ok",
                "isOK",
                "good",
                "Accepted",
                "no_defect",
                "defect-free",
                "i.O.",
                "合格",
                "ok2",
            )
        ),
        *(
            (name, -1)
            for name in (
                "broken",
                "not_ok",
                "NOK",
                "notOK",
                "failure",
                "Ausschuss",
                "n.i.O.",
                "nicht_ok",
                "불량",
                "is_anomaly",
            )
        ),
        *((name, 0) for name in ("Pass/Fail", "PassOrFail", "ok_nok")),
        *((name, None) for name in ("smoke", "token", "bypass", "quality", "book", "passenger", "unbroken")),
    ],
)
def test_a_name_speaks_by_its_words(name: str, expected: int | None) -> None:
    assert sense(name) == expected


@pytest.mark.parametrize(
    ("column", "values", "passed"),
    [
        ("broken", ("no", "yes"), "no"),
        ("not_ok", ("0", "1"), "0"),
        ("Passed", ("0", "1"), "1"),
        ("is_ok", ("N", "Y"), "Y"),
        ("good", ("false", "true"), "true"),
        ("Accepted", ("0", "1"), "1"),
        ("defect", ("none", "defect"), "none"),
        ("Ergebnis", ("niO", "iO"), "iO"),
        ("x", ("n.i.O.", "i.O."), "i.O."),
        ("x", ("Not OK", "OK"), "OK"),
        ("x", ("REWORK", "ok"), "ok"),
        ("x", ("不合格", "合格"), "合格"),
        ("Fehler", ("ja", "nein"), "nein"),
        ("Response", ("0", "1"), "0"),
        ("Pass/Fail", ("1", "-1"), "-1"),
        ("is_good", ("1", "-1"), "1"),
    ],
)
def test_name_and_values_say_together_what_passes(column: str, values: tuple[str, str], passed: str) -> None:
    found = read_labels(column, {values[0]: 3, values[1]: 5}, None)
    assert isinstance(found, tuple), found
    assert found[0].pass_value == passed


@pytest.mark.parametrize(
    ("column", "values"),
    [
        *((name, ("0", "1")) for name in ("quality", "smoke", "token", "bypass", "Pass/Fail", "result", "status")),
        *((name, ("no", "yes")) for name in ("smoke", "bypass", "Pass/Fail")),
        ("x", ("good", "ok")),
        ("x", ("ok", "1")),
        ("quality", ("1", "-1")),
        ("x", ("scratch", "dent")),
    ],
)
def test_what_says_nothing_is_asked_with_counts_and_the_field_to_send(column: str, values: tuple[str, str]) -> None:
    found = read_labels(column, {values[0]: 3, values[1]: 5}, None)
    assert isinstance(found, StorageProblem)
    assert (found.code, found.field) == ("pass_value_ambiguous", "pass_value")
    assert all(f"{value!r} ({rows} rows)" in found.message for value, rows in zip(values, (3, 5), strict=True))
    assert all(f"pass_value={value}" in found.message for value in values)
    assert "--pass-value" in found.message


def test_a_file_without_a_known_label_is_refused_with_its_columns_and_what_to_send(reader: Reader) -> None:
    text = file("Id;Zeit;Maß;Ergebnis", lambda i: f"{i};2024-01-05 06:{i:02d};{i},5;{'niO' if i % 4 == 0 else 'iO'}")
    asked = reader.problem(text)
    assert asked.message.startswith(
        "CSV must contain a 'Response' column. The file's columns: 'Id', 'Zeit', 'Maß', 'Ergebnis'."
    )
    assert "With two values: 'Ergebnis' ('iO' in 22 rows, 'niO' in 8 rows)." in asked.message
    assert "--label Ergebnis --pass-value iO" in asked.message
    assert reader.dataset(text, label="Ergebnis").labels.pass_value == "iO"


@pytest.mark.parametrize(
    "name", ["PassOrFail", "Fault", "anomaly", "NG", "Judgement", "判定", "Test_Result", "test result", "is_defective"]
)
def test_more_names_of_labels_are_known(name: str, reader: Reader) -> None:
    found = reader.dataset(file(f"Id,A,{name}", lambda i: f"{i},{i},{'NG' if i % 4 == 0 else 'OK'}"))
    assert (found.label.value, found.labels.pass_value) == (name, "OK")


def test_everything_but_the_pass_value_is_fail(reader: Reader) -> None:
    text = file("Id,A,Result", lambda i: f"{i},{i},{('OK', 'NOK', 'REWORK')[i % 3]}")
    assert "pass_value=OK" in reader.problem(text).message
    found = reader.dataset(text, pass_value="ok")
    assert (found.labels.pass_value, found.labels.fail_value, found.labels.pass_count, found.labels.fail_count) == (
        "OK",
        "NOK, REWORK",
        10,
        20,
    )


def test_case_and_blanks_do_not_make_new_values(reader: Reader) -> None:
    found = reader.dataset(file("Id,A,Result", lambda i: f"{i},{i},{('OK', 'ok ', ' Ok', 'NOK', 'nok', '')[i % 6]}"))
    assert (found.labels.pass_count, found.labels.fail_count, found.labels.unlabelled_count) == (15, 10, 5)
    counts, _ = count_sets(reader.storage, found, {})
    assert counts == {}


def test_rows_without_a_label_are_kept_apart_and_simulated(reader: Reader) -> None:
    text = file("Id,A,Response", lambda i: f"{i},{i},{('', 'NA', ' ')[i % 3] if i % 10 == 5 else label(i)}", 100)
    found = reader.dataset(text)
    assert found.row_count == 100
    assert (found.labels.unlabelled_count, found.labels.pass_count + found.labels.fail_count) == (10, 90)
    assert "10 rows have no label" in notices(found)["unlabelled"]
    rows, _, fails = labelled_rows(reader.storage, found)
    assert (len(rows), int(fails.sum())) == (90, found.labels.fail_count)
    ranges = suggest(reader.storage, found)
    assert isinstance(ranges, DateRanges)
    made = split(reader.storage, found, ranges)
    assert isinstance(made, SplitManifest)
    sets = {
        name: pl.read_parquet(reader.storage.local(getattr(made, name).path))["__label__"]
        for name in ("train", "test", "simulation")
    }
    assert (sets["train"].null_count(), sets["test"].null_count(), sets["simulation"].null_count()) == (0, 0, 2)
    assert (len(sets["train"]), len(sets["test"]), len(sets["simulation"])) == (54, 18, 20)


def leaky(i: int) -> str:
    failed = i % 4 == 0
    unclear = (i * 37 % 100) / 10
    where, repair = ("scrap", "7") if failed else ("sold", "")
    return f"{i},{unclear},{9 if failed else 3},{unclear + 100 * failed},{where},{repair},{int(failed)}"


def test_columns_that_give_the_label_away_are_named_and_kept(reader: Reader) -> None:
    found = reader.dataset(file("nr1,A,code,level,where,repair,Response", leaky, 200))
    assert found.report is not None
    kinds = {one.column: one.kind for one in found.report.suspects}
    assert kinds == {"nr1": "index", "code": "twin", "level": "rule", "where": "twin", "repair": "missing"}
    assert set(found.features) == {"nr1", "A", "code", "level", "where", "repair"}
    honest = reader.dataset(file("nr1,A,code,level,where,repair,Response", leaky, 200), exclude=("code", "level"))
    assert set(honest.features) == {"nr1", "A", "where", "repair"}
    assert honest.excluded == ["code", "level"]
    assert honest.report is not None
    assert ("code", "excluded, as asked") in [(one.column, one.reason) for one in honest.report.left_out]
    assert "code" not in {one.column for one in honest.report.suspects}


def test_columns_are_excluded_at_a_split(reader: Reader) -> None:
    found = reader.dataset(file("nr1,A,code,level,where,repair,Response", leaky, 200))
    ranges = suggest(reader.storage, found)
    assert isinstance(ranges, DateRanges)
    made = split(reader.storage, found, ranges, exclude=["code", "level"])
    assert isinstance(made, SplitManifest)
    assert made.excluded == ["code", "level"]
    assert list(pl.read_parquet_schema(reader.storage.local(made.train.path)))[4:] == ["nr1", "A", "where", "repair"]
    wrong: Any = split(reader.storage, found, ranges, exclude=["cod"])
    assert [one.message for one in wrong] == ["There is no column 'cod' in the file. Did you mean 'code'?"]
    nothing: Any = split(reader.storage, found, ranges, exclude=found.features)
    assert nothing[0].code == "features_missing"


def test_a_set_without_failures_is_said(reader: Reader) -> None:
    found = reader.dataset(file("Id,A,Response", lambda i: f"{i},{i},{int(i in (3, 20))}", 100))
    ranges = suggest(reader.storage, found)
    assert isinstance(ranges, DateRanges)
    made = split(reader.storage, found, ranges)
    assert isinstance(made, SplitManifest)
    assert [one.message.split(" range")[0] for one in made.notices] == ["The test", "The simulation"]


def test_the_report_says_how_failures_lie_in_time(reader: Reader) -> None:
    found = reader.dataset(file("Id,A,Response", lambda i: f"{i},{i},{int(i > 79)}", 100))
    assert found.report is not None
    assert [span.failures for span in found.report.failures_over_time] == [0, 0, 0, 0, 0, 0, 0, 0, 10, 10]
    assert sum(span.rows for span in found.report.failures_over_time) == 100
