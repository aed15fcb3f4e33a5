"""The settings of an upload as sent, in form fields or the query, by their names or an obvious spelling of them. Pure.

What nobody knows is refused with what was probably meant: a setting that is passed over in silence changes how a file
is read."""

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from gateway.errors import problem
from gateway.web.operations import unknown
from schemas.http.shared import Problem
from storage.tables.options import DatasetOptions
from storage.tables.ranges import read_instant

SPELLINGS = {
    "label": "labelcolumn target targetcolumn",
    "pass_value": "pass passlabel",
    "id_column": "id idcol",
    "time_column": "time timecol timestampcolumn",
    "time_format": "timeformat dateformat",
    "time_zone": "timezone tz",
    "encoding": "charset",
    "separator": "delimiter sep",
    "decimal": "decimalseparator decimalsign",
    "thousands": "thousandsseparator",
    "na_values": "navalue nullvalues missingvalues",
    "exclude": "excludecolumns excluded drop ignore",
    "header": "hasheader",
    "synthetic_step_seconds": "syntheticstep",
}
ALIASES = {word: name for name, words in SPELLINGS.items() for word in words.split()}
"""Obvious spellings, by their letters alone."""
SEPARATORS = {
    "tab": "\t",
    "\\t": "\t",
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "bar": "|",
    **dict.fromkeys(("space", "blank", "whitespace", "\\s+"), " "),
}
SIGNS = {"point": ".", "dot": ".", "comma": ",", "apostrophe": "'", "space": " ", "blank": " "}
YES_NO = {"yes": True, "true": True, "1": True, "y": True, "no": False, "false": False, "0": False, "n": False}
Read = Callable[[str], Any]


class _Wrong(ValueError):
    """A value that a setting cannot have; says what it can."""


def _one_of(words: dict[str, Any], more: str, say: str) -> Read:
    def read(text: str) -> Any:
        plain = text.strip().lower() or text
        if plain in words:
            return words[plain]
        if text in more and len(text) == 1:
            return text
        raise _Wrong(say)

    return read


def _number(low: float, high: float, say: str, *, open_: bool) -> Read:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise _Wrong(say) from None
        if not math.isfinite(value) or not low <= value <= high or (open_ and value == low):
            raise _Wrong(say)
        return value

    return read


def _instant(text: str) -> Any:
    found = read_instant(text, end=False)
    if found is None:
        raise _Wrong("Give an ISO 8601 date or date-time.")
    return found.at


SINGLE: dict[str, Read] = {
    **dict.fromkeys(
        ("label", "pass_value", "id_column", "time_column", "time_format", "time_zone", "encoding"), lambda text: text
    ),
    "separator": _one_of(SEPARATORS, ",;\t| :^~", "Give one of , ; | tab or space."),
    "decimal": _one_of(SIGNS, ".,", "Give the decimal sign: . or ,"),
    "thousands": _one_of(SIGNS, ".,' ", "Give the sign that groups thousands: . , ' or space."),
    "header": _one_of(YES_NO, "", "Give yes or no."),
    "max_unread_share": _number(0, 1, "Give a share from 0 to 1.", open_=False),
    "synthetic_start": _instant,
    "synthetic_step_seconds": _number(0, math.inf, "Give a number of seconds above 0.", open_=True),
}
LISTS = ("na_values", "exclude")
NAMES = (*SINGLE, *LISTS)
TYPES = {
    "synthetic_start": "value_error.date",
    "synthetic_step_seconds": "value_error.number",
    "max_unread_share": "value_error.number",
}


def canonical(name: str) -> str | None:
    """The setting that a name stands for: `passValue`, `pass-value` and `PASS_VALUE` are `pass_value`; None when nobody
    knows it."""
    letters = re.sub(r"[^a-z]", "", name.lower())
    return next((known for known in NAMES if known.replace("_", "") == letters), ALIASES.get(letters))


def read_options(
    fields: Sequence[tuple[str, str]], query: Sequence[tuple[str, str]], *, max_unread_share: float
) -> DatasetOptions | list[Problem]:
    """The dataset's settings, or every problem with them; absent or blank means: detect it."""
    problems: list[Problem] = []
    given: dict[str, list[tuple[str, str]]] = {}
    for where, pairs in (("body", fields), ("query", query)):
        for name, value in pairs:
            setting = canonical(name)
            if setting is None:
                problems += unknown([name], ("file", *NAMES) if where == "body" else NAMES, where)
            elif (
                value.strip()
                or (setting == "separator" and value in " \t" and value)
                or (setting == "thousands" and value == " ")
            ):
                given.setdefault(setting, []).append((where, value))
    found: dict[str, Any] = {"max_unread_share": max_unread_share}
    for setting in (name for name in NAMES if name in given):
        values = given[setting]
        where = values[0][0]
        if setting in LISTS:
            found[setting] = tuple(dict.fromkeys(one for _, value in values for one in _list(value)))
            continue
        if len({value for _, value in values}) > 1:
            shown = ", ".join(repr(value[:40]) for _, value in values)
            problems.append(
                problem((where, setting), f"{setting!r} is given more than once: {shown}.", "value_error.repeated")
            )
            continue
        try:
            found[setting] = SINGLE[setting](values[0][1])
        except _Wrong as wrong:
            problems.append(problem((where, setting), str(wrong), TYPES.get(setting, f"value_error.{setting}")))
    return problems or DatasetOptions(**found)


def _list(text: str) -> list[str]:
    """A list as JSON, or its members between commas."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, list) and all(isinstance(one, str | int | float) for one in found):
            return [str(one) for one in found]
    return [one.strip() for one in text.split(",") if one.strip()]
