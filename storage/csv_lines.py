"""The lines of a CSV text: separator, header, and whether every row has as many fields as the header. Exact line numbers, flat memory.

Most files are scanned with numpy at about a gigabyte a second. What only a real parser can follow (a quote within a field, blank lines
between rows, `\\r` alone as line end) is rewritten by Python's csv module into the form that the fast readers take.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from storage.errors import Problem

SEPARATORS = ",;\t"
BLOCK = 1 << 20
LONGEST_RECORD = 16 << 20
LISTED = 10
BOM = b"\xef\xbb\xbf"
END = "\0end"
NEWLINE, RETURN, QUOTE = b'\n\r"'
Codes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows of a text are: in `path`, after `header_lines` lines, `rows` of them, blank lines not counted.

    `original` and `original_separator` are what people see, when `path` is a rewritten copy. `straight` means that row i (0-based) is
    line i + 2 of it.
    """

    path: Path
    separator: str
    names: tuple[str, ...]
    header_lines: int
    rows: int
    quoted: bool
    straight: bool
    original: Path
    original_separator: str


@dataclass(frozen=True, slots=True)
class Records:
    """The whole records at the start of a block: fields and line (0-based) of each, their lines, and the position after the last."""

    fields: npt.NDArray[np.uint32]
    line: npt.NDArray[np.int64]
    blank: Flags
    lines: int
    end: int


def read_head(text: Path) -> tuple[str, list[str]]:
    """Find the separator, `,` `;` or tab, that divides the first records most evenly; return it with the header's fields."""
    with text.open(encoding="utf-8-sig", newline="", errors="replace") as opened:
        sample = opened.read(BLOCK)
    best: tuple[tuple[bool, bool, float, int], str, list[str]] = ((False, False, 0.0, 0), ",", [])
    for separator in SEPARATORS:
        strict = _first_records(sample, separator, strict=True)
        records = strict or _first_records(sample, separator, strict=False)
        if records:
            width = len(records[0])
            even = sum(len(record) == width for record in records) / len(records)
            best = max(best, ((width > 1, bool(strict), even, width), separator, records[0]), key=lambda found: found[0])
    return best[1], [name.strip() for name in best[2]]


def read_lines(text: Path, separator: str, names: list[str], folder: Path) -> Layout | Problem:
    """Check every row of the text against the header; rewrite it in `folder` where needed."""
    found = _scan(text, separator, names)
    return _rewrite(text, separator, names, folder / "rewritten.csv") if found is None else found


def line_of(layout: Layout, row: int) -> int:
    """The physical line, 1-based, on which a row starts. Reads the text up to it unless rows and lines go together."""
    if layout.straight:
        return row + 2
    for index, (line, _) in enumerate(_records(layout.original, layout.original_separator)):
        if index == row + 1:
            return line
    raise IndexError(row)


def _first_records(sample: str, separator: str, *, strict: bool) -> list[list[str]]:
    """Up to 50 records; none if strict and a quoted field goes on after its quote."""
    records: list[list[str]] = []
    cut = len(sample) == BLOCK
    try:
        for record in csv.reader(io.StringIO(sample, newline=""), delimiter=separator, strict=strict):
            if record:
                records.append(record)
            if len(records) == 50:
                return records
    except csv.Error:
        if strict and not cut:
            return []
    return records[:-1] if cut and len(records) > 1 else records  # the last one may be cut


def _scan(text: Path, separator: str, names: list[str]) -> Layout | Problem | None:
    """Walk over the text block by block; None when it takes the csv module to follow it."""
    records_seen = line = wrong_count = header_lines = 0
    quoted, straight, blank_seen = False, True, False
    ragged: list[tuple[int, int]] = []
    rest = b""
    with text.open("rb") as opened:
        if opened.read(3) != BOM:
            opened.seek(0)
        while block := rest + (data := opened.read(BLOCK)):
            if not data and not block.endswith(b"\n"):
                block += b"\n"
            records = _records_of(block, ord(separator))
            if records is None or (not records.end and (not data or len(block) > LONGEST_RECORD)):
                return None
            whole, rest = block[: records.end], block[records.end :]
            if not records.end:
                continue
            if _rows_follow(records.blank, blank_before=blank_seen):
                return None
            header_lines = header_lines or (int(records.line[1]) if len(records.line) > 1 else records.lines)
            blank_seen = bool(records.blank[-1])
            wrong = np.flatnonzero((records.fields != len(names)) & ~records.blank)
            ragged += [(line + 1 + int(records.line[i]), int(records.fields[i])) for i in wrong[: LISTED - len(ragged)]]
            wrong_count += len(wrong)
            records_seen += len(records.fields) - int(records.blank.sum())
            quoted |= b'"' in whole
            straight &= records.lines == len(records.fields)
            line += records.lines
    if wrong_count:
        return _ragged(ragged, wrong_count, len(names))
    return Layout(text, separator, tuple(names), header_lines, records_seen - 1, quoted, straight, text, separator)


def _records_of(block: bytes, separator: int) -> Records | None:
    """Find the records by the parity of quotes; None when a quote stands where RFC 4180 has none, or `\\r` alone."""
    codes = np.frombuffer(block, np.uint8)
    newlines, separators = codes == NEWLINE, codes == separator
    quoted = b'"' in block
    if quoted:
        inside = np.bitwise_xor.accumulate((codes == QUOTE).view(np.uint8)).view(np.bool_)
        every_newline = newlines
        newlines, separators = newlines & ~inside, separators & ~inside
    ends = np.flatnonzero(newlines)
    if not len(ends):
        return Records(np.empty(0, np.uint32), ends, np.empty(0, np.bool_), 0, 0)
    end = int(ends[-1]) + 1
    if (quoted and not _tidy(codes[:end], inside[:end], separator)) or (b"\r" in block and _lone_return(codes[:end])):
        return None
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    length = ends - starts
    blank = (length == 0) | ((length == 1) & (codes[starts] == RETURN))
    fields = np.add.reduceat(separators[:end].view(np.uint8), starts, dtype=np.uint32) + np.uint32(1)
    if not quoted:
        return Records(fields, np.arange(len(ends)), blank, len(ends), end)
    lines = np.flatnonzero(every_newline[:end])
    return Records(fields, np.searchsorted(lines, starts), blank, len(lines), end)


def _tidy(codes: Codes, inside: Flags, separator: int) -> bool:
    """Whether every quote opens a field at its start, closes it at its end, or is doubled within."""
    quotes = np.flatnonzero(codes == QUOTE)
    opens = inside[quotes]
    at_start, at_end = np.zeros(256, np.bool_), np.zeros(256, np.bool_)
    at_start[[separator, NEWLINE, QUOTE]] = True
    at_end[[separator, NEWLINE, RETURN, QUOTE]] = True
    before = codes[quotes[opens] - 1]  # of a quote at the very start: the newline at the very end
    return bool(at_start[before].all() and at_end[codes[quotes[~opens] + 1]].all())


def _lone_return(codes: Codes) -> bool:
    returns = np.flatnonzero(codes == RETURN)  # the last code is a newline
    return bool((codes[returns + 1] != NEWLINE).any())


def _rows_follow(blank: Flags, *, blank_before: bool) -> bool:
    """Whether a row comes after a blank line."""
    if not blank_before and not blank.any():
        return False
    return bool((~blank).any()) if blank_before else bool((~blank[blank.argmax() :]).any())


class _Unclosed(Exception):
    """A quoted field does not end, or not before the csv module's limit of 131,072 characters. `line` is where its record starts."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def _records(text: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each with its first line, as Python's csv module reads them. Raises `_Unclosed`."""
    line = 1
    with text.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.reader(_with_end(opened), delimiter=separator)
        try:
            for record in reader:
                if record == [END]:
                    return
                if record and record[-1].endswith(END):
                    raise _Unclosed(line)
                if record:
                    yield line, record
                line = reader.line_num + 1
        except csv.Error as error:
            raise _Unclosed(line) from error


def _with_end(lines: Iterable[str]) -> Iterator[str]:
    """The lines and a mark: the csv module takes the end of a file for the end of a quoted field."""
    for line in lines:
        yield line if line.endswith(("\n", "\r")) else line + "\n"
    yield END


def _rewrite(text: Path, separator: str, names: list[str], target: Path) -> Layout | Problem:
    count = wrong_count = 0
    ragged: list[tuple[int, int]] = []
    try:
        with target.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\r\n")  # it quotes the characters of its line end
            for line, record in _records(text, separator):
                count += 1
                if len(record) != len(names):
                    wrong_count += 1
                    ragged += [(line, len(record))] if len(ragged) < LISTED else []
                elif count == 1:
                    writer.writerow(["header"])  # one line, whatever the names hold
                else:
                    writer.writerow(record)
    except _Unclosed as unclosed:
        line = unclosed.line
        return Problem("quote_unclosed", "file", f"The row in line {line} has a quoted field that is not closed.", {"line": line})
    if wrong_count:
        return _ragged(ragged, wrong_count, len(names))
    return Layout(target, ",", tuple(names), 1, count - 1, True, False, text, separator)


def _ragged(rows: list[tuple[int, int]], count: int, width: int) -> Problem:
    shown = ", ".join(f"line {line} has {fields}" for line, fields in rows) + (", …" if count > len(rows) else "")
    which = "1 row does" if count == 1 else f"{count} rows do"
    return Problem(
        "ragged_rows",
        "file",
        f"{which} not have {width} fields like the header: {shown}.",
        {"count": count, "lines": [line for line, _ in rows], "fields": [fields for _, fields in rows], "expected": width},
    )
