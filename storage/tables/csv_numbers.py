"""What the cells of a column are, seen by their shape (digits are all alike), and what the file's decimal sign is.
Pure.

The decimal sign is a property of the file: one value that can be read in one way only decides for all of them. Where
nothing decides, or two columns contradict each other, it is asked for.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from storage.tables.options import few

Sign = Literal[".", ","]
ZERO = "\x01"
"""Stands in a shape for a 0 before a decimal sign: no group of digits begins so."""
NULL_WORDS = (
    *("", "na", "n/a", "<na>", "#n/a", "#na", "#n/a n/a", "nan", "-nan", "null", "none", "nil", "(null)", "\\n"),
    *("-1.#ind", "-1.#qnan", "1.#ind", "1.#qnan"),
    *("inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"),
)
"""Texts that mean missing among numbers, in lower case. Neither JSON nor a model's input can hold an infinity."""
GROUPERS = "'’ \u00a0\u2009\u202f"
MINUS = "−–-"
_BODY = rf"(?:[9{ZERO}][9{ZERO}.,{GROUPERS}]*|[.,]9+)"
_UNIT = r"[^\d\s.,;+\-()<>=?!*_|\"](?:[^\d\s;()<>=?!_|\"]|\d(?!\d)){0,9}(?:\s?[^\d\s.,;+\-()<>=?!*_|\"]{1,4})?"
NUMBER = re.compile(
    rf"^(?P<sign>[+{MINUS}]\s?)?(?P<before>[€$£¥₩]\s?)?(?P<body>{_BODY})(?P<exp>[eE][+-]?9+)?(?P<after>\s*{_UNIT})?(?P<minus>-)?$"
)
# a digit alone may be an exponent, several are none: 20240115T060000 is no number in T060000
UNIT_AFTER = re.compile(rf"^[^\d]*[\d.,{GROUPERS}]*?\d?[.,]?(?:[eE][+-]?\d+)?\s*(?P<unit>{_UNIT})-?$")
HEXADECIMAL = re.compile(r"^[+-]?0[xX][0-9a-fA-F]")
"""Not a 0 in the unit xFF."""
SYMBOLS = re.compile(r"^(?:[\W_]+|#\s?[\w/]+[!?]?)$")
"""A cell in which nothing is written: dashes, question marks, the errors of spreadsheets."""


@dataclass(slots=True)
class Seen:
    """How often a shape was met, the first row that has it, and its value there."""

    count: int
    row: int
    value: str


@dataclass(slots=True)
class Look:
    """What is in a column. `plain` counts what a float parser takes and is not among `shapes`; `more` what did not fit
    there."""

    plain: int = 0
    shapes: dict[str, Seen] = field(default_factory=dict)
    more: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    """A shape that is a number. `sign`: the decimal sign that it proves; `maybe`: the one it has unless it is a group
    of digits."""

    sign: Sign | None
    maybe: Sign | None
    unit: str | None
    before: str | None
    grouped: bool
    trailing_minus: bool
    bracketed: bool = False

    def fits(self, decimal: Sign) -> bool:
        """Whether it can be read with this decimal sign."""
        return self.sign in (None, decimal)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How the numbers of a column are written. `plain`: as a float parser takes them, but for words and blanks."""

    plain: bool = True
    decimal: Sign = "."
    unit: str | None = None
    before: str | None = None
    trailing_minus: bool = False
    bracketed: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """A column of numbers, in this spelling, with the cells that were taken for missing; or of text, for a reason or
    plainly."""

    spelling: Spelling | None
    odd: tuple[Seen, ...] = ()
    reason: str | None = None
    grouped: Seen | None = None
    bracketed: Seen | None = None
    bare: int = 0
    """Rows without the unit that the others have."""


def number(shape: str, value: str) -> Number | None:
    """What number a shape, of which `value` is an example, stands for; None when it is none."""
    bracketed = shape.startswith("(") and shape.endswith(")")
    if bracketed:  # a negative number of accountants
        shape, value = shape[1:-1].strip(), value.strip()[1:-1]
    match = NUMBER.match(shape)
    if match is None or HEXADECIMAL.match(value.strip()) or (bracketed and (match["sign"] or match["minus"])):
        return None
    body = match["body"].rstrip(GROUPERS)
    parsed = _body(body)
    if parsed is None:
        return None
    sign, maybe, grouped = parsed
    if match["exp"] and maybe:
        sign, maybe = maybe, None  # 1.500e3: nobody groups digits before an exponent
    after = None
    if match["after"]:
        unit = UNIT_AFTER.match(value.strip())
        if unit is None or not any(sign.isalpha() or sign in "%‰°℃℉Ω€$£¥" for sign in unit["unit"]):
            return None
        after = unit["unit"]
    return Number(sign, maybe, after, (match["before"] or "").strip() or None, grouped, bool(match["minus"]), bracketed)


def _body(body: str) -> tuple[Sign | None, Sign | None, bool] | None:
    """The sign that digits and separators prove or suggest, and whether digits are grouped; None when they are no
    number."""
    plain = body
    if any(grouper in body for grouper in GROUPERS):
        if not re.fullmatch(rf"9{{1,3}}([{GROUPERS}]999)+([.,]9*)?", body):
            return None
        plain = re.sub(rf"[{GROUPERS}]", "", body)
        tail = plain.lstrip("9")
        return ("." if "." in tail else "," if "," in tail else None), None, True
    dots, commas = plain.count("."), plain.count(",")
    if not dots and not commas:
        return None, None, False
    if dots and commas:
        decimal: Sign = "." if plain.rindex(".") > plain.rindex(",") else ","
        group = "," if decimal == "." else "."
        right = plain.count(decimal) == 1 and re.fullmatch(rf"9{{1,3}}(\{group}99)*(\{group}999)+\{decimal}9*", plain)
        return (decimal, None, True) if right else None
    mark, other = (".", ",") if dots else (",", ".")
    if dots + commas > 1:
        indian = rf"(\{mark}99)*" if mark == "," else ""
        return (_sign(other), None, True) if re.fullmatch(rf"9{{1,3}}{indian}(\{mark}999)+", plain) else None
    if re.fullmatch(rf"9{{1,3}}\{mark}999", plain):
        return None, _sign(mark), False
    return _sign(mark), None, False


def _sign(text: str) -> Sign:
    return "." if text == "." else ","


@dataclass(frozen=True, slots=True)
class Vote:
    """That a column proves a decimal sign, or could be read with either, and a cell that shows it."""

    column: str
    sign: Sign
    seen: Seen
    sure: bool


def votes(looks: Mapping[str, Look], na_words: frozenset[str], share: float) -> list[Vote]:
    """What the columns that could be numbers say about the decimal sign."""
    found = []
    for name, look in looks.items():
        numbers, odd = _sorted(look, na_words)
        total = look.plain + sum(seen.count for _, seen in numbers) + sum(seen.count for seen in odd) + look.more
        if not numbers or not few(sum(seen.count for seen in odd) + look.more, total, share):
            continue
        by_sign = {sign: [seen for one, seen in numbers if one.sign == sign] for sign in (".", ",")}
        counts = {sign: sum(one.count for one in seen) for sign, seen in by_sign.items()}
        for sign in (".", ","):
            rare = few(counts[sign], total, share) and counts["," if sign == "." else "."] > counts[sign]
            if counts[sign] and not rare:
                found.append(Vote(name, _sign(sign), min(by_sign[sign], key=lambda seen: seen.row), sure=True))
        for sign in (".", ","):
            unsure = [seen for one, seen in numbers if one.maybe == sign]
            if unsure:
                found.append(Vote(name, _sign(sign), min(unsure, key=lambda seen: seen.row), sure=False))
    return found


def find_sign(found: Iterable[Vote], *, commas_separate: bool) -> Sign | tuple[Vote, Vote] | Vote:
    """The file's decimal sign; two votes that contradict each other; or one that could be read with either sign."""
    every = list(found)
    sure = {vote.sign: vote for vote in reversed(every) if vote.sure}
    if len(sure) == 2:
        return sure["."], sure[","]
    if sure:
        return next(iter(sure))
    unsure = [vote for vote in every if not commas_separate or vote.sign == ","]
    return unsure[0] if unsure else "."


def decide(look: Look, decimal: Sign, na_words: frozenset[str], share: float) -> Decision:
    """What a column is, when the file's decimal sign is known."""
    numbers, odd = _sorted(look, na_words)
    fitting = [(one, seen) for one, seen in numbers if one.fits(decimal)]
    odd += [seen for one, seen in numbers if not one.fits(decimal)]
    if not look.plain and all(
        one.bracketed for one, _ in fitting
    ):  # no number beside them says that brackets are a sign
        odd += [seen for _, seen in fitting]
        fitting = []
    units: dict[tuple[str | None, str | None], int] = {}
    for one, seen in fitting:
        units[one.before, one.unit] = units.get((one.before, one.unit), 0) + seen.count
    named = {unit: count for unit, count in units.items() if unit != (None, None)}
    before, unit = max(named, key=lambda one: named[one], default=(None, None))
    in_unit, every = named.get((before, unit), 0), look.plain + sum(units.values())
    if in_unit < every and few(in_unit, every, share):  # a unit in a few cells may be another one than that of the rest
        before, unit, in_unit = None, None, 0
    strange = [(one, seen) for one, seen in fitting if (one.before, one.unit) not in ((None, None), (before, unit))]
    odd += [seen for _, seen in strange]
    read = [(one, seen) for one, seen in fitting if (one, seen) not in strange]
    nothing = [seen for seen in odd if SYMBOLS.match(seen.value.strip()) and seen.value.strip().lower() not in na_words]
    wrong = [seen for seen in odd if not SYMBOLS.match(seen.value.strip())]
    count_read, count_wrong = (
        look.plain + sum(seen.count for _, seen in read),
        sum(seen.count for seen in wrong) + look.more,
    )
    if not count_read and not (look.shapes or look.more):
        return Decision(Spelling())
    if not few(count_wrong, count_read + count_wrong, share) or (not count_read and (wrong or nothing)):
        if numbers and not fitting:
            return Decision(
                None, reason=f"its numbers do not have the decimal sign {decimal!r}, first {numbers[0][1].value!r:.60}"
            )
        return Decision(None, reason=_why_text(wrong, count_read, count_wrong, len(strange) > 0))
    grouped = next(
        (seen for one, seen in read if one.grouped or (one.maybe is not None and one.maybe != decimal)), None
    )
    plain = all(
        one.unit is None
        and one.before is None
        and not (one.trailing_minus or one.bracketed)
        and not _needs_sign(one, decimal, seen)
        for one, seen in read
    )
    bracketed = next((seen for one, seen in read if one.bracketed), None)
    spelling = Spelling(plain, decimal, unit, before, any(one.trailing_minus for one, _ in read), bracketed is not None)
    return Decision(
        spelling,
        tuple(sorted((*nothing, *wrong), key=lambda seen: seen.row)),
        None,
        grouped,
        bracketed,
        count_read - in_unit if in_unit else 0,
    )


def _needs_sign(one: Number, decimal: Sign, seen: Seen) -> bool:
    return one.grouped or decimal == "," or one.maybe not in (None, decimal) or seen.value.strip()[:1] in "−–"


def _sorted(look: Look, na_words: frozenset[str]) -> tuple[list[tuple[Number, Seen]], list[Seen]]:
    """Shapes that are numbers, and those that are neither numbers nor words for missing."""
    numbers, odd = [], []
    for shape, seen in look.shapes.items():
        if seen.value.strip().lower() in na_words:
            continue
        found = number(shape, seen.value)
        if found is None:
            odd.append(seen)
        else:
            numbers.append((found, seen))
    return numbers, odd


def _why_text(wrong: list[Seen], read: int, count: int, units: bool) -> str | None:
    """Why a column with many numbers is text; None when it is plainly text."""
    if not read or not wrong or count > 4 * read:
        return None
    first = min(wrong, key=lambda seen: seen.row)
    what = "different units" if units else "no number"
    return f"{what} in {count} of {count + read} rows, first {first.value!r:.60} in line {{line:{first.row}}}"
