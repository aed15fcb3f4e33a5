"""CSV to Parquet, once per content and way of reading: columns of numbers as float64, all others as text, in file
order. Memory stays flat.

The first rows say how each column is spelled; should a later row belie them, the whole file is looked at and read
again, so the outcome never depends on where in the file an odd value stands. The Parquet depends on the settings that
`DatasetOptions.content_key` names."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import ComputeError

from schemas.manifests import Notice
from storage.errors import StorageProblem, rows_text
from storage.tables.content import Content, ReadColumn
from storage.tables.csv_head import MAX_COLUMNS, read_head, with_labels
from storage.tables.csv_lines import LISTED, Layout, lines_of, read_lines
from storage.tables.csv_names import blank_names, check_names
from storage.tables.csv_numbers import SYMBOLS, Decision, Look, Sign, Spelling, Vote, decide, find_sign, number, votes
from storage.tables.csv_roles import kept_texts
from storage.tables.csv_tally import Tally, sample_every
from storage.tables.csv_text import PlainText, plain_text
from storage.tables.csv_types import ROW, Missing, look_at, read_number, read_text
from storage.tables.label_names import label_candidates
from storage.tables.names import column
from storage.tables.options import DatasetOptions, few

SAMPLED_ROWS = 2_000
CELLS_PER_GROUP = 5_000_000
"""Fewer, larger row groups take more memory to write, and leave processors idle when the file is read."""
CELLS_PER_BATCH = 6_000_000
Check = Callable[[Sequence[str], bool], list[StorageProblem]]
"""What is wrong with settings by the header alone; told whether the rows below it can be read."""


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A file whose form is fine: its text and where its rows are."""

    text: PlainText
    layout: Layout


def read_layout(
    upload: Path,
    file_name: str,
    folder: Path,
    *,
    max_bytes: int,
    options: DatasetOptions = DatasetOptions(),  # noqa: B008 (frozen)
    max_columns: int = MAX_COLUMNS,
    check: Check = lambda *_: [],
) -> CsvSource | list[StorageProblem]:
    """Check the file's form, all of it, and its header by `check`; return all problems when there are any. Copies are
    made in `folder`."""
    plain = plain_text(upload, file_name, folder, max_bytes=max_bytes, encoding=options.encoding)
    if isinstance(plain, list):
        return plain
    head = read_head(
        plain.path,
        separator=options.separator,
        header=options.header,
        label=options.label,
        max_columns=max_columns,
    )
    if isinstance(head, StorageProblem):
        return [head]
    problems = check_names(head.names, head.unnamed)
    head = with_labels(head, [options.label] if options.label else label_candidates(head.names))
    layout = read_lines(plain.path, head, folder)
    problems += check([name for name in head.names if name], not isinstance(layout, StorageProblem))
    if isinstance(layout, StorageProblem):
        return [*problems, layout]
    if not layout.rows:
        problems.append(
            StorageProblem(
                "csv_header_only", "file", "The CSV file has a header but no rows.", {"columns": len(head.names)}
            )
        )
    return problems or CsvSource(plain, layout)


def write_parquet(
    source: CsvSource, target: Path, options: DatasetOptions, sample: list[pl.DataFrame] | None = None
) -> Content | list[StorageProblem]:
    """Write the rows of a file as Parquet, and say what it holds; problems where its numbers contradict each other.

    `sample` is filled with rows from everywhere in the file, as stored, in any order: looking at them needs no second
    read."""
    return _Reader(source, target, options, [] if sample is None else sample).read()


def sink(lazy: pl.LazyFrame, target: Path, columns: int) -> None:
    """Stream a table of so many columns to Parquet. Row groups are smaller the wider it is: a writer holds a whole one
    in memory."""
    lazy.sink_parquet(target, compression_level=1, row_group_size=min(65_536, 1 + CELLS_PER_GROUP // columns))


class _Reader:
    """The steps of reading one file."""

    def __init__(self, source: CsvSource, target: Path, options: DatasetOptions, sample: list[pl.DataFrame]) -> None:
        self._sample = sample
        self._layout, self._text, self._target, self._options = source.layout, source.text, target, options
        self._missing = Missing.with_more(options.na_values)
        head = source.layout.head
        names = source.layout.names
        self._blank = [names[place] for place in head.unnamed]
        self._names = [name for name in names if name not in self._blank]
        self._commas_separate = head.separator == ","
        self._kept: dict[str, str] = {}
        self._label: str | None = None

    def read(self) -> Content | list[StorageProblem]:
        sample = self._scan(numbered=True).head(SAMPLED_ROWS).collect()
        self._kept, self._label = kept_texts(sample, self._names, self._options)
        columns = [name for name in self._names if name not in self._kept]
        given = self._options.sign()
        dots = not self._commas_separate or given == ","
        bound = self._options.max_unread_share * self._layout.rows + 1
        looks = look_at([sample], columns, dots=dots, enough=bound)
        fast = self._fast(looks, dots=dots, given=given)
        if fast is not None and (content := self._try_fast(looks, *fast)):
            return content
        undecided = [name for name in columns if not self._is_text(looks[name])]
        texts = {name: looks[name] for name in columns if name not in undecided}
        sure = self._look_at_all(undecided, dots=dots, enough=bound)
        found = given or find_sign(votes(sure, self._missing.words, self._share), commas_separate=self._commas_separate)
        if found != "." and not dots:  # among commas a dot was taken for what it usually is
            sure = self._look_at_all(undecided, dots=True, enough=bound)
            found = given or find_sign(
                votes(sure, self._missing.words, self._share), commas_separate=self._commas_separate
            )
        if not isinstance(found, str):
            return [self._asked(found)]
        decisions = {name: decide(look, found, self._missing.words, self._share) for name, look in sure.items()}
        decisions |= {name: self._text_of(look, found) for name, look in texts.items()}
        quick = [] if self._layout.more_follows else undecided  # the parser looks at some lines after the last row too
        return self._write(
            decisions, decimal=found, parsed=[name for name in quick if _is_plain(sure[name], decisions[name])]
        )

    def _look_at_all(self, columns: list[str], *, dots: bool, enough: float) -> dict[str, Look]:
        if not columns:
            return {}
        lazy = self._scan(numbered=True).select(column(ROW), *(column(name) for name in columns))
        batches = lazy.collect_batches(chunk_size=1 + CELLS_PER_BATCH // (1 + len(columns)), maintain_order=False)
        return look_at(batches, columns, dots=dots, enough=enough)

    @property
    def _share(self) -> float:
        return self._options.max_unread_share

    def _is_text(self, look: Look) -> bool:
        """Whether the sample alone shows that a column is text: more words in it than the whole file may have among
        numbers."""
        wrong = look.more + sum(seen.count for shape, seen in look.shapes.items() if self._is_word(shape, seen.value))
        return not few(wrong, self._layout.rows, self._share)

    def _is_word(self, shape: str, value: str) -> bool:
        text = value.strip()
        return not SYMBOLS.match(text) and text.lower() not in self._missing.words and number(shape, value) is None

    def _fast(
        self, looks: Mapping[str, Look], *, dots: bool, given: Sign | None
    ) -> tuple[list[str], str | None] | None:
        """The columns of numbers as the fast parser can take them, with the file's one null word; None when it
        cannot."""
        numbers = [name for name, look in looks.items() if not self._is_text(look)]
        odd = [seen.value for name in numbers for seen in looks[name].shapes.values() if not _is_float(seen.value)]
        if (
            any(looks[name].more for name in numbers)
            or len(set(odd)) > 1
            or any(value.strip().lower() not in self._missing.words for value in odd)
        ):
            return None
        if given == ",":
            return None
        if dots and given is None:
            signs = {vote.sign for vote in votes(looks, self._missing.words, self._share) if vote.sure}
            if signs != {"."}:
                return None
        return numbers, next(iter(odd), None)

    def _text_of(self, look: Look, decimal: Sign = ".") -> Decision:
        """A column that the first rows show to be text, with the reason where it has numbers too."""
        reason = decide(look, decimal, self._missing.words, self._share).reason
        whole = self._layout.rows <= SAMPLED_ROWS
        return Decision(
            None, reason=reason if reason is None or whole else f"{reason}, among the first {SAMPLED_ROWS} rows"
        )

    def _try_fast(self, looks: Mapping[str, Look], numbers: Sequence[str], word: str | None) -> Content | None:
        quick = set(numbers)
        decisions = {
            name: Decision(Spelling()) if name in quick else self._text_of(look) for name, look in looks.items()
        }
        try:
            found = self._write(decisions, decimal=".", parsed=numbers, word=word)
        except ComputeError:  # a value that the sample did not foretell
            return None
        return found if isinstance(found, Content) else None

    def _write(
        self, decisions: Mapping[str, Decision], *, decimal: Sign, parsed: Sequence[str], word: str | None = None
    ) -> Content | list[StorageProblem]:
        """Write the columns of numbers as they are spelled, those of `parsed` by the CSV parser itself, and all others
        as text."""
        spellings = {name: found.spelling for name, found in decisions.items() if found.spelling is not None}
        given = bool(self._options.na_values)
        quick = set(parsed)
        columns = [
            (
                read_number(name, spellings[name], self._missing, parsed=name in quick)
                if name in spellings
                else read_text(name, self._missing, given=given and name != self._options.id_column)
            )
            for name in (*self._names, *self._blank)
        ]
        self._sample.clear()
        tally = Tally([*self._names, *self._blank], self._sample, every=sample_every(self._layout.rows, len(columns)))
        lazy = self._scan(parsed, word).select(columns).map_batches(tally.add, streamable=True)
        sink(lazy.select(column(name) for name in self._names) if self._blank else lazy, self._target, len(columns))
        if held := [self._layout.names.index(name) + 1 for name in self._blank if tally.missing[name] < tally.rows]:
            return [blank_names(held)]
        return self._content(decisions, tally, decimal)

    def _content(self, decisions: Mapping[str, Decision], tally: "Tally", decimal: Sign) -> Content:
        shown = {
            name: found.odd[:LISTED] for name, found in decisions.items() if found.spelling is not None and found.odd
        }
        rows = {seen.row for seen_ in shown.values() for seen in seen_}
        rows |= {seen.row for found in decisions.values() for seen in (found.grouped, found.bracketed) if seen}
        reasons = {name: self._kept.get(name) or decisions[name].reason for name in self._names}
        rows |= {int(row) for reason in reasons.values() for row in re.findall(r"\{line:(\d+)\}", reason or "")}
        lines = lines_of(self._layout, rows)
        columns, notices = [], [*self._layout.head.notices, *self._layout.notices, *self._of_text()]
        for name in self._names:
            reason = reasons[name]
            reason = re.sub(r"\{line:(\d+)\}", lambda match: str(lines[int(match[1])]), reason) if reason else None
            found = decisions.get(name)
            if found is not None and found.spelling is not None:
                reason, said = _how(name, found, lines)
                notices += said
            odd = shown.get(name, ())
            columns.append(
                ReadColumn(
                    name=name,
                    number=found is not None and found.spelling is not None,
                    missing=tally.missing[name],
                    constant=name in tally.constant(),
                    reason=reason,
                    unread=sum(seen.count for seen in found.odd) if found and found.spelling else 0,
                    unread_lines=tuple(lines[seen.row] for seen in odd),
                    unread_values=tuple(seen.value[:60] for seen in odd),
                )
            )
        encoding, head = self._text.encoding, self._layout.head
        grouped = any(found.grouped for found in decisions.values())
        return Content(
            columns=columns,
            rows=tally.rows,
            encoding=encoding.name,
            encoding_reason=encoding.reason,
            separator=head.separator,
            decimal=decimal,
            thousands=(self._options.thousands or ("," if decimal == "." else ".")) if grouped else None,
            header_line=head.header_line,
            index=head.index,
            notices=tuple(notices),
            label=self._label,
        )

    def _of_text(self) -> list[Notice]:
        text, guessed = self._text, []
        if text.encoding.unsure:
            said = f"The file is read as {text.encoding.name}, which is not sure: {text.encoding.reason}."
            guessed = [Notice(code="encoding_unsure", message=said)]
        if not text.stray:
            return guessed
        message = (
            f"{_bytes(text.stray)} without a meaning in {text.encoding.name}, shown as \ufffd, first in line"
            f" {text.stray_lines[0]}."
        )
        return [*guessed, Notice(code="stray_bytes", message=message, lines=list(text.stray_lines), count=text.stray)]

    def _asked(self, found: tuple[Vote, Vote] | Vote) -> StorageProblem:
        if isinstance(found, Vote):
            line = lines_of(self._layout, [found.seen.row])[found.seen.row]
            what = f"{found.seen.value.strip()!r} in column {found.column!r}, line {line}"
            message = (
                f"{what}, could be a number with decimals or a whole number with its thousands grouped, and no other"
                f" value of the file tells which. Send decimal={found.sign} for the former,"
                f" decimal={'.' if found.sign == ',' else ','} for the latter."
            )
            return StorageProblem(
                "numbers_ambiguous",
                "decimal",
                message,
                {"column": found.column, "line": line, "value": found.seen.value},
            )
        lines = lines_of(self._layout, [vote.seen.row for vote in found])
        shown = [
            f"{vote.seen.value.strip()!r} in column {vote.column!r}, line {lines[vote.seen.row]}" for vote in found
        ]
        message = (
            f"The numbers contradict each other: {shown[0]}, has a decimal point, {shown[1]}, a decimal comma. Mend one"
            " of them, or send decimal=. or decimal=, to say what is right; what does not fit is then no number."
        )
        values = {"columns": [vote.column for vote in found], "lines": [lines[vote.seen.row] for vote in found]}
        return StorageProblem("numbers_contradict", "decimal", message, values)

    def _scan(self, plain: Sequence[str] = (), word: str | None = None, *, numbered: bool = False) -> pl.LazyFrame:
        layout = self._layout
        return pl.scan_csv(
            layout.path,
            schema={name: pl.String() for name in layout.names} | {name: pl.Float64() for name in plain},
            null_values=None if word is None else dict.fromkeys(plain, word),
            has_header=False,
            skip_lines=layout.header_lines,
            n_rows=layout.rows,
            separator=layout.separator,
            quote_char='"' if layout.quoted else None,
            row_index_name=ROW if numbered else None,
        )


def _is_plain(look: Look, found: Decision) -> bool:
    """Whether the fast parser takes every value of a column of numbers, and rightly."""
    return (
        found.spelling is not None
        and found.spelling.plain
        and not look.more
        and all(_is_float(seen.value) for seen in look.shapes.values())
    )


def _is_float(text: str) -> bool:
    """Whether the fast parser takes it."""
    return bool(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text))


def _how(name: str, found: Decision, lines: Mapping[int, int]) -> tuple[str | None, list[Notice]]:
    """In words how a column of numbers was read, and what of it a person should know."""
    spelling, said, how = found.spelling, [], []
    assert spelling is not None
    if found.grouped is not None:
        line = lines[found.grouped.row]
        how.append("digits grouped")
        message = f"{name!r}: {found.grouped.value.strip()!r} (line {line}) is read as a number with grouped digits."
        said.append(Notice(code="grouped_digits", message=message, column=name, lines=[line]))
    if found.bracketed is not None:
        line = lines[found.bracketed.row]
        how.append("brackets are a minus")
        message = (
            f"{name!r}: {found.bracketed.value.strip()!r} (line {line}) is read as a negative number, as accountants"
            " write them."
        )
        said.append(Notice(code="brackets", message=message, column=name, lines=[line]))
    if unit := spelling.unit or spelling.before:
        how.append(f"in {unit}")
        bare = f"; in {rows_text(found.bare)} no unit stands, and this one is taken for meant" if found.bare else ""
        said.append(Notice(code="unit", message=f"{name!r} is read as numbers in {unit}{bare}.", column=name))
    if found.odd:
        shown = found.odd[:LISTED]
        count = sum(seen.count for seen in found.odd)
        places = [lines[seen.row] for seen in shown]
        examples = ", ".join(
            f"{seen.value.strip()!r:.40} (line {line}{f', {seen.count} times' if seen.count > 1 else ''})"
            for seen, line in zip(shown, places, strict=True)
        )
        how.append(f"no number in {rows_text(count)}: {examples}")
        message = (
            f"{name!r}: no number in {rows_text(count)}, taken as missing:"
            f" {examples}{', …' if len(found.odd) > LISTED else ''}."
        )
        said.append(Notice(code="unread_values", message=message, column=name, lines=places, count=count))
    return "; ".join(how) or None, said


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"
