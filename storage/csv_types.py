"""What a column of texts is: numbers, in which spelling, or text. A column holds numbers if every value that is not missing is one.

Missing in a column of numbers: empty, a word such as NA or null, NaN, an infinity (which neither JSON nor a model's input can hold).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import polars as pl

NULL_WORDS = (
    *("", "na", "n/a", "<na>", "#n/a", "#na", "#n/a n/a", "nan", "-nan", "null", "none", "nil"),
    *("-1.#ind", "-1.#qnan", "1.#ind", "1.#qnan"),
)
"""Texts that mean missing among numbers, in lower case."""
THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"
"""Could be 1,234 in the English way: a decimal comma only if the file or another value of the column says so."""


class Spelling(Enum):
    """How a column is read. PLAIN goes straight to the fast parser, which knows one null word at most and no spaces."""

    PLAIN = "plain"
    WORDS = "numbers among null words and spaces"
    COMMA = "numbers with a decimal comma"
    UNSURE = "decimal commas or thousands, both are possible"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Finding:
    """How a column is spelled, and the one word that it has for missing where that is the only thing in the way of PLAIN."""

    spelling: Spelling
    word: str | None = None


def number(column: str, spelling: Spelling) -> pl.Expr:
    """The column's numbers, missing ones null; of a spelling that is certain, since what is no number becomes null here."""
    value = pl.col(column)
    if spelling is not Spelling.PLAIN:
        value = _parsed(value, comma=spelling is Spelling.COMMA)
    return pl.when(value.is_finite()).then(value).alias(column)


def text(column: str) -> pl.Expr:
    """The column's texts, empty ones null."""
    return pl.when(pl.col(column).str.strip_chars() != "").then(pl.col(column)).alias(column)


def not_a_number(value: pl.Expr, *, comma: bool = False) -> pl.Expr:
    """Whether a value is present and no number."""
    word = value.str.strip_chars().str.to_lowercase().is_in(NULL_WORDS)
    return value.is_not_null() & ~word & _parsed(value, comma=comma).is_null()


def find_spellings(batches: Iterable[pl.DataFrame], columns: Sequence[str], *, commas_separate: bool) -> dict[str, Finding]:
    """Find the spelling of each column; costs little more than parsing, because only what the fast parser refuses is looked at."""
    tallies = {name: _Tally() for name in columns}
    for batch in batches if columns else ():
        odd = batch.select(_not_plain(pl.col(name)).any().alias(name) for name in columns).row(0, named=True)
        for name in columns:
            if odd[name]:
                tallies[name].add(batch[name].filter(batch.select(_not_plain(pl.col(name))).to_series()))
    return {name: tally.decide(commas_separate=commas_separate) for name, tally in tallies.items()}


@dataclass(slots=True)
class _Tally:
    """What the values of a column that are not plain numbers have turned out to be. `words` keeps the first two different ones."""

    words: set[str] = field(default_factory=set)
    wordless: bool = False
    commaless: bool = False
    surely_commas: bool = False

    def add(self, odd: pl.Series) -> None:
        if self.wordless and self.commaless:
            return  # text, whatever else comes
        self.words |= set(odd.unique().head(2)) if len(self.words) < 2 else set()
        frame, value = odd.to_frame("value"), pl.col("value")
        self.wordless |= bool(frame.select(not_a_number(value).any()).item())
        self.commaless |= bool(frame.select(not_a_number(value, comma=True).any()).item())
        commas = value.str.contains(",", literal=True) & ~value.str.strip_chars().str.contains(THOUSANDS)
        self.surely_commas |= bool(frame.select(commas.any()).item())

    def decide(self, *, commas_separate: bool) -> Finding:
        if not self.words:
            return Finding(Spelling.PLAIN)
        if not self.wordless:
            word = next(iter(self.words))
            return Finding(Spelling.WORDS, word if len(self.words) == 1 and word.strip().lower() in NULL_WORDS else None)
        if self.commaless:
            return Finding(Spelling.TEXT)
        return Finding(Spelling.COMMA if self.surely_commas or not commas_separate else Spelling.UNSURE)


def _not_plain(value: pl.Expr) -> pl.Expr:
    return value.is_not_null() & value.cast(pl.Float64, strict=False).is_null()


def _parsed(value: pl.Expr, *, comma: bool) -> pl.Expr:
    stripped = value.str.strip_chars()
    return (stripped.str.replace(",", ".", literal=True) if comma else stripped).cast(pl.Float64, strict=False)
