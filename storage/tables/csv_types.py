"""Looking at columns of texts, batch by batch, and reading those of numbers. Costs little more than parsing where all
is plain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from storage.tables.csv_numbers import GROUPERS, MINUS, NULL_WORDS, ZERO, Look, Seen, Spelling
from storage.tables.names import column

MOST_SHAPES = 200
ROW = "\0row"
SURELY = r"^-?(?:\d+[{sign}](?:\d{{1,2}}|\d{{4,}})|0[{sign}]\d+|\d{{4,}}[{sign}]\d+)$"
"""A number with this decimal sign that cannot be one with grouped digits."""
LEADING_ZERO = r"^([^0-9]*)0([.,'’])"


@dataclass(frozen=True, slots=True)
class Missing:
    """What means missing: words, in lower case, and numbers."""

    words: frozenset[str] = frozenset(NULL_WORDS)
    numbers: tuple[float, ...] = ()

    @classmethod
    def with_more(cls, values: Sequence[str]) -> "Missing":
        """The usual words and these; one that is a number stands for that number however it is written."""
        numbers = []
        for value in values:
            try:
                numbers.append(float(value.replace(",", ".")))
            except ValueError:
                continue
        return cls(frozenset(NULL_WORDS) | {value.strip().lower() for value in values}, tuple(numbers))


def read_number(name: str, spelling: Spelling, missing: Missing, *, parsed: bool = False) -> pl.Expr:
    """The column's numbers, missing ones null. `parsed`: the CSV parser has made floats of it already."""
    value = column(name)
    if not parsed:
        value = value.str.strip_chars() if spelling.plain else _tidied(value, spelling)
        value = value.cast(pl.Float64, strict=False)
    kept = value.is_finite()
    if missing.numbers:
        kept &= ~value.is_in(list(missing.numbers))
    return pl.when(kept).then(value).alias(name)


def read_text(name: str, missing: Missing, *, given: bool) -> pl.Expr:
    """The column's texts, empty ones null, and the words for missing too if they were `given`."""
    text = column(name).str.strip_chars()
    kept = text != ""
    if given:
        kept &= ~text.str.to_lowercase().is_in(list(missing.words - frozenset(NULL_WORDS)))
    return pl.when(kept).then(column(name)).alias(name)


def look_at(batches: Iterable[pl.DataFrame], columns: Sequence[str], *, dots: bool, enough: float) -> dict[str, Look]:
    """What each column holds. The batches have the row's number as `ROW`.

    `dots`: values with a dot are looked at though a float parser takes them, since the dot may group digits. A column
    with more than `enough` cells that are no numbers whatever is not looked at any longer.
    """
    looks = {name: Look() for name in columns}
    for batch in batches if columns else ():
        open_ = [name for name in columns if looks[name].more <= enough]
        if not open_:
            return looks
        odd = batch.select(_odd(column(name), dots=dots).any().alias(name) for name in open_).row(0, named=True)
        for name in open_:
            present = len(batch) - batch[name].null_count()
            if odd[name]:
                present -= _add(
                    looks[name], batch.select(column(name).alias("value"), column(ROW).alias("row")), dots=dots
                )
            looks[name].plain += present
    return looks


def _odd(value: pl.Expr, *, dots: bool) -> pl.Expr:
    odd = value.cast(pl.Float64, strict=False).is_null()
    if dots:
        odd |= value.str.contains(".", literal=True)
    return value.is_not_null() & odd


def _add(look: Look, batch: pl.DataFrame, *, dots: bool) -> int:
    """Take in the odd values of a batch; return how many they are. Plain decimals, the most, need no shape of their
    own."""
    value = pl.col("value")
    odd = batch.filter(_odd(value, dots=dots))
    usual = [odd.select(value.str.contains(SURELY.format(sign=sign))).to_series() for sign in ".,"]
    for shape, chosen in zip(("9.9", "9,9"), usual, strict=True):
        if chosen.any():
            text, row = odd.filter(chosen).bottom_k(1, by="row").row(0)
            _count(look, shape, int(chosen.sum()), row, text)
    rest = odd.filter(~(usual[0] | usual[1]))
    if len(rest):
        found = (
            rest.with_columns(_shape(value).alias("shape"))
            .group_by("shape")
            .agg(pl.len().alias("count"), pl.col("row").min().alias("row"), value.sort_by("row").first().alias("value"))
            .sort("row")
        )
        for shape, count, row, text in found.iter_rows():
            _count(look, shape, count, row, text)
    return len(odd)


def _count(look: Look, shape: str, count: int, row: int, text: str) -> None:
    seen = look.shapes.get(shape)
    if seen is not None:
        look.shapes[shape] = Seen(seen.count + count, *min((seen.row, seen.value), (row, text)))
    elif len(look.shapes) < MOST_SHAPES:
        look.shapes[shape] = Seen(count, row, text)
    else:
        look.more += count


def _shape(value: pl.Expr) -> pl.Expr:
    marked = value.str.strip_chars().str.replace(LEADING_ZERO, "${1}" + ZERO + "${2}")
    return marked.str.replace_all(r"[0-9]", "9").str.replace_all("9{4,}", "9999")


def _tidied(value: pl.Expr, spelling: Spelling) -> pl.Expr:
    """The text as a float parser takes it; what is not of this spelling stays as it is, and is none."""
    value = value.str.strip_chars()
    if spelling.bracketed:
        inside = value.str.extract(r"^\(\s*(.*?)\s*\)$")
        value = pl.when(inside.is_not_null()).then("-" + inside).otherwise(value)
    if spelling.unit:
        value = value.str.strip_suffix(spelling.unit).str.strip_chars()
    if spelling.before:
        value = value.str.replace(spelling.before, "", literal=True).str.replace_all(" ", "")
    if spelling.trailing_minus:
        value = pl.when(value.str.ends_with("-")).then("-" + value.str.strip_suffix("-")).otherwise(value)
    groupers = GROUPERS + ("," if spelling.decimal == "." else ".")
    whole = rf"\d*|\d{{1,3}}([{groupers}]\d{{2,3}})*[{groupers}]\d{{3}}"
    right = rf"^[+{MINUS}]?\s?({whole})([{spelling.decimal}]\d*)?([eE][+-]?\d+)?$"
    tidy = (
        value.str.replace_all(rf"[{groupers}]", "")
        .str.replace(spelling.decimal, ".", literal=True)
        .str.replace("^[−–]", "-")
    )
    return pl.when(value.str.contains(right)).then(tidy)
