"""The lines of a CSV text: whether every row has as many fields as the header. Exact line numbers, flat memory.

Most files are scanned with numpy at about a gigabyte a second. What only a real parser can follow (a quote within a
field, blank lines between rows, `\\r` alone as line end, blanks around fields) is rewritten by Python's csv module into
the form that the fast readers take."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from schemas.manifests import Notice
from storage.errors import StorageProblem
from storage.tables.csv_form import MOST_PREAMBLE
from storage.tables.csv_head import BLANK, Head
from storage.tables.csv_probe import Probe
from storage.tables.csv_repeats import TOTAL, OtherOrder, RepeatedLines, sift

BLOCK = 1 << 20
LONGEST_RECORD = 16 << 20
LISTED = 10
END = "\0end"
NEWLINE, RETURN, QUOTE = b'\n\r"'
TAIL_BYTES = 1 << 16
MOST_FOOTER, FEWEST_ROWS = 3, 10
"""So many short lines at the very end of so many rows are a footer, not rows with missing fields."""
Codes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows of a text are: in `path`, after `header_lines` lines, `rows` of them, blank lines not counted.

    `original` is what people see, when `path` is a rewritten copy. `straight` means that rows and lines go together.
    `more_follows`: lines that are no rows stand after the last one.
    """

    path: Path
    separator: str
    head: Head
    header_lines: int
    rows: int
    quoted: bool
    straight: bool
    original: Path
    notices: tuple[Notice, ...] = ()
    more_follows: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """A name for every field, `\\0` and its place where the file has none."""
        return tuple(name or f"\0{place}" for place, name in enumerate(self.head.names))


@dataclass(frozen=True, slots=True)
class Records:
    """The whole records at the start of a block: fields, position and line (0-based) of each, their lines, and the
    position after the last."""

    fields: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]
    line: npt.NDArray[np.int64]
    blank: Flags
    lines: int
    end: int


def read_lines(text: Path, head: Head, folder: Path) -> Layout | StorageProblem:
    """Check every row of the text against the header; rewrite it in `folder` where needed."""
    found = None if head.blanks_before else _scan(text, head)
    layout = _rewrite(text, head, folder / "rewritten.csv") if found is None else found
    return layout if isinstance(layout, StorageProblem) or not layout.rows else _without_total(layout)


def line_of(layout: Layout, row: int) -> int:
    """The physical line, 1-based, on which a row starts. Reads the text up to it unless rows and lines go together."""
    if layout.straight:
        return row + layout.head.first_line
    for index, (line, _) in enumerate(_rows(layout.original, layout.head)):
        if index == row:
            return line
    raise IndexError(row)


def lines_of(layout: Layout, rows: Iterable[int]) -> dict[int, int]:
    """The lines of several rows, by row; the text is read once at most."""
    wanted = set(rows)
    if layout.straight or not wanted:
        return {row: row + layout.head.first_line for row in wanted}
    last, found = max(wanted), dict[int, int]()
    for index, (line, _) in enumerate(_rows(layout.original, layout.head)):
        if index in wanted:
            found[index] = line
        if index == last:
            break
    return found


def _scan(text: Path, head: Head) -> Layout | StorageProblem | None:
    """Walk over the text block by block; None when it takes the csv module to follow it."""
    width = len(head.names)
    records_seen = wrong_count = 0
    line = head.first_line - 1
    quoted, straight, blank_seen = False, True, False
    probe = Probe(head.around, head.separator) if head.around else None
    ragged: list[tuple[int, int, int]] = []
    rest = b""
    with text.open("rb") as opened:
        header = opened.read(head.offset)
        if b"\r" in header.replace(b"\r\n", b""):
            return None
        while block := rest + (data := opened.read(BLOCK)):
            if not data and not block.endswith(b"\n"):
                block += b"\n"
            records = _records_of(block, ord(head.separator))
            if records is None or (not records.end and (not data or len(block) > LONGEST_RECORD)):
                return None
            whole, rest = block[: records.end], block[records.end :]
            if not records.end:
                continue
            if _rows_follow(records.blank, blank_before=blank_seen):
                return None
            blank_seen = bool(records.blank[-1])
            if probe and probe.finds(whole, records.starts, records_seen):
                return None
            wrong = np.flatnonzero((records.fields != width) & ~records.blank)
            ragged += [
                (line + 1 + int(records.line[i]), int(records.fields[i]), records_seen + int(i))
                for i in wrong[: LISTED - len(ragged)]
            ]
            wrong_count += len(wrong)
            records_seen += len(records.fields) - int(records.blank.sum())
            quoted |= b'"' in whole
            straight &= records.lines == len(records.fields)
            line += records.lines
    if probe and any(row < records_seen - 1 for row in probe.totals):
        return None
    layout = Layout(text, head.separator, head, header.count(b"\n"), records_seen, quoted, straight, text)
    return _checked(layout, ragged, wrong_count) if wrong_count else layout


def _checked(layout: Layout, ragged: list[tuple[int, int, int]], count: int) -> Layout | StorageProblem:
    """The layout without its footer; a problem when rows, given with line, fields and number, are ragged."""
    rows = layout.rows - count
    width = len(layout.head.names)
    footer = (
        count <= MOST_FOOTER
        and rows >= FEWEST_ROWS
        and all(row >= rows and fields < width for _, fields, row in ragged)
    )
    if not footer:
        return _ragged(ragged, count, width)
    lines = [line for line, _, _ in ragged]
    what = "The last line has" if count == 1 else f"The last {count} lines have"
    message = f"{what} fewer fields than the header and is no row: line {lines[0]}."
    return replace(
        layout,
        rows=rows,
        more_follows=True,
        notices=(*layout.notices, Notice(code="footer", message=message, lines=lines)),
    )


def _without_total(layout: Layout) -> Layout:
    """The layout without a last row that holds totals."""
    size = layout.path.stat().st_size
    with layout.path.open("rb") as opened:
        opened.seek(max(0, size - TAIL_BYTES))
        tail = opened.read().decode("utf-8", "replace")
    records = [
        record
        for record in csv.reader(tail.splitlines(), delimiter=layout.separator)
        if record and any(cell.strip() for cell in record)
    ]
    full = [record for record in records if len(record) == len(layout.head.names)]
    if layout.rows < 3 or len(full) < 3 or records[-1] != full[-1] or not _is_total(full[-1], full[-2]):
        return layout
    shown = layout.head.separator.join(full[-1])
    message = f"The last row holds totals and is left out: {shown:.80}."
    return replace(
        layout,
        rows=layout.rows - 1,
        more_follows=True,
        notices=(*layout.notices, Notice(code="total_row", message=message)),
    )


def _is_total(last: list[str], before: list[str]) -> bool:
    words = [i for i, cell in enumerate(last[:5]) if TOTAL.match(cell)]
    return (
        bool(words)
        and not any(TOTAL.match(cell) for cell in before[:5])
        and last[words[0]] not in ("", before[words[0]])
    )


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
        return Records(np.empty(0, np.uint32), ends, ends, np.empty(0, np.bool_), 0, 0)
    end = int(ends[-1]) + 1
    if (quoted and not _tidy(codes[:end], inside[:end], separator)) or (b"\r" in block and _lone_return(codes[:end])):
        return None
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    length = ends - starts
    blank = (length == 0) | ((length == 1) & (codes[starts] == RETURN))
    fields = np.add.reduceat(separators[:end].view(np.uint8), starts, dtype=np.uint32) + np.uint32(1)
    if not quoted:
        return Records(fields, starts, np.arange(len(ends)), blank, len(ends), end)
    lines = np.flatnonzero(every_newline[:end])
    return Records(fields, starts, np.searchsorted(lines, starts), blank, len(lines), end)


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
    """A quoted field does not end, or not before the csv module's limit of 131,072 characters. `line` is where its
    record starts."""

    def __init__(self, line: int, why: str = "") -> None:
        super().__init__(line)
        self.line, self.why = line, why


def _records(text: Path, head: Head) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with its first line, as Python's csv module reads them. Raises `_Unclosed`."""
    line = head.first_line
    with text.open("rb") as raw:
        raw.seek(head.offset)
        opened = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        lines = (one.replace("\t", " ").strip() for one in opened) if head.separator == BLANK else opened
        reader = csv.reader(_with_end(lines), delimiter=head.separator, skipinitialspace=head.blanks_before)
        try:
            for record in reader:
                if record == [END]:
                    return
                if record and record[-1].endswith(END):
                    raise _Unclosed(line)
                if record:
                    yield line, record
                line = reader.line_num + head.first_line
        except csv.Error as error:
            raise _Unclosed(line, str(error)) from error


def _rows(text: Path, head: Head, found: RepeatedLines | None = None) -> Iterator[tuple[int, list[str]]]:
    """The records without those that only repeat what stands at the file's start; these are added to `found`."""
    records = _records(text, head)
    return sift(records, head.around, RepeatedLines() if found is None else found) if head.around else records


def _with_end(lines: Iterable[str]) -> Iterator[str]:
    """The lines and a mark: the csv module takes the end of a file for the end of a quoted field."""
    for line in lines:
        yield line if line.endswith(("\n", "\r")) else line + "\n"
    yield END


def _rewrite(text: Path, head: Head, target: Path) -> Layout | StorageProblem:
    count = wrong_count = 0
    width = len(head.names)
    ragged: list[tuple[int, int, int]] = []
    found = RepeatedLines()
    try:
        with target.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\r\n")  # it quotes the characters of its line end
            writer.writerow(["header"])
            for line, record in _rows(text, head, found):
                count += 1
                if len(record) != width:
                    wrong_count += 1
                    ragged += [(line, len(record), count - 1)] if len(ragged) < LISTED else []
                else:
                    writer.writerow(record)
    except _Unclosed as unclosed:
        return _broken_record(unclosed)
    except OtherOrder as other:
        return other.problem()
    layout = Layout(target, ",", head, 1, count, True, False, text, found.notices())
    return _checked(layout, ragged, wrong_count) if wrong_count else layout


def _broken_record(unclosed: "_Unclosed") -> StorageProblem:
    line = unclosed.line
    if "field larger" in unclosed.why:
        message = (
            f"The row in line {line} has a field of more than {csv.field_size_limit()} characters, or a quote that is"
            " never closed."
        )
        return StorageProblem("field_too_long", "file", message, {"line": line})
    return StorageProblem(
        "quote_unclosed", "file", f"The row in line {line} has a quoted field that is not closed.", {"line": line}
    )


def _ragged(rows: list[tuple[int, int, int]], count: int, width: int) -> StorageProblem:
    shown = ", ".join(f"line {line} has {fields}" for line, fields, _ in rows) + (", …" if count > len(rows) else "")
    which = "1 row does" if count == 1 else f"{count} rows do"
    return StorageProblem(
        "ragged_rows",
        "file",
        f"{which} not have {width} fields like the header: {shown}.{_likely_cause(rows, count, width)}",
        {
            "count": count,
            "lines": [line for line, _, _ in rows],
            "fields": [fields for _, fields, _ in rows],
            "expected": width,
        },
    )


def _likely_cause(rows: list[tuple[int, int, int]], count: int, width: int) -> str:
    """What to do where two lines were joined, or the rows of another width seem to begin with the header itself."""
    first = rows[0][0]
    if width > 1 and count <= LISTED and all(fields == 2 * width - 1 for _, fields, _ in rows):
        return " If files were joined there, the first of which has no line end, part the line in two."
    if count <= LISTED or len({fields for _, fields, _ in rows}) > 1 or first <= MOST_PREAMBLE:
        return ""
    return (
        f" If line {first} is the header, delete what stands before it: at most {MOST_PREAMBLE} lines before a header"
        " are passed over."
    )
