"""Any file, well-formed or not: the reader against Python's csv module and pandas."""

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from storage.tables.content import Content
from storage.tables.csv_lines import Layout, line_of
from storage.tables.csv_numbers import NULL_WORDS
from storage.tables.csv_reader import CsvSource, read_layout, write_parquet
from storage.tables.options import DatasetOptions
from tests.support.examples import many

names = st.lists(
    st.from_regex(r"[a-z][a-z_]{0,5}[,;\" ]?x", fullmatch=True).filter(lambda name: name != "id"),
    min_size=2,
    max_size=5,
    unique=True,
)
words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\x85"), max_size=6
)
texts = st.one_of(
    words, st.sampled_from(["a,b", "c;d", 'say "x"', '"', '5" pipe', "two\nlines", "a\r\nb", "tab\there", " x ", "é"])
)
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(["", "1e5", "-0.0", ".5", "3.", "+7"]),
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """A header and rows; the first columns hold numbers or texts, some cells are empty."""
    header = draw(names)
    columns = [draw(st.sampled_from([numbers, texts])) for _ in header]
    return header, draw(st.lists(st.tuples(*columns).map(list), min_size=1, max_size=8))


ASKED = {
    "csv_empty",
    "csv_header_only",
    "columns_blank",
    "columns_duplicate",
    "ragged_rows",
    "quote_unclosed",
    "header_missing",
}
ASKED |= {"numbers_ambiguous", "numbers_contradict"}
"""What a text of a few characters may be refused for."""


def read(data: bytes, **options: Any) -> tuple[Layout | list[str], pl.DataFrame | None, list[int]]:
    """Layout or the codes of its problems, the table, and the line of every row."""
    with tempfile.TemporaryDirectory() as folder:
        upload, target, chosen = Path(folder) / "upload", Path(folder) / "data.parquet", DatasetOptions(**options)
        upload.write_bytes(data)
        source = read_layout(upload, "rows.csv", Path(folder), max_bytes=1 << 24, options=chosen)
        content = write_parquet(source, target, chosen) if isinstance(source, CsvSource) else source
        if not isinstance(source, CsvSource) or not isinstance(content, Content):
            assert isinstance(content, list)
            return [one.code for one in content], None, []
        frame = pl.read_parquet(target)
        assert content.missing == {name: frame[name].null_count() for name in frame.columns}
        return source.layout, frame, [line_of(source.layout, row) for row in range(source.layout.rows)]


@settings(max_examples=many(150), deadline=None)
@given(
    tables(),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
)
def test_what_the_csv_module_writes_is_read_back(
    table: tuple[list[str], list[list[str]]], separator: str, end: str, quoting: int, mark: bool
) -> None:
    header, rows = table
    assume(
        quoting == csv.QUOTE_ALL or not any(set(",;") & set(name) for name in header)
    )  # else no one could tell the separator
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator=end, quoting=quoting).writerows([header, *rows])  # type: ignore[arg-type]
    data = ("\ufeff" if mark else "").encode() + out.getvalue().encode()
    layout, frame, lines = read(data, separator=separator, decimal=".", header=True, max_unread_share=0.0)
    assert isinstance(layout, Layout), layout
    assert frame is not None
    assert frame.columns == [name.strip() for name in header]
    reference = pd.read_csv(
        io.StringIO(out.getvalue(), newline=""),
        sep=separator,
        dtype=str,
        keep_default_na=False,
        skip_blank_lines=False,
        lineterminator=None,
    )
    assert len(frame) == len(rows) == len(reference)
    for index, name in enumerate(frame.columns):
        check_column(frame[name], [row[index] for row in rows])
    assert lines == reference_lines(out.getvalue(), separator)


def check_column(column: pl.Series, cells: list[str]) -> None:
    """Numbers where every cell is one, as Python reads them; else the texts as they are."""
    odd = any(cell.strip().lower() not in NULL_WORDS and not is_number(cell) for cell in cells)
    if column.dtype == pl.Float64:
        assert odd or column.to_list() == [number(cell) for cell in cells]  # odd: with a unit, a decimal comma, a dash
    else:
        assert column.to_list() == [cell if cell.strip() else None for cell in cells]
        large = any(
            is_number(cell) and abs(float(cell)) > 9e8 for cell in cells
        )  # perhaps times, which stay as written
        assert large or odd


def number(cell: str) -> float | None:
    cell = cell.strip().lower()
    if cell in NULL_WORDS:
        return None
    value = float(cell.replace(",", "."))
    return value if abs(value) != float("inf") else None


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell and cell.isascii()


def reference_lines(text: str, separator: str) -> list[int]:
    """First line of every record but the header, by the csv module."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    line, found = 1, []
    for record in reader:
        found += [line] if record else []
        line = reader.line_num + 1
    return found[1:]


lines_of_anything = st.lists(st.text('ab12,;"\n\r .-', max_size=12), max_size=12).map("\n".join)


@settings(max_examples=many(300), deadline=None)
@given(lines_of_anything)
def test_any_text_is_read_as_the_csv_module_does_or_refused_for_what_is_wrong(text: str) -> None:
    found, frame, lines = read(text.encode())
    if isinstance(found, list):
        assert found
        assert set(found) <= ASKED
        if found == ["ragged_rows"]:
            assert "\n" in text or "\r" in text
        return
    assert frame is not None
    head = found.head
    if head.notices or found.notices or head.blanks_before:
        return  # what is not usual was taken with a notice: tests of its own say how
    separator = head.separator
    records = [record for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if record]
    while not any(cell.strip() for cell in records[0]):
        del records[0]  # lines of blanks before the header
    assert [name.strip() for name in records[0]] == frame.columns
    assert len(records) - 1 == len(frame)
    assert all(len(record) == len(records[0]) for record in records)
    assert lines == reference_lines(text, separator)[-len(records) + 1 :]
    for index, name in enumerate(frame.columns):
        cells = [record[index] for record in records[1:]]
        if frame[name].dtype == pl.Float64 and any(
            not is_number(cell) and cell.strip().lower() not in NULL_WORDS for cell in cells
        ):
            continue  # decimal commas, units, dashes: tests of their own say how
        if frame[name].dtype == pl.Float64:
            assert frame[name].to_list() == [number(cell) for cell in cells]
        else:
            assert frame[name].to_list() == [cell if cell.strip() else None for cell in cells]


@settings(max_examples=many(200), deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    found, frame, _ = read(data)
    assert (frame is None) == isinstance(found, list)
