"""Times as they exist in the field: read as what they are, never invented, never a feature."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.manifests import SplitManifest
from storage.tables.ranges import DateRanges
from storage.tables.splits import split, suggest
from tests.support.plant_files import Reader, file, label, notices


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


SIX = at(2024, 1, 15, 6, 0)
FORMS = [
    ("15.01.24 06:00", SIX),
    ("15/01/24 06:00", SIX),
    ("15/01/24 06", SIX),
    ("15.01.2024 06.00.00", SIX),
    ("15-JAN-24 06.00.00", SIX),
    ("15-JAN-24 06.00.00.000000 AM", SIX),
    ("15-Okt-2024 06:00", at(2024, 10, 15, 6)),
    ("15. Januar 2024 06:00 Uhr", SIX),
    ("15 janv. 2024 06h00", SIX),
    ("15 de enero de 2024 06:00", SIX),
    ("15 января 2024 06:00", SIX),
    ("Mo 15.01.2024 06:00", SIX),
    ("Mon, 15 Jan 2024 06:00:00 GMT", SIX),
    ("Mon Jan 15 06:00:00 2024", SIX),
    ("Mon Jan 15 07:00:00 CET 2024", SIX),
    ("Jan 15, 2024 6:00 AM", SIX),
    ("01/15/2024 06:00:00 a. m.", SIX),
    ("2024-01-15 오전 6:00:00", SIX),
    ("2024-01-15 午後 6:00:00", at(2024, 1, 15, 18)),
    ("2024年1月15日 6时00分", SIX),
    ("2024년 1월 15일 6시 0분", SIX),
    ("2024. 1. 15. 06:00", SIX),
    ("2024/01/15 06:00:00,250", at(2024, 1, 15, 6, 0, 0, 250_000)),
    ("2024-01-15 06:00:00:250", at(2024, 1, 15, 6, 0, 0, 250_000)),
    ("2024-01-15T07:00:00+01:00[Europe/Berlin]", SIX),
    ("2024-01-15 07:00 Europe/Berlin", SIX),
    ("2024-01-15 07:00 MEZ", SIX),
    ("2024-01-15 07:00 UTC+1", SIX),
    ("20240115T060000", SIX),
    ("20240115 06:00", SIX),
    ("06:00:00 15.01.2024", SIX),
    ("2024-01-14 24:00:00", at(2024, 1, 15)),
    ("/Date(1705298400000)/", SIX),
    ("1705298400", SIX),
    ("1705298400000", SIX),
    ("1705298400000000", SIX),
    ("1705298400000000000", SIX),
    ("1705298400.5", at(2024, 1, 15, 6, 0, 0, 500_000)),
    ("638408952000000000", SIX),
    ("133497720000000000", SIX),
    ("3788143200", SIX),
    ("45306.25", SIX),
    ("45306,25", SIX),
    ("240115060000", SIX),
    ("20240115060000", SIX),
    ("240115", at(2024, 1, 15)),
    ("20240115", at(2024, 1, 15)),
]


@pytest.mark.parametrize("name", ["timestamp", "Zeit", "EVENT_TIME"])
@pytest.mark.parametrize(("text", "expected"), FORMS)
def test_a_time_is_read_as_what_it_is(text: str, expected: datetime, name: str, reader: Reader) -> None:
    found = reader.dataset(file(f"{name};A;Response", lambda i: f"{text};{i};{label(i)}", 12))
    assert (found.time.column, found.time.synthetic) == (name, False)
    assert (found.first_timestamp, found.last_timestamp, found.time.missing) == (expected, expected, 0)
    assert found.features == ["A"]


@pytest.mark.parametrize("name", ["ts_ms", "t", "x17", "logged", "Tick"])
@pytest.mark.parametrize(
    ("start", "step"), [(1705298400, 60), (1705298400000, 60_000), (638408952000000000, 600_000_000)]
)
def test_numbers_since_an_epoch_are_times_under_any_name(name: str, start: int, step: int, reader: Reader) -> None:
    found = reader.dataset(file(f"{name},A,Response", lambda i: f"{start + i * step},{i},{label(i)}"))
    assert (found.time.column, found.first_timestamp, found.features) == (name, SIX, ["A"])


def test_date_and_time_of_day_in_two_columns_are_one_time(reader: Reader) -> None:
    found = reader.dataset(file("Datum;Uhrzeit;A;Response", lambda i: f"15.01.24;06:{i:02d};{i};{label(i)}"))
    assert (found.time.column, found.time.clock_column) == ("Datum", "Uhrzeit")
    assert (found.first_timestamp, found.last_timestamp) == (SIX, at(2024, 1, 15, 6, 29))
    assert found.features == ["A"]


def test_newest_first_is_simulated_on_the_newest(reader: Reader) -> None:
    found = reader.dataset(file("time,A,Response", lambda i: f"{28 - i:02d}.02.24 08:00,{i},{label(i)}", 20))
    assert "newest first" in notices(found)["newest_first"]
    ranges = suggest(reader.storage, found)
    assert isinstance(ranges, DateRanges)
    made = split(reader.storage, found, ranges)
    assert isinstance(made, SplitManifest)
    assert (made.train.range.start, made.simulation.range.end) == (at(2024, 2, 9, 8), at(2024, 2, 28, 8))


@pytest.mark.parametrize("stray", ["soon", "", "0", "31.02.2024"])
def test_a_stray_value_is_a_named_row_without_a_time_in_no_set(stray: str, reader: Reader) -> None:
    found = reader.dataset(
        file("Id,Time,A,Response", lambda i: f"{i},{stray if i == 7 else f'2024-01-15 06:{i:02d}'},{i},{label(i)}", 40)
    )
    assert found.time.missing == 1
    assert "line 9" in notices(found)["rows_without_time"]
    ranges = suggest(reader.storage, found)
    assert isinstance(ranges, DateRanges)
    made = split(reader.storage, found, ranges)
    assert isinstance(made, SplitManifest)
    assert made.train.rows + made.test.rows + made.simulation.rows == 39
    assert any(one.code == "rows_without_time" for one in made.notices)
    assert reader.take_in(
        file("Id,Time,A,Response", lambda i: f"{i},{'soon' if i % 3 == 0 else '2024-01-15'},{i},{label(i)}")
    )


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Zeit", "KW3 Mo"),
        ("EVENT_TIME", "Day 12 shift 3"),
        ("time", "1.5"),
        ("Timestamp", "12"),
        ("Date", "15"),
        ("x", "2024-13-45 06:00"),
    ],
)
def test_what_cannot_be_read_is_refused_with_examples_and_forms(header: str, value: str, reader: Reader) -> None:
    text = file(f"{header},A,Response", lambda i: f"{value},{i},{label(i)}")
    asked = reader.problem(text)
    assert asked.code == "time_unreadable"
    assert all(
        words in asked.message for words in (repr(value), "time_format=", "time_column=synthetic_timestamp", "line 2")
    )
    assert reader.dataset(text, time_column="synthetic_timestamp").features == ["A"]


@pytest.mark.parametrize(
    ("value", "given", "expected"),
    [
        ("01/02/2024", "dmy", at(2024, 2, 1)),
        ("01/02/2024", "mdy", at(2024, 1, 2)),
        ("01/02/2024 06:00", "%m/%d/%Y %H:%M", at(2024, 1, 2, 6)),
        ("01/02/2024 06:00", "dd/MM/yyyy HH:mm", at(2024, 2, 1, 6)),
        ("90", "elapsed-s", at(2021, 1, 1, 0, 1, 30)),
        ("1,5", "elapsed-h", at(2021, 1, 1, 1, 30)),
        ("45306.25", "excel", SIX),
    ],
)
def test_a_form_that_is_given_is_read(value: str, given: str, expected: datetime, reader: Reader) -> None:
    found = reader.dataset(file("time;A;Response", lambda i: f"{value};{i};{label(i)}"), time_format=given)
    assert found.first_timestamp == expected


def test_day_and_month_that_could_be_swapped_are_asked_about(reader: Reader) -> None:
    text = file("time,A,Response", lambda i: f"0{i % 9 + 1}/0{i % 5 + 1}/2024,{i},{label(i)}", 12)
    asked = reader.problem(text)
    assert (asked.code, asked.field) == ("time_ambiguous", "time_format")
    assert "time_format=%d/%m/%Y or time_format=%m/%d/%Y" in asked.message


@pytest.mark.parametrize("zone", ["IST", "CST"])
def test_a_zone_name_of_several_zones_is_asked_about(zone: str, reader: Reader) -> None:
    text = file("time,A,Response", lambda i: f"2024-01-15 06:00 {zone},{i},{label(i)}")
    assert (reader.problem(text).code, reader.problem(text).field) == ("time_zone_ambiguous", "time_zone")
    assert reader.dataset(text, time_zone="Asia/Kolkata").first_timestamp == at(2024, 1, 15, 0, 30)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("Europe/Berlin", at(2024, 1, 15, 5)), ("+02:00", at(2024, 1, 15, 4)), ("UTC-5", at(2024, 1, 15, 11))],
)
def test_local_times_are_read_in_the_zone_that_is_given(zone: str, expected: datetime, reader: Reader) -> None:
    assert (
        reader.dataset(
            file("time,A,Response", lambda i: f"15.01.2024 06:00,{i},{label(i)}"), time_zone=zone
        ).first_timestamp
        == expected
    )


def test_a_zone_that_is_none_is_refused(reader: Reader) -> None:
    assert (
        reader.problem(file("A,Response", lambda i: f"{i},{label(i)}"), time_zone="Mars/Base").code
        == "time_zone_unknown"
    )


def autumn(i: int) -> str:
    return f"2024-10-27 0{(1, 2, 2, 3)[i // 6]}:{i % 6}0:00,{i},{label(i)}"


def test_an_hour_that_repeats_is_warned_of_and_the_zone_mends_it(reader: Reader) -> None:
    assert "time_zone=" in notices(reader.dataset(file("time,A,Response", autumn, 24)))["hour_repeats"]
    for text in (file("time,A,Response", autumn, 24), file("time,A,Response", lambda i: autumn(23 - i), 24)):
        found = reader.dataset(text, time_zone="Europe/Berlin")
        assert (found.first_timestamp, found.last_timestamp) == (at(2024, 10, 26, 23), at(2024, 10, 27, 2, 50))
        assert sum(last - first + 1 for first, last in found.time.later) == 6


def test_an_hour_that_is_absent_is_warned_of(reader: Reader) -> None:
    text = file("time,A,Response", lambda i: f"2024-03-31 0{(1, 3)[i // 6]}:{i % 6}0:00,{i},{label(i)}", 12)
    assert "hour is absent" in notices(reader.dataset(text))["hour_absent"]


@pytest.mark.parametrize("name", ["cycle_time", "Process time [s]", "uptime", "lead time"])
def test_durations_are_features(name: str, reader: Reader) -> None:
    assert reader.dataset(file(f"{name},A,Response", lambda i: f"{i * 1.5},{i},{label(i)}")).features == [name, "A"]


def test_a_second_column_of_times_is_no_feature(reader: Reader) -> None:
    text = file("time,finished_ts,A,Response", lambda i: f"2024-01-15 06:{i:02d},{1705298400 + i},{i},{label(i)}")
    found: Any = reader.dataset(text)
    assert (found.time.column, found.features) == ("time", ["A"])
    assert [one.column for one in found.report.left_out] == ["finished_ts"]


def test_settings_of_times_without_a_use_are_refused_or_said(reader: Reader) -> None:
    text = file("x,A,Response", lambda i: f"{i},{i},{label(i)}")
    assert reader.problem(text, time_format="dmy").code == "time_column_missing"
    assert "time_zone was given but is not used" in notices(reader.dataset(text, time_zone="UTC"))["unused_setting"]
    timed = reader.dataset(file("time,A,Response", lambda i: f"2024-01-15,{i},{label(i)}"), synthetic_step_seconds=5.0)
    assert "synthetic_step_seconds was given but is not used" in notices(timed)["unused_setting"]


@pytest.mark.parametrize(("year", "said"), [("2567", True), ("1900", True), ("2024", False), ("1985", False)])
def test_times_of_a_year_in_which_nothing_was_measured_are_said(year: str, said: bool, reader: Reader) -> None:
    found = reader.dataset(file("ts,S1,Response", lambda i: f"{i % 28 + 1}/01/{year} 06:00,{i}.5,{label(i)}"))
    assert (f"the year {year}" in notices(found).get("times_far", "")) is said
