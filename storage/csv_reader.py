"""CSV to Parquet, once per content: columns of numbers as float64, all others as text, in file order. Memory stays flat.

The first rows say how each column is spelled; should a later row belie them, the whole file is looked at and read again, so the outcome
never depends on where in the file an odd value stands. Nothing here depends on a dataset's settings.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import ComputeError

from storage.csv_lines import LISTED, Layout, read_head, read_lines
from storage.csv_text import plain_text
from storage.csv_types import Finding, Spelling, find_spellings, number, text
from storage.errors import Problem
from storage.options import plain_name

SAMPLED_ROWS = 2_000
CELLS_PER_GROUP = 5_000_000
"""Fewer, larger row groups take more memory to write, and leave processors idle when the file is read."""
CELLS_PER_BATCH = 6_000_000
RESERVED = ("__index__", "__id__", "__time__", "__label__")
"""Columns that a split adds."""
ID_NAMES = (
    *("id", "sample id", "sampleid", "part id", "unit id", "product id", "row id", "uid", "udi"),
    *("serial", "serial number", "serial no"),
)
"""Names of identifiers, best first, after `plain_name`; such a column stays text, so that 007 and 20-digit numbers keep their spelling."""


@dataclass(frozen=True, slots=True)
class Content:
    """What the Parquet of a file holds. `missing` is by column; a constant column has at most one distinct value."""

    names: tuple[str, ...]
    numeric: frozenset[str]
    missing: dict[str, int]
    constant: frozenset[str]
    rows: int


def read_layout(
    upload: Path, file_name: str, folder: Path, *, max_bytes: int, check: Callable[[Sequence[str]], list[Problem]] = lambda _: []
) -> Layout | list[Problem]:
    """Check the file's form, all of it, and its header by `check`; return all problems when there are any. Copies are made in `folder`."""
    plain = plain_text(upload, file_name, folder, max_bytes=max_bytes)
    if isinstance(plain, list):
        return plain
    separator, names = read_head(plain)
    if not names:
        return [Problem("csv_empty", "file", "CSV is empty.")]
    layout = read_lines(plain, separator, names, folder)
    problems = _check_names(names) + check(names)
    if isinstance(layout, Problem):
        return [*problems, layout]
    if not layout.rows:
        problems.append(Problem("csv_header_only", "file", "The CSV file has a header but no rows.", {"columns": len(names)}))
    return problems or layout


def write_parquet(layout: Layout, target: Path) -> Content:
    """Write the rows of a file as Parquet, and describe it as `read_content` would."""
    columns = [name for name in layout.names if plain_name(name) not in ID_NAMES]
    commas_separate = layout.original_separator == ","
    sample = find_spellings([_scan(layout).head(SAMPLED_ROWS).collect()], columns, commas_separate=commas_separate)
    fast = _fast(sample)
    if fast is not None and (content := _try_fast(layout, target, *fast)):
        return content
    undecided = [name for name, found in sample.items() if found.spelling is not Spelling.TEXT]
    batches = _scan(layout).select(undecided).collect_batches(chunk_size=1 + CELLS_PER_BATCH // len(undecided), maintain_order=False)
    certain = find_spellings(batches, undecided, commas_separate=commas_separate)
    numbers = {name: found.spelling for name, found in certain.items() if found.spelling not in (Spelling.TEXT, Spelling.UNSURE)}
    return _write(layout, target, numbers)


def _fast(sample: Mapping[str, Finding]) -> tuple[dict[str, Spelling], str | None] | None:
    """The columns of numbers as the fast parser can take them, with the file's one null word; None when it cannot."""
    odd = [found for found in sample.values() if found.spelling not in (Spelling.PLAIN, Spelling.TEXT)]
    words = {found.word for found in odd if found.spelling is Spelling.WORDS}
    if len(words) > 1 or None in words or any(found.spelling is not Spelling.WORDS for found in odd):
        return None
    numbers = {name: Spelling.PLAIN for name, found in sample.items() if found.spelling is not Spelling.TEXT}
    return numbers, next(iter(words), None)


def _try_fast(layout: Layout, target: Path, numbers: dict[str, Spelling], word: str | None) -> Content | None:
    try:
        return _write(layout, target, numbers, word)
    except ComputeError:  # a value that the sample did not foretell
        return None


def sink(lazy: pl.LazyFrame, target: Path, columns: int) -> None:
    """Stream a table of so many columns to Parquet. Row groups are smaller the wider it is: a writer holds a whole one in memory."""
    lazy.sink_parquet(target, compression_level=1, row_group_size=min(65_536, 1 + CELLS_PER_GROUP // columns))


def read_content(parquet: Path) -> Content:
    """Describe the Parquet of a file that was written before."""
    lazy = pl.scan_parquet(parquet)
    schema = lazy.collect_schema()
    found = lazy.select(
        pl.len().alias("rows"),
        pl.struct(pl.all().null_count()).alias("missing"),
        pl.struct((pl.all().min() == pl.all().max()).fill_null(True)).alias("constant"),
    ).collect(engine="streaming")
    rows, missing, constant = found.row(0)
    return Content(
        tuple(schema),
        frozenset(name for name, type_ in schema.items() if type_ == pl.Float64),
        missing,
        frozenset(name for name, same in constant.items() if same),
        rows,
    )


def _write(layout: Layout, target: Path, numbers: Mapping[str, Spelling], word: str | None = None) -> Content:
    """Write the columns of numbers as they are spelled, `word` for missing in the plain ones, and all others as text."""
    columns = [number(name, numbers[name]) if name in numbers else text(name) for name in layout.names]
    plain = [name for name, spelling in numbers.items() if spelling is Spelling.PLAIN]
    tally = _Tally(layout.names)
    sink(_scan(layout, plain, word).select(columns).map_batches(tally.add, streamable=True), target, len(columns))
    return tally.content(frozenset(numbers))


class _Tally:
    """Describes a table from its batches as they are written, in any order and from several threads: the file need not be read again."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._rows, self._missing = tuple(names), 0, dict.fromkeys(names, 0)
        self._ends: dict[str, tuple[Any, Any]] = dict.fromkeys(names, (None, None))
        """Smallest and largest value of each column that has had one value at most; None when it had none."""
        self._lock = threading.Lock()

    def add(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Take a batch in and return it as it is."""
        missing = batch.null_count().row(0, named=True)
        ends = {name: (batch[name].min(), batch[name].max()) for name in list(self._ends)}
        with self._lock:
            self._rows += len(batch)
            for name, count in missing.items():
                self._missing[name] += count
            for name in self._ends.keys() & ends.keys():
                values = [value for value in (*self._ends[name], *ends[name]) if value is not None]
                if values and min(values) != max(values):
                    del self._ends[name]
                elif values:
                    self._ends[name] = (values[0], values[0])
        return batch

    def content(self, numeric: frozenset[str]) -> Content:
        """The outcome, when all batches were taken in."""
        return Content(self._names, numeric, self._missing, frozenset(self._ends), self._rows)


def _scan(layout: Layout, plain: Sequence[str] = (), word: str | None = None) -> pl.LazyFrame:
    return pl.scan_csv(
        layout.path,
        schema={name: pl.String() for name in layout.names} | {name: pl.Float64() for name in plain},
        null_values=None if word is None else dict.fromkeys(plain, word),
        has_header=False,
        skip_lines=layout.header_lines,
        n_rows=layout.rows,
        separator=layout.separator,
        quote_char='"' if layout.quoted else None,
    )


def _check_names(names: list[str]) -> list[Problem]:
    blank = [position for position, name in enumerate(names, 1) if not name]
    repeated = [name for name, count in Counter(names).items() if name and count > 1]
    reserved = [name for name in names if name in RESERVED]
    found = (
        ("columns_blank", "Every column needs a name; blank in the header: column", blank),
        ("columns_duplicate", "Column names must differ; more than once in the header:", repeated),
        ("columns_reserved", "These column names are used internally:", reserved),
    )
    return [Problem(code, "file", f"{message} {_shown(columns)}.", {"columns": columns}) for code, message, columns in found if columns]


def _shown(columns: Sequence[object]) -> str:
    return ", ".join(map(repr, columns[:LISTED])) + (", …" if len(columns) > LISTED else "")
