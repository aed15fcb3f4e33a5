"""Joined exports: what repeats the start of the file is no row, wherever it stands, and is said with its lines."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.plant_files import Reader, file, label, notices

HEADER = "Id,Temp,Pressure,Response"


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def row(i: int) -> str:
    return f"{i},{i}.5,{i * 2},{label(i)}"


def rows(start: int, end: int) -> str:
    return "".join(row(i) + "\n" for i in range(start, end))


def joined(between: str, head: str = HEADER + "\n", ends: tuple[int, int] = (30, 60)) -> str:
    return head + rows(0, ends[0]) + between + rows(*ends)


AGAIN: list[Any] = [
    pytest.param(HEADER + "\n", {}, {"repeated_header": [32]}, id="as it is"),
    pytest.param("ID,TEMP,pressure,RESPONSE\n", {}, {"repeated_header": [32]}, id="other case"),
    pytest.param(" Id , Temp,Pressure ,Response \n", {}, {"repeated_header": [32]}, id="blanks"),
    pytest.param('"Id","Temp","Pressure","Response"\n', {}, {"repeated_header": [32]}, id="quoted"),
    pytest.param("\ufeff" + HEADER + "\n", {}, {"repeated_header": [32]}, id="with its byte order mark"),
    pytest.param("\n\n" + HEADER + "\n", {}, {"repeated_header": [34]}, id="after blank lines"),
    pytest.param(HEADER + "\n" + HEADER + "\n", {}, {"repeated_header": [32, 33]}, id="an empty file between"),
    pytest.param("Nr,temp_C,p,Response\n", {"label": "Response"}, {"repeated_header": [32]}, id="the label alone"),
    pytest.param("Nr,temp_C,p,Response\n", {}, {"repeated_header": [32]}, id="the label alone, detected"),
    pytest.param("Nr,temp_C,p,RESPONSE\n", {}, {"repeated_header": [32]}, id="the label alone in other case"),
    pytest.param("Total,450,900,8\n" + HEADER + "\n", {}, {"total_row": [32], "repeated_header": [33]}, id="totals"),
    pytest.param("Sum:,450.5,900,8\n", {}, {"total_row": [32]}, id="totals alone"),
    pytest.param(
        "(30 rows)\n" + HEADER + "\n", {}, {"repeated_preamble": [32], "repeated_header": [33]}, id="a footer before"
    ),
    pytest.param(
        "Report of B\nDate,2024\n\n" + HEADER + "\n",
        {},
        {"repeated_preamble": [32, 33], "repeated_header": [35]},
        id="a preamble before",
    ),
    pytest.param(
        "# shift B\n" + HEADER + "\n", {}, {"repeated_preamble": [32], "repeated_header": [33]}, id="a comment before"
    ),
    pytest.param("sep=,\n" + HEADER + "\n", {}, {"repeated_preamble": [32], "repeated_header": [33]}, id="sep= before"),
    pytest.param(
        HEADER + "\n-,°C,bar,-\n", {}, {"repeated_header": [32], "repeated_units": [33]}, id="units in the second alone"
    ),
]


@pytest.mark.parametrize(("between", "options", "lines"), AGAIN)
@pytest.mark.parametrize("ends", [(30, 60), (3_000, 3_020)])
def test_what_a_joined_file_repeats_is_no_row(
    between: str, options: dict[str, Any], lines: dict[str, list[int]], ends: tuple[int, int], reader: Reader
) -> None:
    found = reader.dataset(joined(between, ends=ends), pass_value="0", **options)
    assert found.row_count == ends[1]
    assert found.labels.fail_count == sum(label(i) == "1" for i in range(ends[1]))
    assert found.features == ["Temp", "Pressure"]
    assert reader.column(found, "Temp") == [i + 0.5 for i in range(ends[1])]
    assert found.report is not None
    shift = ends[0] - 30
    said = {one.code: [line - shift for line in one.lines] for one in found.report.notices}
    assert {code: said.get(code) for code in lines} == lines


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        pytest.param("Id,Temp,Pressure,Response\n-,°C,bar,-\n", None, id="units"),
        pytest.param("Line 4\nDate,2024\n\n" + HEADER + "\n", "Line 5\nDate,2025\n\n" + HEADER + "\n", id="preamble"),
        pytest.param("Line 4,,,\n" + HEADER + "\n", "Line 5,,,\n" + HEADER + "\n", id="preamble filled up"),
        pytest.param("# a\n# b,c,d,e\n" + HEADER + "\n", None, id="comments"),
    ],
)
def test_all_that_stands_before_the_rows_may_come_again(head: str, rest: str | None, reader: Reader) -> None:
    for ends in ((30, 60), (500, 530)):
        text = joined(rest or head, head, ends=ends)
        found = reader.dataset(text, pass_value="0")
        assert found.row_count == ends[1]
        assert reader.column(found, "Pressure") == [2 * i for i in range(ends[1])]
        assert "repeated_header" in notices(found)


@pytest.mark.parametrize("text", [
    pytest.param(file(",A,Response", lambda i: f"{i},{i}.5,{label(i)}") * 2, id="pandas"),
    pytest.param(file('"A","Response"', lambda i: f'"{i}",{i}.5,{label(i)}') * 2, id="R"),
    pytest.param(file("Id;A;Response", lambda i: f"{i};{i}.5;{label(i)};") * 2, id="trailing delimiter"),
    pytest.param(file("Id  A  Response", lambda i: f"{i}  {i}.5  {label(i)}") * 2, id="blanks"),
    pytest.param(file("Id,A,Response", lambda i: f'{i},"{i}.5",{label(i)}', end="\r\n") * 2, id="CRLF and quotes"),
    pytest.param(file("Größe,Température,Ergebnis", lambda i: f"{i},{i}.5,{label(i)}") * 2, id="beyond ASCII"),
    pytest.param(file("|Id|A|Response|\n|--|--|--|", lambda i: f"|{i}|{i}.5|{label(i)}|") * 2, id="rulers"),
])  # fmt: skip
def test_the_header_of_every_form_is_known_again(text: str, reader: Reader) -> None:
    found = reader.dataset(text, pass_value="0", **({"label": "Ergebnis"} if "Ergebnis" in text else {}))
    assert (found.row_count, found.labels.fail_count) == (60, 16)
    assert len(found.columns) == 3
    assert "repeated_header" in notices(found)


def test_headers_after_many_rows_of_text_are_found(reader: Reader) -> None:
    part = file("Serial,Note,A,Response", lambda i: f"S{i},Serial of Response,{i}.5,{label(i)}", rows=40_000)
    found = reader.dataset(part * 2, pass_value="0")
    assert (found.row_count, found.labels.fail_count) == (80_000, 20_000)
    assert found.report is not None
    assert next(one.lines for one in found.report.notices if one.code == "repeated_header") == [40_002]


def test_line_numbers_stay_exact_behind_a_repeated_header(reader: Reader) -> None:
    ragged = reader.problem(joined(HEADER + "\n").replace("\n40,40.5,", "\n40,"), pass_value="0")
    assert (ragged.code, ragged.values["lines"]) == ("ragged_rows", [43])
    text = joined(HEADER + "\n").replace("\n40,40.5,", "\n40,-?-,")
    assert reader.dataset(text, pass_value="0").columns[1].unread_lines == [43]


def test_a_header_again_with_its_columns_in_another_order_is_refused(reader: Reader) -> None:
    for again in ("Id,Pressure,Temp,Response\n", "Nr,Pressure,Temp,Response\n"):
        asked = reader.problem(joined(again), pass_value="0")
        assert (asked.code, asked.values["line"]) == ("header_differs", 32)
        assert "another order" in asked.message


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(file("Id,A,B,Fault", lambda i: f"{i},{i},{i},{'Fault' if i % 4 == 0 else 'none'}"), id="a value"),
        pytest.param(
            file("Id,A,B,Fault", lambda i: f"{i},Bad,Bad,Fault" if i == 4 else f"{i},1,2,{'Fault' * (i % 2) or 'OK'}"),
            id="bad sensors",
        ),
        pytest.param(file("Name,A,Response", lambda i: f"{'Total' if i == 9 else 'Sum'} x,{i},{label(i)}"), id="words"),
        pytest.param(file("Id,A,B,Response", lambda i: f"{i},{'' if i == 9 else i},,{label(i)}"), id="gaps"),
    ],
)  # fmt: skip
def test_a_row_is_not_taken_for_a_header(text: str, reader: Reader) -> None:
    found = reader.dataset(text, **({"pass_value": "0"} if "Response" in text else {}))
    assert found.row_count == 30
    assert not {"repeated_header", "total_row", "repeated_preamble"} & set(notices(found))


def test_a_cut_off_row_before_a_repeated_header_is_refused_not_lost(reader: Reader) -> None:
    asked = reader.problem(joined("30,30.5\n" + HEADER + "\n"), pass_value="0")
    assert (asked.code, asked.values["lines"]) == ("ragged_rows", [32])


def test_a_join_without_a_line_end_is_refused_and_says_so(reader: Reader) -> None:
    part = HEADER + "\n" + rows(0, 30)
    asked = reader.problem(part.rstrip() + part, pass_value="0")
    assert (asked.code, asked.values["lines"]) == ("ragged_rows", [31])
    assert "has no line end" in asked.message
