"""The head of a CSV text: what divides the fields, where the header is, which lines before and after it are no rows.
Looks at the first rows.

What is not usual is taken where it is plain what it means, each with a notice: a `sep=` line, comments and a preamble,
a row of units, an index without a name, a delimiter at every line's end. A file without a header is asked about, never
guessed."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from schemas.manifests import Notice
from storage.errors import StorageProblem
from storage.tables.csv_form import Form, placed
from storage.tables.csv_repeats import Around, around, tidied
from storage.tables.csv_units import NUMBER, is_ruler, is_units

SEPARATORS = ",;\t|"
BLANK = " "
BLOCK = 1 << 20
LONGEST_HEADER = 4 << 20
MAX_COLUMNS = 20_000
csv.field_size_limit(
    16 << 20
)  # its own limit, 131,072 characters for the whole process, takes a long text for a quote that is not closed
RECORDS = 60
SEP_LINE = re.compile(r'^"?sep=(.)"?\s*$', re.IGNORECASE)
COMMENT = re.compile(r'^\s*"?(#|//|%|!|--)')


@dataclass(frozen=True, slots=True)
class Head:
    """How rows are to be read. `names` has one for every field of a row, `first_line` (1-based) and `offset` (bytes)
    say where rows begin.

    `unnamed`: a field that only seems to be a column, without a name and, so far, without values. `index`: the name
    given to a first column that has none. `blanks_before`: blanks after a separator do not belong to the value.
    """

    separator: str
    names: tuple[str, ...]
    header_line: int
    first_line: int
    offset: int
    blanks_before: bool = False
    unnamed: tuple[int, ...] = ()
    index: str | None = None
    notices: tuple[Notice, ...] = ()
    around: Around | None = None
    """What may come again among the rows; None without a header."""


def read_head(
    text: Path,
    *,
    separator: str | None = None,
    header: bool | None = None,
    label: str | None = None,
    max_columns: int = MAX_COLUMNS,
) -> Head | StorageProblem:
    """Find the head. `header=False` says that the first line is a row already, `True` that it is none; `label` is a
    name in it."""
    with text.open(encoding="utf-8-sig", newline="", errors="replace") as opened:
        sample = opened.read(BLOCK)
        while sample.count("\n") + sample.count("\r") < 3 and (more := opened.read(BLOCK)):
            sample += more
            if len(sample) > LONGEST_HEADER:
                break
    if len(sample) > LONGEST_HEADER and "\n" not in sample and "\r" not in sample:
        message = (
            f"The first line is longer than {LONGEST_HEADER >> 20} MiB and has no end there: this is no CSV with a"
            " header."
        )
        return StorageProblem("header_too_long", "file", message, {"limit": LONGEST_HEADER})
    lines = list(io.StringIO(sample, newline=""))
    if len(sample) >= BLOCK and len(lines) > 1:
        lines.pop()  # it may be cut
    if not sample.strip():
        return StorageProblem("csv_empty", "file", "CSV is empty.")
    if wide := _too_wide(lines, separator, max_columns):
        return wide
    mark = 3 if _has_mark(text) else 0
    return _Finder(lines, mark, header, label).find(separator)


def with_labels(head: Head, labels: Sequence[str]) -> Head:
    """The head, knowing which columns may be the label: its name there, among rows, is a header's."""
    if head.around is None:
        return head
    places = tuple(place for place in head.around.label if head.names[place] in labels)
    return replace(head, around=replace(head.around, label=places))


def _too_wide(lines: Sequence[str], separator: str | None, most: int) -> StorageProblem | None:
    """Before anything is parsed: a header of 200,000 columns costs as much as counting its separators."""
    count = max((line.count(one) + 1 for line in lines[:5] for one in separator or SEPARATORS), default=0)
    if count <= most:
        return None
    message = (
        f"The file has {count} columns; at most {most} are taken. Send the columns that matter, or raise"
        " GATEWAY_MAX_COLUMNS."
    )
    return StorageProblem("too_many_columns", "file", message, {"count": count, "limit": most})


def _has_mark(text: Path) -> bool:
    with text.open("rb") as opened:
        return opened.read(3) == b"\xef\xbb\xbf"


class _Finder:
    """The steps of finding a head; each may add a notice."""

    def __init__(self, lines: list[str], mark_bytes: int, header: bool | None, label: str | None) -> None:
        self._lines, self._mark, self._header, self._label = lines, mark_bytes, header, label
        self._notices: list[Notice] = []
        self._skipped = 0
        self._comment: str | None = None
        self._before: list[list[str]] = []

    def find(self, separator: str | None) -> Head | StorageProblem:
        stated = self._skip_lines()
        form = self._form(stated or separator)
        if form is None:
            return StorageProblem("csv_empty", "file", "CSV is empty.")
        if (stated or separator) and (form.width < 2 or len(form.records[form.start]) < 2):
            return self._divides_nothing(stated or form.separator, stated is not None)
        if form.start:
            line = self._line_after(form.ends[form.start - 1])
            self._say("preamble", f"What stands before the header in line {line} is not read: {_shown(form)}.")
        self._before = form.records[: form.start]
        form = replace(
            form,
            records=form.records[form.start :],
            ends=[self._end_of(form, form.start - 1), *form.ends[form.start :]],
        )
        return self._head(form)

    def _say(self, code: str, message: str, column: str | None = None) -> None:
        self._notices.append(Notice(code=code, message=message, column=column))

    def _skip_lines(self) -> str | None:
        """Pass over `sep=;`, blank lines and comments at the start; return the separator that is stated."""
        separator = None
        comments = []
        for line in self._lines:
            if not self._skipped and (stated := SEP_LINE.match(line.rstrip("\r\n").replace("sep=\\t", "sep=\t"))):
                separator = stated[1]
                self._say("sep_line", f"The first line says that {_name(separator)} separates the fields.")
            elif COMMENT.match(line):
                comments.append(line.strip())
            elif line.strip():
                break
            self._skipped += 1
        if self._skipped == len(self._lines):  # nothing but comments: they are what there is
            self._skipped = 0
        elif comments:
            self._comment = comments[-1]
            more = f" and {len(comments) - 1} more" if len(comments) > 1 else ""
            self._say("comments", f"Comment lines before the header are not read: {comments[0]!r:.80}{more}.")
        return separator

    def _form(self, separator: str | None) -> Form | None:
        wanted = [separator] if separator is not None else list(SEPARATORS)
        forms = [form for one in wanted if (form := self._divide(one, blanks_before=False))]
        best = max(forms, key=Form.rank, default=None)
        if best is not None and best.separator != BLANK and '"' in "".join(self._lines[:RECORDS]):
            tidied = self._divide(best.separator, blanks_before=True)
            behind_blanks = any(
                cell[:1] in " \t" and cell.lstrip()[:1] == '"' for record in best.records for cell in record
            )
            if tidied and (tidied.rank() > best.rank() or (behind_blanks and tidied.rank() == best.rank())):
                self._say("blanks", "Blanks after a separator, before a quoted field, are not part of the value.")
                best = tidied
        if separator is None and (best is None or best.width < 2 or best.start or best.rank()[3] < 1):
            blank = self._divide(BLANK, blanks_before=True)
            if blank and blank.width > 1 and blank.rank()[3] == 1 and not blank.start and len(blank.records) > 2:
                self._say("blanks", "Blanks separate the fields.")
                return blank
        if best is not None and best.separator == "|" and separator is None:
            self._say("separator", "'|' separates the fields.")
        return best

    def _divides_nothing(self, separator: str, stated: bool) -> StorageProblem:
        """A separator that was given, or stated in the first line, and leaves one column."""
        held = any(separator in line for line in self._lines[self._skipped :])
        which = f"{_name(separator)}, as {'the first line says' if stated else 'given'},"
        message = (
            f"The separator {which} {'leaves the file with' if held else 'does not occur, which gives'} one column."
        )
        better = self._form(None)
        fits = better is not None and better.width > 1
        if better is not None and fits:
            word = _word(better.separator)
            message += f" {_name(better.separator)} divides it into {better.width} columns: send separator={word}"
            message += ", and leave out that line." if stated else ", or leave separator out to have it found."
        else:
            message += " Nor does a comma, semicolon, tab, bar or blank divide it: send the separator that does."
        return StorageProblem("separator_wrong", "separator", message, {"separator": separator})

    def _divide(self, separator: str, *, blanks_before: bool) -> Form | None:
        """The first records so divided; first strictly, which fails where a quoted field goes on after its quote."""
        for strict in (True, False):
            records, ends, blanks = list[list[str]](), list[int](), list[int]()
            lines = iter(self._lines[self._skipped :])
            reader = csv.reader(
                _single_blanks(lines) if separator == BLANK else lines,
                delimiter=separator,
                strict=strict,
                skipinitialspace=blanks_before,
            )
            try:
                for record in reader:
                    if not record or not "".join(record).strip():
                        blanks.append(len(records))
                    if record:
                        records.append(record)
                        ends.append(reader.line_num + self._skipped)
                    if len(records) == RECORDS:
                        break
            except csv.Error:
                if strict and reader.line_num + self._skipped < len(self._lines) - 1:
                    continue
                if not records:
                    continue
            if records:
                return placed(
                    Form(separator, blanks_before, records, ends, strict, blanks=frozenset(blanks)), self._label
                )
        return None

    def _end_of(self, form: Form, record: int) -> int:
        return form.ends[record] if record >= 0 else self._skipped

    def _line_after(self, lines: int) -> int:
        """The line (1-based) of the first record after so many lines: not a blank one."""
        rest = self._lines[lines:]
        return lines + 1 + next((i for i, line in enumerate(rest) if line.strip()), 0)

    def _head(self, form: Form) -> Head | StorageProblem:
        """`form.ends[i]` is the number of lines before record i here; the first record is the header."""
        ends = form.ends
        names, rows = [name.strip().strip("\u00a0") for name in form.records[0]], form.records[1:]
        header_line = self._line_after(ends[0])
        after = ends[1]
        if self._header is False or self._is_commented_header(form):
            if self._header is False:
                names = [f"column_{number}" for number in range(1, form.width + 1)]
                self._say(
                    "no_header", f"There is no header, as given: the columns are called {names[0]} to {names[-1]}."
                )
            else:
                names = self._commented_names(form)
                self._say("commented_header", "The header stands in a comment line.")
            rows, after, header_line = form.records, ends[0], 0
        elif self._header is None and (why := _headless(form)):
            return StorageProblem(
                "header_missing",
                "header",
                f"The first line looks like a row, not like a header: {why}. Send header=no if it is a row (the columns"
                " are then called column_1, column_2, …; name the label among them), or header=yes if it is the"
                " header.",
                {"line": header_line},
            )
        names, index = self._widened(names, rows, form.width)
        if len(rows) > 1 and header_line and is_ruler(rows[0]):
            self._say("ruler", f"Line {after + 1} is a ruler below the header and no row.")
            ends = ends[1:]
            after, rows = ends[1], rows[1:]
        known = around(names, form.records[0], rows, self._before)
        others = [row for row in rows[1:] if tidied(row) not in (known.header, tidied(rows[0]))]
        if rows and header_line and is_units([rows[0], *others]):
            known = replace(known, units=tidied(rows[0]))
            units = ", ".join(
                f"{name} {unit.strip()}" for name, unit in zip(names, rows[0], strict=False) if unit.strip()
            )
            self._say("units_row", f"Line {after + 1} holds units and is no row: {units:.200}.")
            after, rows = ends[2], rows[1:]
        unnamed = tuple(i for i, name in enumerate(names) if not name and not (i == 0 and index))
        unnamed = tuple(i for i in unnamed if not any(len(row) > i and row[i].strip() for row in rows))
        unnamed = unnamed if any(names) else ()
        if unnamed:
            self._say(
                "trailing_delimiter", f"Columns without a name and without values are left out: {_places(unnamed)}."
            )
        data = "".join(self._lines[:after])
        return Head(
            form.separator,
            tuple(names),
            header_line,
            after + 1,
            self._mark + len(data.encode()),
            form.blanks_before,
            unnamed,
            index,
            tuple(self._notices),
            known if header_line else None,
        )

    def _widened(self, names: list[str], rows: list[list[str]], width: int) -> tuple[list[str], str | None]:
        """The names, one for every field: rows may have one field more, R's row names before or nothing after."""
        rows = [row for row in rows if row != names]  # a joined file repeats it
        if len(rows) > 1 and len(names) == width - 1 and all(len(row) == width for row in rows):
            if not any(row[-1].strip() for row in rows):
                return [*names, ""], None
            index = _free_name(names)
            self._say(
                "row_names",
                f"The rows have one field more than the header, in front, as R writes row names: called {index!r}.",
                index,
            )
            return [index, *names], index
        if names and not names[0] and rows and any(row and row[0].strip() for row in rows):
            index = _free_name(names)
            self._say("index", f"The first column has no name, as pandas writes an index: called {index!r}.", index)
            return [index, *names[1:]], index
        return names, None

    def _is_commented_header(self, form: Form) -> bool:
        return (
            self._header is None
            and self._comment is not None
            and bool(_headless(form))
            and len(self._commented_names(form)) == form.width
        )

    def _commented_names(self, form: Form) -> list[str]:
        text = re.sub(r'^\s*"?(#|//|%|!|--)+\s*', "", self._comment or "")
        lines = _single_blanks(iter([text])) if form.separator == BLANK else iter([text])
        return [name.strip() for name in next(csv.reader(lines, delimiter=form.separator), [])]


def _headless(form: Form) -> str | None:
    """Why the first record is a row rather than a header; None when it may be one."""
    first, rows = [cell.strip() for cell in form.records[0]], form.records[1:21]
    if not rows or any(len(row) != len(first) for row in rows):
        return None
    numbers = [cell for cell in first if NUMBER.match(cell)]
    for i, cell in enumerate(first):
        below = [row[i].strip() for row in rows if row[i].strip()]
        if (
            cell
            and not NUMBER.match(cell)
            and below
            and sum(bool(NUMBER.match(one)) for one in below) > 0.8 * len(below)
        ):
            return None  # a word over numbers
    fractions = [cell for cell in numbers if not cell.isdigit()]
    if fractions and len(fractions) + len(set(numbers) - set(fractions)) >= 1 and len(numbers) >= len(first) / 2:
        return f"it holds {', '.join(map(repr, first[:5]))}"
    return (
        f"it holds {numbers[0]!r} more than once" if len(numbers) > 2 and len(set(numbers)) < len(numbers) - 1 else None
    )


def _single_blanks(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line.replace("\t", " ").strip() + "\n"


def _free_name(names: Sequence[str]) -> str:
    return next(name for number in range(len(names) + 1) if (name := f"Unnamed: {number}") not in names)


def _name(separator: str) -> str:
    return {"\t": "a tab", BLANK: "a blank"}.get(separator, repr(separator))


def _word(separator: str) -> str:
    words = {"\t": "tab", BLANK: "space", ",": "comma", ";": "semicolon", "|": "pipe"}
    return words.get(separator, separator)


def _places(positions: Sequence[int]) -> str:
    return ", ".join(str(i + 1) for i in positions[:10]) + (", …" if len(positions) > 10 else "")


def _shown(form: Form) -> str:
    return "; ".join(repr(form.separator.join(record))[:60] for record in form.records[: min(3, form.start)])
