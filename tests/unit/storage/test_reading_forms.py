"""Encodings, preambles, separators and all that surrounds rows: taken with a notice, or asked about."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.plant_files import Reader, file, label, notices


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


ENCODED = [
    ("cp949", "온도,불량,센서"),
    ("cp949", "번호,압력,판정값"),
    ("gb18030", "时间值,温度,压力"),
    ("gb18030", "编号值,传感器,结果值"),
    ("cp932", "温度,圧力,センサー"),
    ("big5", "溫度,壓力,感測器"),
    ("cp1250", "Teplota,Průměr,Žádná"),
    ("cp1250", "Łożysko,Średnica,Źródło"),
    ("cp1251", "Давление,Датчик,Температура"),
    ("cp1252", "Größe,Maß,Öl"),
    ("cp1252", "Pièce,Température,Numéro"),
    ("cp1252", "Señal,Máquina,µm"),
    ("latin-1", "mätvärde,tjänst,över"),
    ("cp1253", "Θερμοκρασία,Πίεση,Τιμή"),
    ("iso8859-7", "ΘΕΡΜΟΚΡΑΣΙΑ,Γραμμή,Βάρος"),
    ("cp1254", "İşlem,Ağırlık,Hız"),
    ("cp1254", "Sıcaklık,Basınç,Değer"),
    ("euc_jp", "温度,圧力,センサー"),
    ("euc_jp", "速度,判定値,番号"),
    ("cp850", "Größe,Maß,Öl"),
    ("cp850", "Pièce,Température,Numéro"),
    ("cp850", "Temp °C,b,c"),
    ("koi8-r", "Давление,Датчик,Температура"),
    ("utf-8-sig", "größe,온도,温度"),
    ("utf-16", "größe,온도,温度"),
    ("utf-16-le", "größe,온도,abc"),
    ("utf-16-be", "a,b,c"),
    ("utf-32", "größe,온도,温度"),
    ("utf-32-le", "a,b,c"),
]


@pytest.mark.parametrize(("encoding", "names"), ENCODED)
def test_the_encoding_is_found_and_said(encoding: str, names: str, reader: Reader) -> None:
    found = reader.dataset(file(f"{names},Response", lambda i: f"{i},{i}.5,{i}.25,{label(i)}").encode(encoding))
    assert [one.name for one in found.columns] == [*names.split(","), "Response"]
    assert found.report is not None
    assert found.report.encoding_reason
    given = reader.dataset(
        file(f"{names},Response", lambda i: f"{i},{i}.5,{i}.25,{label(i)}").encode(encoding), encoding=encoding
    )
    assert [one.name for one in given.columns] == [*names.split(","), "Response"]


@pytest.mark.parametrize(
    ("encoding", "header"),
    [("utf-8", "größe,ä"), ("cp949", "온도,압력"), ("gb18030", "温度,压力"), ("cp1251", "Давление,Датчик")],
)
def test_one_stray_byte_does_not_change_the_whole_file(encoding: str, header: str, reader: Reader) -> None:
    text = file(f"{header},note,Response", lambda i: f"{i},{i}.5,x{i},{label(i)}").encode(encoding)
    found = reader.dataset(text.replace(b"x7", b"\xff7"))
    assert [one.name for one in found.columns][:2] == header.split(",")


def test_an_encoding_that_is_not_sure_is_said_with_what_else_would_fit(reader: Reader) -> None:
    found = reader.dataset(file("ΒΑΡΟΣ,Response", lambda i: f"{i},{label(i)}").encode("cp1253"))
    said = notices(found)["encoding_unsure"]
    assert all(words in said for words in ("not sure", "cp1253", "cp1251", "encoding="))
    sure = reader.dataset(file("Größe,Response", lambda i: f"{i},{label(i)}").encode("cp1252"))
    assert "encoding_unsure" not in notices(sure)


def test_an_encoding_that_is_none_or_wrong_is_refused(reader: Reader) -> None:
    assert reader.problem("a,Response\n1,0\n2,1\n", encoding="klingon").code == "encoding_unknown"
    text = file("größe,Response", lambda i: f"ß{i},{label(i)}").encode("latin-1")
    for name in ("utf-16", "utf-32"):
        assert reader.problem(text, encoding=name).code == "encoding_wrong"
    wrong = reader.problem(text, encoding="utf-8")
    assert (wrong.code, wrong.field) == ("encoding_wrong", "encoding")
    assert "line 1" in wrong.message


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_which_byte_comes_first_is_for_the_file_to_say(order: str, reader: Reader) -> None:
    raw = file("größe,Response", lambda i: f"{i},{label(i)}").encode(order)
    assert reader.dataset(raw, encoding=order[:6]).features == ["größe"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<!DOCTYPE html>\n<html><body>Log in, please</body></html>\n", "a web page"),
        ("<html><table><tr><td>1</td></tr></table></html>", "a web page"),
        ("<?xml version='1.0'?>\n<rows><row a='1'/></rows>\n", "XML"),
        ('[{"a": 1, "Response": 0},\n {"a": 2, "Response": 1}]\n', "JSON"),
        ('{"a": 1, "Response": 0}\n{"a": 2, "Response": 1}\n', "JSON"),
    ],
)
def test_a_text_that_is_no_table_is_called_what_it_is(text: str, what: str, reader: Reader) -> None:
    assert what in reader.problem(text).message


@pytest.mark.parametrize("ruler", ["|---|:--:|---:|", "| -- | --- | --- |", "|====|====|====|"])
def test_a_ruler_below_the_header_is_no_row(ruler: str, reader: Reader) -> None:
    found = reader.dataset(file(f"| Id | S1 | Response |\n{ruler}", lambda i: f"| {i} | {i}.5 | {label(i)} |"))
    assert (found.row_count, found.features) == (30, ["S1"])
    assert "Line 2" in notices(found)["ruler"]


def rows(sign: str, tail: str = "") -> Any:
    return lambda i: sign.join((str(i), f"{i}.25", label(i))) + tail


FORMS: list[Any] = [
    pytest.param(file("\ufeffId,A,Response", rows(",")), {}, None, id="byte order mark"),
    pytest.param(file("sep=;\nId;A;Response", rows(";")), {}, "sep_line", id="sep="),
    pytest.param(file('"sep=|"\r\nId|A|Response', rows("|"), end="\r\n"), {}, "sep_line", id="quoted sep= of bars"),
    pytest.param(file("# line 4\n# shift B\nId,A,Response", rows(",")), {}, "comments", id="comments"),
    pytest.param(file("// made by X\nId,A,Response", rows(",")), {}, "comments", id="slashes"),
    pytest.param(file("# Id A Response", rows(" ")), {}, "commented_header", id="header in a comment"),
    pytest.param(
        file("Machine;7\nDate;2024-01-05\n\nId;A;Response", rows(";")), {}, "preamble", id="preamble of pairs"
    ),
    pytest.param(file("Report;Line 4;\nBy;;\nId;A;Response", rows(";")), {}, "preamble", id="preamble filled up"),
    pytest.param(file("Export of line 4\nId,A,Response", rows(",")), {}, "preamble", id="preamble of a sentence"),
    pytest.param(file("Id,A,Response\n-,°C,-", rows(",")), {}, "units_row", id="units"),
    pytest.param(file("Id,A,Response\n,[bar],", rows(",")), {}, "units_row", id="units in brackets"),
    pytest.param(file("Id;A;Response;;", rows(";", ";;")), {}, "trailing_delimiter", id="trailing delimiters"),
    pytest.param(
        file("Id,A,Response", rows(",", ",")), {}, "trailing_delimiter", id="trailing delimiter of rows alone"
    ),
    pytest.param(file("Id|A|Response", rows("|")), {}, "separator", id="bars"),
    pytest.param(file("Id  A   Response", rows("   ")), {}, "blanks", id="blanks"),
    pytest.param(file(' "Id" "A" "Response"', rows("  ")), {}, "blanks", id="quoted names between blanks"),
    pytest.param(
        file("Id, A, Response", lambda i: f'"{i}", "{i}.25", "{label(i)}"'), {}, "blanks", id="blanks before quotes"
    ),
    pytest.param(file("Id,A,Response", rows(",")) + "Total,450,8\n", {}, "total_row", id="totals"),
    pytest.param(file("Id;A;Response", rows(";")) + "Summe;450,5;8\n", {}, "total_row", id="Summe"),
    pytest.param(file("Id,A,Response", rows(",")) + "\n(30 rows affected)\n", {}, "footer", id="footer"),
    pytest.param(
        file("7,0.25,1", rows(",")),
        {"header": False, "label": "column_3", "pass_value": "0"},
        "no_header",
        id="no header",
    ),
    pytest.param(file("Id^A^Response", rows("^")), {"separator": "^"}, None, id="a separator that is given"),
]


@pytest.mark.parametrize(("text", "options", "code"), FORMS)
def test_what_surrounds_the_rows_is_taken_with_a_notice(
    text: str, options: dict[str, Any], code: str | None, reader: Reader
) -> None:
    found = reader.dataset(text, **options)
    assert found.row_count == (31 if code == "no_header" else 30)
    assert found.column_count == 3
    assert reader.column(found, found.columns[1].name)[-1] == 29.25
    assert set(notices(found)) == ({code} if code else set()) or code in ("commented_header", "blanks", "total_row")
    assert code is None or code in notices(found)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(file(",A,Response", rows(",")), id="pandas"),
        pytest.param(file('"A","Response"', lambda i: f'"{i + 1}",{i}.25,{label(i)}'), id="R with commas"),
        pytest.param(file('"A" "Response"', lambda i: f'"{i + 1}" {i}.25 {label(i)}'), id="R with blanks"),
        pytest.param(file("A\tResponse", lambda i: f"{i + 1}\t{i}.25\t{label(i)}"), id="R with tabs"),
    ],
)
def test_an_index_without_a_name_is_left_out_and_said(text: str, reader: Reader) -> None:
    found = reader.dataset(text)
    assert found.features == ["A"]
    assert found.report is not None
    assert [(one.column, one.reason) for one in found.report.left_out] == [
        ("Unnamed: 0", "it has no name and counts the rows")
    ]


def test_a_header_is_asked_for_where_there_seems_to_be_none(reader: Reader) -> None:
    text = file("7,0.25,1", rows(","))
    asked = reader.problem(text)
    assert (asked.code, asked.field) == ("header_missing", "header")
    assert all(words in asked.message for words in ("header=no", "header=yes", "column_1"))
    assert reader.dataset(text, header=True, label="1", pass_value="0").row_count == 30


def test_a_header_above_a_mebibyte_is_read(reader: Reader) -> None:
    names = [f"{'sensor' * 50}{i}" for i in range(4_000)]
    line = ",".join(["Response", *names])
    assert len(line) > 1 << 20
    found = reader.dataset(line + "\n" + "".join(f"{i % 2}," + ",".join([str(i)] * 4_000) + "\n" for i in range(4)))
    assert found.column_count == 4_001


def test_a_first_line_without_end_is_called_what_it_is(reader: Reader) -> None:
    asked = reader.problem(b"x" * (34 << 20))
    assert asked.code == "header_too_long"


def test_a_line_number_is_that_of_the_file_whatever_stands_before(reader: Reader) -> None:
    text = file("# a\n# b\nId,A,Response\n-,mm,-", lambda i: f"{i},{'-' if i == 5 else i},{label(i)}")
    assert reader.dataset(text).columns[1].unread_lines == [10]
    blank = file("# a\n\nId, A, Response", lambda i: f'{i}, "{"-" if i == 5 else i}", {label(i)}')
    assert reader.dataset(blank).columns[1].unread_lines == [9]


@pytest.mark.parametrize("name", ["rows.tsv", "rows.txt", "rows.TXT.gz", "rows.dat", "rows.tab"])
def test_other_endings_are_taken(name: str, tmp_path: Path) -> None:
    from storage.tables.csv_text import check_file_name

    assert check_file_name(name) == []


PREAMBLES: list[Any] = [
    pytest.param("Report;Line 3\nDate;2024-01-01\n\n", 4, id="pairs"),
    pytest.param("Report;Line 3\nDate;2024-01-01\n", 3, id="pairs without a blank line"),
    pytest.param("Report;Line 3;k\nDate;2024-01-01;m\n\n", 4, id="as wide as the table"),
    pytest.param("Report;Line 3;k\nDate;2024-01-01;m\n", 3, id="as wide, without a blank line"),
    pytest.param("Report;Line 3;a;b;c\nDate;2024-01-01\n\n", 4, id="wider than the table"),
    pytest.param("Report, Line 3, Hall 2, x\nDate, 2024-01-01, a, b\n\n\n", 5, id="another separator"),
    pytest.param("Shift;A;\nBy;;\n\n", 4, id="filled up"),
    pytest.param('"Line 3\nHall 2";7\n\n', 4, id="a quoted field of two lines"),
]


@pytest.mark.parametrize(("before", "line"), PREAMBLES)
@pytest.mark.parametrize("label_given", [True, False])
def test_a_preamble_with_separators_is_passed_over_and_said(
    before: str, line: int, label_given: bool, reader: Reader
) -> None:
    given = {"label": "State", "pass_value": "0"} if label_given else {}
    name = "State" if label_given else "Response"
    found = reader.dataset(before + file(f"Id;A;{name}", lambda i: f"{i};{'-' if i == 3 else i};{label(i)}"), **given)
    assert ([one.name for one in found.columns], found.row_count) == (["Id", "A", name], 30)
    assert found.report is not None
    assert found.report.header_line == line
    assert f"line {line}" in notices(found)["preamble"]
    assert found.columns[1].unread_lines == [line + 4]


def test_a_text_row_after_a_blank_line_is_no_header(reader: Reader) -> None:
    text = file("Id,A,B,Response", lambda i: ("\n" if i == 3 else "") + f"{i},{'x,y' if i == 3 else '1,2'},{label(i)}")
    found = reader.dataset(text)
    assert (found.row_count, "preamble" in notices(found)) == (30, False)


def test_a_preamble_too_long_is_refused_with_the_line_of_the_header(reader: Reader) -> None:
    text = "".join(f"k{j};v{j}\n" for j in range(70)) + file("Id;A;State", lambda i: f"{i};{i};{label(i)}", rows=90)
    asked = reader.take_in(text, label="k0")
    assert isinstance(asked, list)
    assert "line 71" in asked[-1].message
    assert "40 lines before a header" in asked[-1].message


@pytest.mark.parametrize(
    ("text", "separator", "words"),
    [
        pytest.param(file("Id;A;Response", rows(";")), ",", "';' divides it into 3 columns", id="semicolons"),
        pytest.param(file("Id\tA\tResponse", rows("\t")), "^", "separator=tab", id="tabs"),
        pytest.param(file("Id,A,Response", rows(",")), " ", "',' divides it into 3 columns", id="a blank"),
        pytest.param(
            file("Id;A;Response", lambda i: f"{i};{i},25;{label(i)}"), ",", "leaves the file", id="in rows alone"
        ),
        pytest.param("a\n1\n2\n", ",", "send the separator that does", id="nothing does"),
        pytest.param("sep=;\n" + file("Id,A,Response", rows(",")), None, "as the first line says", id="sep="),
    ],
)
def test_a_separator_that_divides_nothing_is_refused_with_the_one_that_does(
    text: str, separator: str | None, words: str, reader: Reader
) -> None:
    asked = reader.problem(text, separator=separator)
    assert (asked.code, asked.field) == ("separator_wrong", "separator")
    assert words in asked.message
