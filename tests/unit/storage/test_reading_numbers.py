"""Numbers as plants write them: read as what they are, or asked about; one odd cell does not decide over a column."""

import csv
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.manifests import SplitManifest
from storage.tables.ranges import DateRanges
from storage.tables.splits import split, suggest
from tests.support.examples import many
from tests.support.plant_files import Reader, file, label, notices


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.mark.parametrize(
    ("header", "first", "second", "expected"),
    [
        pytest.param("Id;A;B;Response", "0,5;1.500", "0,7;900", [1500, 900], id="grouped, as another column proves"),
        pytest.param("Id\tA\tB\tResponse", '0.5\t"1,500"', "0.7\t900", [1500, 900], id="grouped by commas among tabs"),
        pytest.param("Id;A;B;Response", "1;1.234.567", "2;2.000", [1234567, 2000], id="two groups prove the sign"),
        pytest.param("Id;A;B;Response", "1;1'234.5", "2;7", [1234.5, 7], id="apostrophes"),
        pytest.param("Id;A;B;Response", "1;1\u202f234,5", "2;7", [1234.5, 7], id="narrow blanks"),
        pytest.param("Id;A;B;Response", "1;1 234,5", "2;7", [1234.5, 7], id="blanks"),
        pytest.param("Id;A;B;Response", "1;12,5-", "2;7,25", [-12.5, 7.25], id="the minus behind"),
        pytest.param(
            "Id;A;B;Response", "1;(1.234,5)", "2;7,25", [-1234.5, 7.25], id="a negative number of accountants"
        ),
        pytest.param("Id|A|B|Response", "1|($ 1,500.00)", "2|$ 7", [-1500, 7], id="the same in a currency"),
        pytest.param("Id|A|B|Response", "1|(2.5 %)", "2|7 %", [-2.5, 7], id="the same in percent"),
        pytest.param("Id;A;B;Response", "1;\u22125,5", "2;7,25", [-5.5, 7.25], id="a typographic minus"),
        pytest.param("Id;A;B;Response", "1;1,5 °C", "2;2,5 °C", [1.5, 2.5], id="a unit"),
        pytest.param("Id;A;B;Response", "1;15%", "2;2,5 %", [15, 2.5], id="percent"),
        pytest.param("Id;A;B;Response", "1;€ 1,50", "2;€ 2", [1.5, 2], id="a currency in front"),
        pytest.param("Id,A,B,Response", '1,"12,34,567.5"', "2,7", [1234567.5, 7], id="groups as in India"),
        pytest.param("Id|A|B|Response", "1|1.5", "2|2.25", [1.5, 2.25], id="bars"),
        pytest.param("Id,A,B,Response", '1,"0,5"', '2,"1.500"', [0.5, 1500], id="quoted commas"),
        pytest.param(
            "Id\tA\tB\tResponse", "0.25\t1.500", "0.5\t2.250", [1.5, 2.25], id="three decimals where a point is proved"
        ),
    ],
)
def test_numbers_are_read_as_they_are_written(
    header: str, first: str, second: str, expected: list[float], reader: Reader
) -> None:
    sign = header[2]
    found = reader.dataset(file(header, lambda i: sign.join((str(i), first if i % 2 == 0 else second, label(i)))))
    assert reader.column(found, "B")[:2] == expected
    assert "B" in found.features


def test_a_sign_that_nothing_proves_is_asked_for_and_both_answers_are_right(reader: Reader) -> None:
    text = file("Id\tA\tResponse", lambda i: f"{i}\t{i + 1}.500\t{label(i)}")
    asked = reader.problem(text)
    assert (asked.code, asked.field) == ("numbers_ambiguous", "decimal")
    assert all(words in asked.message for words in ("'1.500' in column 'A', line 2", "decimal=.", "decimal=,"))
    assert reader.column(reader.dataset(text, decimal="."), "A")[:2] == [1.5, 2.5]
    assert reader.column(reader.dataset(text, decimal=","), "A")[:2] == [1500, 2500]
    assert reader.column(reader.dataset(text, thousands="."), "A")[:2] == [1500, 2500]


def test_columns_that_contradict_each_other_are_refused_with_both_lines(reader: Reader) -> None:
    text = file("Id;A;B;Response", lambda i: f"{i};{i},5;{'' if i < 3 else f'{i}.5'};{label(i)}")
    asked = reader.problem(text)
    assert asked.code == "numbers_contradict"
    assert "'3.5' in column 'B', line 5" in asked.message
    assert "'0,5' in column 'A', line 2" in asked.message
    found = reader.dataset(text, decimal=",")
    assert found.features == ["A"]
    assert (
        next(one.left_out for one in found.columns if one.name == "B")
        == "its numbers do not have the decimal sign ',', first '3.5'"
    )


@pytest.mark.parametrize("place", [7, 4_500])
@pytest.mark.parametrize(
    "cell", ["-", "?", "#DIV/0!", "Bad", "No Data", "N/A*", "<0.5", "12 °C", "0xFF", "1.2.3", "--", "n.v.", "#WERT!"]
)
def test_one_odd_cell_is_a_missing_value_with_its_line_wherever_it_stands(
    cell: str, place: int, reader: Reader
) -> None:
    found = reader.dataset(file("Id,A,Response", lambda i: f"{i},{cell if i == place else i},{label(i)}", 5_000))
    column = found.columns[1]
    assert reader.column(found, "A") == [float(i) if i != place else None for i in range(5_000)]
    assert (column.unread, column.unread_lines, column.unread_values) == (1, [place + 2], [cell])
    assert f"{cell!r} (line {place + 2})" in notices(found)["unread_values"]
    assert found.features == ["A"]


def test_many_odd_words_make_text_with_a_reason_and_na_values_mends_it(reader: Reader) -> None:
    text = file("Id,A,B,Response", lambda i: f"{i},{'closed' if i % 3 == 0 else i},{i},{label(i)}", 90)
    found = reader.dataset(text)
    assert found.features == ["B"]
    assert found.report is not None
    assert [(one.column, one.reason) for one in found.report.left_out] == [
        ("A", "no number in 30 of 90 rows, first 'closed' in line 2")
    ]
    mended = reader.dataset(text, na_values=("Closed",))
    assert mended.features == ["A", "B"]
    assert reader.column(mended, "A")[:3] == [None, 1, 2]
    bounded = reader.dataset(text, max_unread_share=0.5)
    assert (bounded.features, bounded.columns[1].unread) == (["A", "B"], 30)


def test_a_number_that_means_missing_is_missing_however_it_is_written(reader: Reader) -> None:
    found = reader.dataset(
        file("Id,A,Response", lambda i: f"{i},{'-999.0' if i % 3 == 0 else i},{label(i)}"), na_values=("-999",)
    )
    assert reader.column(found, "A")[:4] == [None, 1, 2, None]


def test_a_unit_that_not_every_value_has_is_said_with_how_many_have_none(reader: Reader) -> None:
    found = reader.dataset(file("Id,A,Response", lambda i: f"{i},{i}{'%' if i % 3 else ''},{label(i)}"))
    assert reader.column(found, "A")[:3] == [0, 1, 2]
    assert "in 10 rows no unit stands" in notices(found)["unit"]


def test_different_units_are_no_numbers(reader: Reader) -> None:
    found = reader.dataset(file("Id,A,B,Response", lambda i: f"{i},{i} {'mm' if i % 2 else 'cm'},{i},{label(i)}"))
    assert found.features == ["B"]
    assert found.columns[1].left_out == "different units in 15 of 30 rows, first '1 mm' in line 3"


def test_brackets_are_a_minus_beside_plain_numbers_with_a_notice_and_nothing_else_is_a_number(reader: Reader) -> None:
    text = file("Id,A,B,Response", lambda i: f"{i},{'(1.5)' if i == 3 else i},({i}.5),{label(i)}")
    found = reader.dataset(text)
    assert reader.column(found, "A")[2:5] == [2, -1.5, 4]
    assert "'(1.5)' (line 5)" in notices(found)["brackets"]
    assert reader.column(found, "B")[3] == "(3.5)"  # every value of it is in brackets: nobody says that they are a sign
    for cell in ("(-1.5)", "(1.5-)", "((1))", "()", "(1", "1)"):
        odd = reader.dataset(text.replace("(1.5)", cell))
        assert (reader.column(odd, "A")[3], odd.columns[1].unread) == (None, 1)


@pytest.mark.parametrize(
    ("grades", "feature"), [(("1", "2", "3", "A", "B+"), True), (tuple(f"{i}" for i in range(20)) + ("x",) * 9, False)]
)
def test_few_names_among_numbers_that_come_often_are_categories_and_many_are_left_out(
    grades: tuple[str, ...], feature: bool, reader: Reader
) -> None:
    found = reader.dataset(file("Id,grade,A,Response", lambda i: f"{i},{grades[i % len(grades)]},{i},{label(i)}", 40))
    assert ("grade" in found.features) is feature
    grade = found.columns[1]
    assert (grade.type, grade.stored, reader.column(found, "grade")[:2]) == ("text", "text", list(grades[:2]))
    assert (grade.reason or grade.left_out or "").startswith("no number in")  # said either way


def test_text_columns_stay_readable_in_the_parquet(reader: Reader) -> None:
    found = reader.dataset(
        file(
            "Id,supplier,flag,A,Response", lambda i: f"{i},{'äx'[i % 2]},{'true' if i % 2 else 'False'},{i},{label(i)}"
        )
    )
    assert reader.column(found, "supplier")[:2] == ["ä", "x"]
    kinds = {one.name: (one.type, one.stored) for one in found.columns}
    assert kinds == {
        "Id": ("text", "text"),
        "supplier": ("text", "text"),
        "flag": ("boolean", "text"),
        "A": ("numeric", "number"),
        "Response": ("numeric", "text"),
    }


@pytest.mark.parametrize("id_column", ["PartNo", "Barcode", "x"])
def test_ids_are_texts_whatever_the_column_is_called(id_column: str, reader: Reader) -> None:
    ids = ["9007199254740993", "9007199254740994", "9007199254740995", "000240", "240", "240.10", "1e5"]
    found = reader.dataset(file(f"{id_column},A,Response", lambda i: f"{ids[i]},{i},{i % 2}", 7), id_column=id_column)
    assert reader.column(found, id_column) == ids
    assert found.features == ["A"]


def test_numbers_that_a_float_cannot_hold_stay_as_they_are_written(reader: Reader) -> None:
    found = reader.dataset(file("A,big,Response", lambda i: f"{i},{9007199254740993 + i},{label(i)}"))
    assert reader.column(found, "big")[:2] == ["9007199254740993", "9007199254740994"]
    assert "15 digits" in (found.columns[1].left_out or "")


def test_repeated_ids_are_said_and_stay(reader: Reader) -> None:
    text = file("serial,A,Response", lambda i: f"{i // 2},{i},{label(i)}")
    found = reader.dataset(text, id_column="serial")
    assert found.report is not None
    assert found.report.repeated_ids == 15
    assert "repeats an id in 15 rows" in notices(found)["repeated_ids"]
    assert reader.dataset(text).id_column is None


odd_names = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"]), min_size=1, max_size=8),
    st.sampled_from(
        [
            "*",
            "^a.*$",
            "^.*$",
            "^Resp.*$",
            "[x]",
            "a b",
            "\\d",
            "$",
            "^",
            "{",
            "a,b",
            'q"q',
            "__x__",
            "%s",
            "pl.all()",
            "-1",
        ]
    ),
)


@settings(max_examples=many(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        odd_names.filter(
            lambda name: name.strip() == name and not name.startswith(("#", "//", "%", "!", "--", "sep="))
        ),
        min_size=3,
        max_size=6,
        unique=True,
    )
)
def test_names_are_names_everywhere(names: list[str], reader: Reader) -> None:
    names = [name for name in names if name not in ("Response", "\ufeff")]
    out = io.StringIO()
    rows = [[str(i * 10 + place + 0.5) for place in range(len(names))] + [label(i)] for i in range(12)]
    csv.writer(out).writerows([[*names, "Response"], *rows])
    found = reader.take_in(
        out.getvalue(), header=True, separator=",", decimal=".", time_column="synthetic_timestamp", label="Response"
    )
    if isinstance(found, list):
        assert {one.code for one in found} <= {"columns_reserved", "columns_duplicate", "features_missing"}, found
        return
    plain = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
    assert [one.name for one in found.columns] == plain[0]
    for place, name in enumerate(plain[0]):
        read: list[Any] = reader.column(found, name)
        assert [float(value) for value in read] == [float(row[place]) for row in plain[1:]]
    ranges = suggest(reader.storage, found)
    assert isinstance(ranges, DateRanges)
    made = split(reader.storage, found, ranges)
    assert isinstance(made, SplitManifest), made
    train = pl.read_parquet(reader.storage.local(made.train.path))
    assert train.columns[4:] == found.features
    for name in found.features:
        assert train[name].to_list() == [float(row[plain[0].index(name)]) for row in plain[1:]][: len(train)]


def test_too_many_columns_are_refused_by_the_header_at_once(reader: Reader) -> None:
    text = ",".join(f"c{i}" for i in range(200_000)) + "\n" + ",".join("1" * 200_000) + "\n"
    asked = reader.problem(text)
    assert asked.message.startswith("The file has 200000 columns; at most 20000 are taken.")
    assert not list((reader.folder / "storage").rglob("*.csv"))
