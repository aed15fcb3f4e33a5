"""What a column of texts is: numbers, in which spelling, or text. A column holds numbers if every value that is not missing is one.

Missing in a column of numbers: empty, a word such as NA or null, NaN, an infinity (which neither JSON nor a model's input can hold).
"""

from collections.abc import Mapping, Sequence
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
    """How a column is read. PLAIN goes straight to the fast parser; it takes no null words and no spaces."""

    PLAIN = "plain"
    WORDS = "numbers among null words and spaces"
    COMMA = "numbers with a decimal comma"
    TEXT = "text"


def number(column: str, spelling: Spelling, *, strict: bool) -> pl.Expr:
    """The column's numbers, missing ones null. Reading a text that is no number raises if strict, else gives null."""
    value = pl.col(column)
    if spelling is not Spelling.PLAIN:
        text = _words_out(column)
        value = (text.str.replace(",", ".", literal=True) if spelling is Spelling.COMMA else text).cast(pl.Float64, strict=strict)
    return pl.when(value.is_finite()).then(value).alias(column)


def text(column: str) -> pl.Expr:
    """The column's texts, empty ones null."""
    return pl.when(pl.col(column).str.strip_chars() != "").then(pl.col(column)).alias(column)


def not_a_number(column: str, *, comma: bool) -> pl.Expr:
    """Whether a value is present and no number."""
    words_out = _words_out(column)
    return (
        words_out.is_not_null()
        & (words_out.str.replace(",", ".", literal=True) if comma else words_out).cast(pl.Float64, strict=False).is_null()
    )


def spellings(texts: pl.LazyFrame, columns: Sequence[str], *, separator: str, plain: bool) -> dict[str, Spelling]:
    """Decide the spelling of each column from its texts; `plain` allows the fast one."""
    counts = texts.select(
        *(_not_plain(name).sum().alias(f"p{i}") for i, name in enumerate(columns)),
        *(not_a_number(name, comma=False).sum().alias(f"w{i}") for i, name in enumerate(columns)),
        *(not_a_number(name, comma=True).sum().alias(f"c{i}") for i, name in enumerate(columns)),
        *(_surely_decimal_comma(name).any().alias(f"s{i}") for i, name in enumerate(columns)),
    ).collect(engine="streaming")
    found = counts.row(0, named=True)
    return {name: _decide(found, i, commas_separate=separator == ",", plain=plain) for i, name in enumerate(columns)}


def _decide(found: Mapping[str, int | bool], index: int, *, commas_separate: bool, plain: bool) -> Spelling:
    if plain and not found[f"p{index}"]:
        return Spelling.PLAIN
    if not found[f"w{index}"]:
        return Spelling.WORDS
    if not found[f"c{index}"] and (found[f"s{index}"] or not commas_separate):
        return Spelling.COMMA
    return Spelling.TEXT


def _words_out(column: str) -> pl.Expr:
    stripped = pl.col(column).str.strip_chars()
    return pl.when(~stripped.str.to_lowercase().is_in(NULL_WORDS)).then(stripped)


def _not_plain(column: str) -> pl.Expr:
    return pl.col(column).is_not_null() & pl.col(column).cast(pl.Float64, strict=False).is_null()


def _surely_decimal_comma(column: str) -> pl.Expr:
    return pl.col(column).str.contains(",", literal=True) & ~pl.col(column).str.strip_chars().str.contains(THOUSANDS)
