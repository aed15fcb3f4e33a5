"""A way to divide the first records of a CSV text, and where among them the header stands. Pure."""

from collections import Counter
from dataclasses import dataclass, replace

from storage.tables.csv_units import NUMBER, mostly_numbers, no_numbers
from storage.tables.label_names import label_candidates

MOST_PREAMBLE = 40
MOST_UNEVEN = 0.5
"""Of the rows, how many may have other fields than a first line that is taken for the header as it is."""


@dataclass(frozen=True, slots=True)
class Form:
    """A way to divide a sample into records, each with the line (1-based) after its last one. `start`: the header among
    them."""

    separator: str
    blanks_before: bool
    records: list[list[str]]
    ends: list[int]
    strict: bool
    start: int = 0
    width: int = 0
    blanks: frozenset[int] = frozenset()
    """The records before which a blank line stands."""

    def rank(self) -> tuple[bool, bool, bool, float, int]:
        """The better, the greater."""
        rows = self.records[self.start + 1 :]
        even = sum(len(row) == self.width for row in rows) / max(1, len(rows))
        usual = not self.start and len(self.records[0]) == self.width and even >= MOST_UNEVEN
        return self.width > 1, self.strict, usual, even if rows else 1.0, self.width


def placed(form: Form, label: str | None) -> Form:
    """The form with its header found: the first record, unless a preamble comes before rows that are all alike: of
    shorter ones, or of any, where the header has the label's name or stands after a blank line."""
    if form.records and (start := _told(form, label)):
        return replace(form, start=start, width=len(form.records[start + 1]))
    widths = [len(record) for record in form.records]
    first, rest = widths[0], [len(record) for record in form.records if record != form.records[0]]  # it may come again
    if not rest:
        return replace(form, width=first)
    usual, count = Counter(rest).most_common(1)[0]
    if usual == first:
        return replace(form, width=first, start=_padded_preamble(form))
    if count < 0.6 * len(rest):
        return replace(form, width=first)
    if (
        first == usual - 1
        and count == len(rest)
        and not (len(rest) > 1 and no_numbers(form.records[1]) and not no_numbers(form.records[2]))
    ):
        return replace(form, width=usual if len(rest) > 1 else first)
    start = widths.index(usual)
    after = widths[start + 1 :]
    plain = start <= MOST_PREAMBLE and all(width < usual for width in widths[:start]) and len(after) > 1
    if plain and sum(width == usual for width in after) >= 0.9 * len(after) and no_numbers(form.records[start]):
        return replace(form, start=start, width=usual)
    return replace(form, width=first)


def _padded_preamble(form: Form) -> int:
    """The header's place where a spreadsheet has filled up the preamble before it with empty fields; 0 where there is
    none."""
    filled = [max((i + 1 for i, cell in enumerate(record) if cell.strip()), default=0) for record in form.records]
    usual, count = Counter(filled[1:]).most_common(1)[0]
    if filled[0] >= usual or count < 0.6 * (len(filled) - 1):
        return 0
    start = filled.index(usual)
    plain = start <= MOST_PREAMBLE and len(filled) - start > 2 and all(width < usual for width in filled[:start])
    return start if plain and no_numbers(form.records[start]) and not no_numbers(form.records[start + 1]) else 0


def _told(form: Form, label: str | None) -> int:
    """The header's place below other records, where a blank line before it or the label's name in it tell; else 0."""
    for start in range(1, min(MOST_PREAMBLE, len(form.records) - 3) + 1):
        record, after = form.records[start], form.records[start + 1 :]
        blank, named = start in form.blanks, _names_label(record, label)
        if not (blank or named) or len(record) < 2:
            continue
        if not blank and any(_names_label(one, label) for one in form.records[:start]):
            continue
        width = len(after[0])
        alike = [row for row in after if len(row) == width]
        if len(record) not in (width, width - 1) or len(alike) < 0.9 * len(after) or not _may_be_names(record, named):
            continue
        if _is_below_none(form.records[:start], record, alike, blank=blank):
            return start
    return 0


def _names_label(record: list[str], label: str | None) -> bool:
    cells = [cell.strip() for cell in record]
    return label in cells if label is not None else bool(label_candidates(cells))


def _may_be_names(record: list[str], named: bool) -> bool:
    cells = [cell.strip() for cell in record if cell.strip()]
    numbers = sum(bool(NUMBER.match(cell)) for cell in cells)
    return len(set(cells)) == len(cells) > 1 and (2 * numbers < len(cells) if named else not numbers)


def _is_below_none(before: list[list[str]], record: list[str], rows: list[list[str]], *, blank: bool) -> bool:
    """Whether none of the records before a header is one of its rows, or of another table's with numbers there too."""
    places = [i for i in range(len(rows[0])) if mostly_numbers([row[i] for row in rows])]
    if not places:
        return blank and all(_filled(one) < _filled(record) for one in before)
    return not any(
        2 * sum(i < len(one) and bool(NUMBER.match(one[i].strip())) for i in places) > len(places) for one in before
    )


def _filled(record: list[str]) -> int:
    return sum(bool(cell.strip()) for cell in record)
