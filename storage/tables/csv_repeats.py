"""Lines among the rows that are none: joined exports repeat the header, with what stood around it in each file.

Told by the record and what the file's start holds alone, so that a second reading finds the same. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from schemas.manifests import Notice
from storage.errors import StorageProblem
from storage.tables.csv_units import NUMBER, is_ruler, is_units, mostly_numbers

LISTED = 10
MOST_BEFORE = 40
"""So many short lines directly before a repeated header belong to it."""
TOTAL_WORDS = (
    r"(grand |sub)?(total|totals|sum|summe|gesamt|gesamtsumme|mittelwert|average|avg|mean|somme|totale|totaal|suma"
    r"|media|moyenne|итого|всего|合計|合计|总计|総計|평균|합계|총계)\b"
)
TOTAL = re.compile(r"^\W*" + TOTAL_WORDS, re.IGNORECASE)
MARKED = re.compile(r'^\s*"?(#|//|%|!|--|sep=)', re.IGNORECASE)
HEADER, AROUND, UNITS, TOTALS = "repeated_header", "repeated_preamble", "repeated_units", "total_row"
SAID = {
    HEADER: ("repeats the header and is no row", "repeat the header and are no rows"),
    AROUND: (
        "stands before a repeated header and is no row",
        "stand before a repeated header and are no rows",
    ),
    UNITS: ("stands below a repeated header and is no row", "stand below a repeated header and are no rows"),
    TOTALS: ("holds totals and is left out", "hold totals and are left out"),
}


class OtherOrder(Exception):
    """A repeated header names the columns in another order: the rows below it would be read into wrong ones."""

    def __init__(self, line: int, record: Sequence[str]) -> None:
        super().__init__(line)
        self.line, self.record = line, record

    def problem(self) -> StorageProblem:
        """What the person is told."""
        shown = ", ".join(map(repr, self.record[:LISTED]))
        message = (
            f"Line {self.line} is a header again, with the columns in another order than at the file's start: {shown}."
            " Joined files must have the same columns in the same places; send them one by one, or reorder them first."
        )
        return StorageProblem("header_differs", "file", message, {"line": self.line})


@dataclass(frozen=True, slots=True)
class Around:
    """What a file's start holds that may come again. Places are those of a row's fields.

    `header`, `units`: their cells, tidied; `words`: all names. `preamble`: the first cell of each of its records,
    `filled` the most cells of one. `numbers`: columns of numbers; `digits`: those in which every value has a digit.
    `label`: columns where the label's name means a header. `first_bytes`: with which rows begin.
    """

    header: tuple[str, ...]
    names: tuple[str, ...]
    words: frozenset[str]
    units: tuple[str, ...] = ()
    preamble: tuple[str, ...] = ()
    filled: int = 0
    numbers: frozenset[int] = frozenset()
    digits: frozenset[int] = frozenset()
    first_bytes: frozenset[int] = frozenset()
    label: tuple[int, ...] = ()

    def is_header(self, record: Sequence[str]) -> bool:
        """Whether a record names the columns again. Raises `OtherOrder` with line 0."""
        if tidy(record[0]) in self.words:
            cells = tidied(record)
            if cells == self.header or cells == tidied(self.names):
                return True
            if sorted(cells) == sorted(self.header):
                raise OtherOrder(0, record)
        if len(record) != len(self.names):
            return False
        return any(self._is_named(record, place) for place in self.label)

    def _is_named(self, record: Sequence[str], place: int) -> bool:
        """Whether the label's cell holds the label's name, and every column of numbers another word."""
        if tidy(record[place]) != tidy(self.names[place]) or len(self.numbers - {place}) < 2:
            return False
        words = [record[i].strip().casefold() for i in self.numbers if i != place]
        if not all(any(map(str.isalpha, word)) for word in words) or len(set(words)) < len(words):
            return False
        others = {tidy(name): i for i, name in enumerate(self.names)}
        if any(others.get(tidy(cell), i) != i for i, cell in enumerate(record)):
            raise OtherOrder(0, record)
        return True

    def is_total(self, record: Sequence[str]) -> bool:
        """Whether a record holds totals: its first cell is the word, in a column where every value has a digit."""
        place = next((i for i, cell in enumerate(record) if cell.strip()), None)
        if place is None or place not in self.digits or len(record) != len(self.names):
            return False
        word, rest = record[place], [cell.strip() for cell in record[place + 1 :] if cell.strip()]
        plain = TOTAL.match(word) and not any(map(str.isdigit, word))
        return bool(plain and rest) and all(NUMBER.match(cell) for cell in rest)

    def is_before(self, record: Sequence[str], back: int) -> bool:
        """Whether a record belongs to a repeated header that follows `back` records later: a short line that is no cut
        off row, a comment, or a line like one of the file's own preamble."""
        if MARKED.match(record[0]):
            return True
        if len(record) < len(self.names):
            return not (0 in self.digits and NUMBER.match(record[0].strip()))
        if not self.preamble or back > len(self.preamble) or len(record) != len(self.names):
            return False
        if tidy(record[0]) in self.preamble:
            return True
        filled = max((i + 1 for i, cell in enumerate(record) if cell.strip()), default=0)
        words = any(record[i].strip() and not NUMBER.match(record[i].strip()) for i in self.numbers)
        return filled <= self.filled < len(self.names) and words

    def is_units(self, record: Sequence[str]) -> bool:
        """Whether a record is the file's row of units again."""
        return bool(self.units) and tidy(record[0]) == self.units[0] and tidied(record) == self.units

    def is_below(self, record: Sequence[str]) -> bool:
        """Whether a record right below a repeated header is a ruler or units."""
        if is_ruler(list(record)):
            return True
        stand_ins = [["0" if i in self.numbers else "" for i in range(len(record))]] * 2
        return is_units([list(record), *stand_ins])


@dataclass
class RepeatedLines:
    """The lines that are no rows, by kind: all counted, the first kept."""

    lines: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, line: int) -> None:
        """Count a line."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        kept = self.lines.setdefault(kind, [])
        if len(kept) < LISTED:
            kept.append(line)

    def notices(self) -> tuple[Notice, ...]:
        """What the person is told of each kind."""
        return tuple(self._notice(kind) for kind in SAID if kind in self.counts)

    def _notice(self, kind: str) -> Notice:
        count, lines = self.counts[kind], sorted(self.lines[kind])
        shown = ", ".join(map(str, lines)) + (", …" if count > len(lines) else "")
        one, more = SAID[kind]
        message = f"Line {shown} {one}." if count == 1 else f"{count} lines {more}: lines {shown}."
        return Notice(code=kind, message=message, lines=lines, count=count)


def tidy(cell: str) -> str:
    """A cell without what does not make another name: case, blanks around, a byte order mark of a joined file."""
    return " ".join(cell.replace("\ufeff", "").replace("\u00a0", " ").split()).casefold().strip('"')


def tidied(record: Iterable[str]) -> tuple[str, ...]:
    """The cells so, without empty ones at the end."""
    cells = [tidy(cell) for cell in record]
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def around(
    names: Sequence[str], header: Sequence[str], rows: Sequence[Sequence[str]], before: Sequence[Sequence[str]]
) -> Around:
    """What may come again of a file whose first rows are these. `before` are the records before the header."""
    tidy_header = tidied(header)
    real = [row for row in rows if len(row) == len(names) and tidied(row) != tidy_header]
    columns = [[row[i].strip() for row in real if row[i].strip()] for i in range(len(names))]
    numbers = frozenset(i for i, cells in enumerate(columns) if cells and mostly_numbers(cells))
    sure = [row for row in real if any(NUMBER.match(row[i].strip()) for i in numbers)]
    return Around(
        header=tidy_header,
        names=tuple(names),
        words=frozenset((*tidy_header, *map(tidy, names))),
        preamble=tuple(tidy(record[0]) for record in before),
        filled=max((i + 1 for record in before for i, cell in enumerate(record) if cell.strip()), default=0),
        numbers=numbers,
        digits=frozenset(i for i, cells in enumerate(columns) if cells and _is_digital(cells)),
        first_bytes=frozenset(row[0].encode()[0] for row in sure if row[0] and not TOTAL.match(row[0]))
        | frozenset(b"0123456789-+."),
        label=tuple(i for i, name in enumerate(names) if name and all(tidy(row[i]) != tidy(name) for row in sure)),
    )


def _is_digital(cells: Sequence[str]) -> bool:
    """Whether every cell has a digit, but for those that name totals."""
    without = [cell for cell in cells if not any(map(str.isdigit, cell))]
    return len(without) <= 0.2 * len(cells) and all(TOTAL.match(cell) for cell in without)


def sift(
    records: Iterable[tuple[int, list[str]]], known: Around, found: RepeatedLines
) -> Iterator[tuple[int, list[str]]]:
    """The records that are rows, with their lines; the others are added to `found`. Raises `OtherOrder`."""
    waiting: list[tuple[int, list[str]]] = []
    below = False
    for line, record in records:
        if _names_again(known, line, record):
            yield from _without_around(waiting, known, found)
            waiting, below = [], True
            found.add(HEADER, line)
            continue
        if below and (known.is_below(record) or known.is_units(record)):
            found.add(UNITS, line)
            continue
        below = False
        if known.is_before(record, 0):
            waiting.append((line, record))
            if len(waiting) > MOST_BEFORE:
                yield waiting.pop(0)
            continue
        yield from waiting
        waiting = []
        if known.is_total(record):
            found.add(TOTALS, line)
        elif known.is_units(record):
            found.add(UNITS, line)
        else:
            yield line, record
    yield from waiting


def _names_again(known: Around, line: int, record: Sequence[str]) -> bool:
    try:
        return known.is_header(record)
    except OtherOrder as other:
        raise OtherOrder(line, other.record) from None


def _without_around(
    waiting: Sequence[tuple[int, list[str]]], known: Around, found: RepeatedLines
) -> Iterator[tuple[int, list[str]]]:
    """The rows among the records before a repeated header."""
    for back, (line, record) in zip(range(len(waiting), 0, -1), waiting, strict=True):
        if known.is_before(record, back):
            found.add(AROUND, line)
        else:
            yield line, record
