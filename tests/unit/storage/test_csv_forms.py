"""Every accepted and refused form of CSV, one by one."""

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from storage.errors import StorageProblem
from storage.tables.content import Content
from storage.tables.csv_lines import line_of
from storage.tables.csv_reader import CsvSource, read_layout, write_parquet
from storage.tables.options import DatasetOptions

MAX_BYTES = 1 << 24


def source_of(
    data: bytes, folder: Path, file_name: str = "rows.csv", **options: Any
) -> CsvSource | list[StorageProblem]:
    upload = folder / "upload"
    upload.write_bytes(data)
    return read_layout(upload, file_name, folder, max_bytes=MAX_BYTES, options=DatasetOptions(**options))


def content_of(
    data: bytes, folder: Path, file_name: str = "rows.csv", **options: Any
) -> Content | list[StorageProblem]:
    source = source_of(data, folder, file_name, **options)
    return (
        source
        if isinstance(source, list)
        else write_parquet(source, folder / "data.parquet", DatasetOptions(**options))
    )


def table_of(data: bytes, folder: Path, file_name: str = "rows.csv", **options: Any) -> dict[str, list[Any]]:
    content = content_of(data, folder, file_name, **options)
    assert isinstance(content, Content), content
    frame = pl.read_parquet(folder / "data.parquet")
    assert content.missing == {name: frame[name].null_count() for name in frame.columns}
    assert [one.constant for one in content.columns] == [
        frame[name].drop_nulls().n_unique() <= 1 for name in frame.columns
    ]
    return frame.to_dict(as_series=False)


def problems_of(data: bytes, folder: Path, file_name: str = "rows.csv", **options: Any) -> list[StorageProblem]:
    found = content_of(data, folder, file_name, **options)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"a,b\n1,2\n3,4\n", {"a": [1, 3], "b": [2, 4]}, id="plain"),
        pytest.param(b"a,b\n1,2\n3,4", {"a": [1, 3], "b": [2, 4]}, id="no newline at the end"),
        pytest.param(b"\xef\xbb\xbfa,b\n1,2\n", {"a": [1], "b": [2]}, id="byte order mark"),
        pytest.param(b'\xef\xbb\xbf"a",b\n1,2\n', {"a": [1], "b": [2]}, id="byte order mark before a quote"),
        pytest.param(b"a,b\r\n1,x\r\n3,y\r\n", {"a": [1, 3], "b": ["x", "y"]}, id="CRLF"),
        pytest.param(b"a,b\r1,2\r3,4\r", {"a": [1, 3], "b": [2, 4]}, id="CR alone"),
        pytest.param(b'a,b\r1,"x\r"\r', {"a": [1], "b": ["x\r"]}, id="CR within quotes"),
        pytest.param(b"a;b\n1;2\n", {"a": [1], "b": [2]}, id="semicolons"),
        pytest.param(b"a\tb\n1\t2\n", {"a": [1], "b": [2]}, id="tabs"),
        pytest.param(b"a;b\n1,5;x\n2;y,z\n", {"a": [1.5, 2], "b": ["x", "y,z"]}, id="decimal comma"),
        pytest.param(
            b'a,b\n"1,5",2\n"0,25",3\n', {"a": [1.5, 0.25], "b": [2, 3]}, id="quoted decimal comma among commas"
        ),
        pytest.param(b"a;b\n1.234,5;2\n", {"a": [1234.5], "b": [2]}, id="thousands and decimals"),
        pytest.param(b'"a","b"\n"1","x, y"\n', {"a": [1], "b": ["x, y"]}, id="quoted"),
        pytest.param(b'a,b\n1,"say ""hi"""\n', {"a": [1], "b": ['say "hi"']}, id="doubled quotes"),
        pytest.param(b'a,b\n1,"two\nlines"\n2,z\n', {"a": [1, 2], "b": ["two\nlines", "z"]}, id="newline in quotes"),
        pytest.param(b'"a\nb",c\n1,2\n', {"a\nb": [1], "c": [2]}, id="newline in the header"),
        pytest.param(b'a,b\n1,5" pipe\n2,x\n', {"a": [1, 2], "b": ['5" pipe', "x"]}, id="quote within a field"),
        pytest.param(b"a,b\n1,2\n\n3,4\n", {"a": [1, 3], "b": [2, 4]}, id="blank line between rows"),
        pytest.param(b"\na,b\n1,2\n\n\r\n", {"a": [1], "b": [2]}, id="blank lines around"),
        pytest.param(b"a,b,c\n1,,x\n,2,\n", {"a": [1, None], "b": [None, 2], "c": ["x", None]}, id="empty is missing"),
        pytest.param(b'a,b\n"",x\n1,""\n', {"a": [None, 1], "b": ["x", None]}, id="quoted empty is missing"),
        pytest.param(
            b"a,b\nNaN,x\nNA,NA\nnull,null\n1,y\n",
            {"a": [None, None, None, 1], "b": ["x", "NA", "null", "y"]},
            id="null words",
        ),
        pytest.param(b"a,b\n 1 ,x\n,  \n", {"a": [1, None], "b": ["x", None]}, id="spaces"),
        pytest.param(
            b"a,b\ninf,1\n2,-Infinity\n1e999,3\n",
            {"a": [None, 2, None], "b": [1, None, 3]},
            id="infinities are missing",
        ),
        pytest.param(b"a,b\n1e-3,+.5\n-2E2,7.\n", {"a": [0.001, -200], "b": [0.5, 7]}, id="spellings of numbers"),
        pytest.param(b"a,b\n1,2\nx,3\n", {"a": ["1", "x"], "b": [2, 3]}, id="a word among numbers"),
        pytest.param(
            b"Id,b\n007,1\n12345678901234567890,2\n",
            {"Id": ["007", "12345678901234567890"], "b": [1, 2]},
            id="ids keep their spelling",
        ),
        pytest.param(b"id,serial\n1,2\n", {"id": ["1"], "serial": ["2"]}, id="ids alone"),
        pytest.param(b" a , b\n1,2\n", {"a": [1], "b": [2]}, id="spaces around names"),
        pytest.param("a,größe\n1,süß\n".encode(), {"a": [1], "größe": ["süß"]}, id="UTF-8"),
        pytest.param("a,größe\n1,süß\n".encode("latin-1"), {"a": [1], "größe": ["süß"]}, id="Latin-1"),
        pytest.param("a,b\n1,5 €\n".encode("cp1252"), {"a": [1], "b": [5]}, id="Latin-1 as Windows writes it"),
    ],
)
def test_accepted(data: bytes, expected: dict[str, list[Any]], tmp_path: Path) -> None:
    assert table_of(data, tmp_path) == expected


@pytest.mark.parametrize("name", ["rows.csv.gz", "ROWS.CSV.GZ", "rows.csv"])
def test_gzip_is_unpacked_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    assert table_of(gzip.compress(b"a,b\n1,2\n", mtime=0), tmp_path, name) == {"a": [1], "b": [2]}


@pytest.mark.parametrize(
    ("data", "name", "code", "words"),
    [
        (b"a,b\n1,2\n", "rows.xlsx", "not_csv", "rows.xlsx"),
        (b"a,b\n1,2\n", "csv", "not_csv", "'csv'"),
        (b"PK\x03\x04rest", "rows.csv", "not_csv", "Excel"),
        (b"PAR1rest", "rows.csv", "not_csv", "Parquet"),
        (b"a,b\n1,\0\n", "rows.csv", "not_csv", "Line 2 holds a NUL"),
        (b"", "rows.csv", "csv_empty", "CSV is empty."),
        (b"\n\n", "rows.csv", "csv_empty", "CSV is empty."),
        (b"\xef\xbb\xbf", "rows.csv", "csv_empty", "CSV is empty."),
        (gzip.compress(b"", mtime=0), "rows.csv.gz", "csv_empty", "CSV is empty."),
        (b"a,b\n", "rows.csv", "csv_header_only", "no rows"),
        (b"a,b\n\n\n", "rows.csv", "csv_header_only", "no rows"),
        (b"a,b,a,b,c\n1,2,3,4,5\n", "rows.csv", "columns_duplicate", "'a', 'b'"),
        (b"a, a\n1,2\n", "rows.csv", "columns_duplicate", "'a'"),
        (b"a,,b, \n1,2,3,4\n", "rows.csv", "columns_blank", "2, 4"),
        (b"a,__label__\n1,2\n", "rows.csv", "columns_reserved", "__label__"),
        (b'a,b\n"1,500",2\n"1,200",3\n', "rows.csv", "numbers_ambiguous", "'1,500' in column 'a', line 2"),
        (b"a,b\n1,2\n3\n", "rows.csv", "ragged_rows", "line 3 has 1"),
        (
            b"a,b\n1,2,3\n4,5\n6\n",
            "rows.csv",
            "ragged_rows",
            "2 rows do not have 2 fields like the header: line 2 has 3, line 4 has 1.",
        ),
        (b'a,b\n1,"x\ny"\n2\n', "rows.csv", "ragged_rows", "line 4 has 1"),
        (b'a,b\n1,5" x\n\n2\n', "rows.csv", "ragged_rows", "line 4 has 1"),
        (b'a,b\n1,x\n2,"y\n3,z\n', "rows.csv", "quote_unclosed", "line 3"),
        (b'a,b\n1,x\n2,"y\n' + b"3,z\n" * 100_000, "rows.csv", "quote_unclosed", "line 3"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], "rows.csv.gz", "gzip_broken", "damaged or cut off"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * (MAX_BYTES // 4)), "rows.csv.gz", "too_large", str(MAX_BYTES)),
    ],
)
def test_refused(data: bytes, name: str, code: str, words: str, tmp_path: Path) -> None:
    (found,) = problems_of(data, tmp_path, name)
    assert found.code == code
    assert words in found.message


def test_all_problems_of_a_file_come_at_once(tmp_path: Path) -> None:
    found = problems_of(b"a,a,\n1,2\n1,2,3\n", tmp_path)
    assert [one.code for one in found] == ["columns_blank", "columns_duplicate", "ragged_rows"]


def test_of_many_ragged_rows_the_first_are_listed_and_all_counted(tmp_path: Path) -> None:
    (found,) = problems_of(b"a,b\n" + b"1\n" * 50, tmp_path)
    assert found.values["count"] == 50
    assert found.values["lines"] == list(range(2, 12))
    assert found.message.endswith("line 11 has 1, ….")


@pytest.mark.parametrize("word", [b"x", b"NA", b"1,5", b' 2 "'])
def test_a_value_that_the_first_rows_do_not_foretell_is_read_like_an_early_one(word: bytes, tmp_path: Path) -> None:
    rows = [b"1;2"] * 5_000
    (tmp_path / "early").mkdir()
    (tmp_path / "late").mkdir()
    early = table_of(b"a;b\n" + b"\n".join([word + b";2", *rows]), tmp_path / "early")
    late = table_of(b"a;b\n" + b"\n".join([*rows, word + b";2"]), tmp_path / "late")
    assert [early["a"][0], *early["a"][1:]] == [late["a"][-1], *late["a"][:-1]]


def test_a_column_that_is_empty_at_first_is_numeric_all_the_same(tmp_path: Path) -> None:
    content = content_of(b"a,b\n" + b"1,\n" * 5_000 + b"1,2.5\n", tmp_path)
    assert isinstance(content, Content)
    assert all(one.number and one.constant for one in content.columns)
    assert content.missing == {"a": 0, "b": 5_000}
    assert content.rows == 5_001


def test_a_row_knows_its_line_among_blank_lines_and_long_fields(tmp_path: Path) -> None:
    source = source_of(b'a,b\n1,"x\n\ny"\n\n2,z\n3,w\n', tmp_path)
    assert isinstance(source, CsvSource)
    assert [line_of(source.layout, row) for row in range(3)] == [2, 6, 7]


def test_records_longer_than_a_block_are_read(tmp_path: Path) -> None:
    words = "\n".join(f"word {n}" for n in range(20_000))
    rows = "".join(f'{n},"{words}"\n' for n in range(12))
    table = table_of(f"a,b\n{rows}".encode(), tmp_path)
    assert table["a"] == list(range(12))
    assert set(table["b"]) == {words}
