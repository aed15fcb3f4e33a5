"""Which of a label's values means PASS: given, or told by the name and the values together, or asked for. Pure; never
guessed."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.manifests import LabelCounts
from storage.errors import StorageProblem, rows_text
from storage.tables.label_names import RESPONSE_LIKE, sense
from storage.tables.options import plain_name

NO_LABEL_WORDS = frozenset({"", "na", "n/a", "<na>", "#n/a", "nan", "null", "(null)", "?", "-", "--"})
"""Texts in a label column that are no label, in lower case."""
TRUE_WORDS = {
    "1": "0",
    "true": "false",
    "yes": "no",
    "t": "f",
    "y": "n",
    "ja": "nein",
    "j": "n",
    "oui": "non",
    "si": "no",
    "sí": "no",
    "да": "нет",
    "예": "아니오",
    "是": "否",
    "tak": "nie",
    "sim": "não",
    "wahr": "falsch",
    "vrai": "faux",
    "on": "off",
    "x": "",
}
"""Words that only say whether the column's name holds, with their opposites."""
LETTERS = {"p": "f"}
LISTED = 10


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a label, however it was spelled: the spelling most rows have, all of them, and the rows."""

    shown: str
    spellings: tuple[str, ...]
    rows: int


def canonical(text: str) -> str:
    """The same for spellings that mean one value: case and blanks do not matter, nor does `1.0` beside `1`."""
    plain = " ".join(text.split()).casefold()
    try:
        number = float(plain.replace(",", "."))
    except ValueError:
        return plain
    return (
        str(int(number))
        if number == number and abs(number) < 1e15 and number == int(number)
        else plain
        if number != number
        else str(number)
    )


def merged(
    counts: Mapping[str, int], no_label: frozenset[str] = NO_LABEL_WORDS
) -> tuple[dict[str, Value], list[str], int]:
    """The values by their canonical text, most rows first; the spellings that are no label, and how many rows have
    them."""
    spellings: dict[str, dict[str, int]] = {}
    for text, rows in counts.items():
        spellings.setdefault(canonical(text), {})[text] = rows
    without = [text for key in spellings if key in no_label for text in spellings[key]]
    values = {
        key: Value(max(texts, key=lambda text: texts[text]).strip(), tuple(texts), sum(texts.values()))
        for key, texts in spellings.items()
        if key not in no_label
    }
    ordered = dict(sorted(values.items(), key=lambda item: (-item[1].rows, item[0])))
    return ordered, without, sum(counts[text] for text in without)


def read_labels(
    column: str,
    counts: Mapping[str, int],
    pass_value: str | None,
    *,
    empty: int = 0,
    no_label: frozenset[str] = NO_LABEL_WORDS,
) -> tuple[LabelCounts, str] | StorageProblem:
    """Decide which value is PASS; return the counts and the reason. `counts` holds the rows of each spelling, `empty`
    those without."""
    values, without, unlabelled = merged(counts, no_label)
    if len(values) < 2 or (len(values) > 2 and pass_value is None):
        return _wrong_number(column, values)
    if pass_value is not None:
        chosen = canonical(pass_value)
        if chosen not in values:
            return StorageProblem(
                "pass_value_unknown",
                "pass_value",
                f"The label column {column!r} has no value {pass_value!r}; it holds {_list(values)}.",
                {
                    "column": column,
                    "value": pass_value,
                    "values": {value.shown: value.rows for value in values.values()},
                },
            )
        reason = "given" if len(values) == 2 else f"given; each of the {len(values) - 1} other values is FAIL"
    else:
        found = _detect(column, *values)
        if found is None:
            return _ask(column, values)
        chosen, reason = found
    fails = [value for key, value in values.items() if key != chosen]
    return (
        LabelCounts(
            pass_value=values[chosen].shown,
            fail_value=", ".join(value.shown for value in fails[:LISTED]) + (", …" if len(fails) > LISTED else ""),
            pass_count=values[chosen].rows,
            fail_count=sum(value.rows for value in fails),
            unlabelled_count=unlabelled + empty,
            pass_spellings=(
                [] if values[chosen].spellings == (values[chosen].shown,) else list(values[chosen].spellings)
            ),
            no_label_spellings=without,
        ),
        reason,
    )


def _detect(column: str, one: str, other: str) -> tuple[str, str] | None:
    """The value that is PASS and why; None where name and values say nothing, or not the same."""
    by_values = _by_words(one, other)
    if by_values is not None:
        return by_values
    for yes, no in ((one, other), (other, one)):
        if LETTERS.get(yes) == no:
            return yes, f"{yes!r} means PASS beside {no!r}"
        if TRUE_WORDS.get(yes) == no:
            return _by_name(column, yes, no)
    if {one, other} == {"-1", "1"}:
        return _by_name(column, "1", "-1") if sense(column) not in (None, 0) else _minus_one(column)
    return None


def _by_words(one: str, other: str) -> tuple[str, str] | None:
    """What the values' own words say. `ok` beside anything that is no word of the pass decides; two words of one kind
    do not."""
    senses = {value: sense(value) for value in (one, other)}
    for value, beside in ((one, other), (other, one)):
        if senses[value] == 1 and senses[beside] in (-1, None) and not _neutral(beside):
            return value, f"the word {value!r} means PASS beside {beside!r}"
        if senses[value] == -1 and (senses[beside] == 1 or beside in ("none", "nothing", "keine", "kein", "aucun")):
            return beside, f"the word {value!r} means FAIL, so {beside!r} is PASS"
    return None


def _neutral(value: str) -> bool:
    """Whether a value is a yes, a no or a number: beside `ok` it says nothing."""
    return value in TRUE_WORDS or value in TRUE_WORDS.values() or value.lstrip("-").replace(".", "").isdigit()


def _by_name(column: str, yes: str, no: str) -> tuple[str, str] | None:
    meant = sense(column)
    if meant == 1:
        return yes, f"the column is named for the pass, so {yes!r} is PASS"
    if meant == -1:
        return no, f"the column is named for the failure, so {no!r} is PASS"
    if meant is None and plain_name(column) in RESPONSE_LIKE:
        return no, f"{no!r} is PASS by default in a column named {column!r}"
    return None


def _minus_one(column: str) -> tuple[str, str] | None:
    if plain_name(column) in (*RESPONSE_LIKE, "pass/fail", "pass fail", "passfail"):
        return "-1", "of -1 and 1, -1 is PASS by default"
    return None


def _ask(column: str, values: Mapping[str, Value]) -> StorageProblem:
    shown = [value.shown for value in values.values()]
    send = " or ".join(f"pass_value={value}" for value in shown)
    return StorageProblem(
        "pass_value_ambiguous",
        "pass_value",
        f"The label column {column!r} holds {_list(values)}: say with pass_value which of the two means PASS. Send"
        f" {send} (in the command: --pass-value {_quoted(shown[0])}).",
        {"column": column, "values": {value.shown: value.rows for value in values.values()}},
    )


def _wrong_number(column: str, values: Mapping[str, Value]) -> StorageProblem:
    hint = ""
    if len(values) > 2:
        first = min(values.items(), key=lambda item: -(sense(item[0]) or 0))[1].shown
        hint = (
            f" Send pass_value={first}, or another of them, and every other value is FAIL; or name another label column"
            " with label."
        )
    if len(values) == 1:
        hint = " Without both PASS and FAIL rows there is nothing to learn."
    return StorageProblem(
        "label_values",
        "label",
        f"The label column {column!r} must have exactly two values; it has"
        f" {len(values)}{': ' + _list(values) if values else ''}.{hint}",
        {
            "column": column,
            "values": {value.shown: value.rows for value in list(values.values())[:LISTED]},
            "distinct": len(values),
        },
    )


def _quoted(value: str) -> str:
    return value if value.replace("_", "").replace(".", "").isalnum() else f"'{value}'"


def _list(values: Mapping[str, Value]) -> str:
    shown = [f"{value.shown!r} ({rows_text(value.rows)})" for value in list(values.values())[:LISTED]]
    return ", ".join(shown) + (f" and {len(values) - LISTED} more" if len(values) > LISTED else "")
