"""Which of a label's two values means PASS: given, or found with a stated reason, or asked for. Pure; never guessed silently."""

from collections.abc import Mapping

from schemas.manifests import LabelCounts
from storage.errors import Problem, rows_text

LABEL_NAMES = (
    *("response", "pass/fail", "pass fail", "passfail", "label", "target", "machine failure", "failure", "fail", "failed"),
    *("defect", "defective", "class", "result", "verdict", "outcome", "quality", "status", "y"),
)
"""Names that a label column usually has, best first, in lower case with spaces for underscores."""
NEUTRAL_WORDS = {"true": "false", "yes": "no", "t": "f", "y": "n"}
"""Words that mean FAIL in a column named for the failure and PASS in a column named for the pass, with their opposites."""
WORD_PAIRS = (
    ("pass", "fail"),
    ("passed", "failed"),
    ("p", "f"),
    ("ok", "nok"),
    ("ok", "not ok"),
    ("ok", "ng"),
    ("ok", "ko"),
    ("ok", "defect"),
    ("ok", "fail"),
    ("io", "nio"),
    ("i.o.", "n.i.o."),
    ("good", "bad"),
    ("good", "defective"),
    ("good", "defect"),
    ("normal", "abnormal"),
    ("normal", "anomaly"),
    ("normal", "defect"),
    ("normal", "failure"),
    ("accept", "reject"),
    ("accepted", "rejected"),
    ("conforming", "nonconforming"),
    ("success", "failure"),
    ("pass", "reject"),
)
"""Pairs of words, (PASS, FAIL), in lower case."""
LISTED = 10


def read_labels(column: str, counts: Mapping[str, int], pass_value: str | None) -> tuple[LabelCounts, str] | Problem:
    """Decide which value is PASS. `counts` holds the rows of each raw value, missing ones left out. Returns the counts and the reason."""
    if len(counts) != 2:
        return _wrong_number(column, counts)
    if pass_value is not None:
        chosen = _find(pass_value, counts)
        if chosen is None:
            return Problem(
                "pass_value_unknown",
                "pass_value",
                f"The label column {column!r} has no value {pass_value!r}; it holds {_list(counts)}.",
                {"column": column, "value": pass_value, "values": dict(counts)},
            )
        return _counts(counts, chosen), "given"
    found = _detect(column, counts)
    if found is None:
        return Problem(
            "pass_value_ambiguous",
            "pass_value",
            f"The label column {column!r} holds {_list(counts)}: say with pass_value which of the two means PASS.",
            {"column": column, "values": dict(counts)},
        )
    chosen, reason = found
    return _counts(counts, chosen), reason


def _detect(column: str, counts: Mapping[str, int]) -> tuple[str, str] | None:
    values = {value.strip().lower(): value for value in counts}
    if "0" in values:
        return values["0"], "0 is PASS by default"
    if set(values) == {"-1", "1"}:
        return values["-1"], "of -1 and 1, -1 is PASS by default"
    for passed, failed in WORD_PAIRS:
        if set(values) == {passed, failed}:
            return values[passed], f"the word {values[passed]!r} means PASS beside {values[failed]!r}"
    for yes, no in NEUTRAL_WORDS.items():
        if set(values) == {yes, no}:
            return _neutral(column, values[yes], values[no])
    return None


def _neutral(column: str, yes: str, no: str) -> tuple[str, str] | None:
    name = column.strip().lower()
    of_pass = any(word in name for word in ("pass", "good", "ok", "accept"))
    of_fail = any(word in name for word in ("fail", "bad", "defect", "reject", "error", "anomal"))
    if of_pass and of_fail:
        return None
    if of_pass:
        return yes, f"the column is named for the pass, so {yes!r} is PASS"
    return no, f"{no!r} is PASS by default, like 0"


def _find(wanted: str, counts: Mapping[str, int]) -> str | None:
    """The value that is meant: the same text, or the same number (`0.0` finds `0`)."""
    if wanted in counts:
        return wanted
    try:
        return next((value for value in counts if float(value) == float(wanted)), None)
    except ValueError:
        return next((value for value in counts if value.strip().lower() == wanted.strip().lower()), None)


def _counts(counts: Mapping[str, int], chosen: str) -> LabelCounts:
    (other,) = set(counts) - {chosen}
    return LabelCounts(pass_value=chosen, fail_value=other, pass_count=counts[chosen], fail_count=counts[other])


def _wrong_number(column: str, counts: Mapping[str, int]) -> Problem:
    return Problem(
        "label_values",
        "label",
        f"The label column {column!r} must have exactly two values; it has {len(counts)}{': ' + _list(counts) if counts else ''}.",
        {"column": column, "values": dict(sorted(counts.items(), key=lambda item: -item[1])[:LISTED]), "distinct": len(counts)},
    )


def _list(counts: Mapping[str, int]) -> str:
    shown = [f"{value!r} ({rows_text(rows)})" for value, rows in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:LISTED]]
    return ", ".join(shown) + (f" and {len(counts) - LISTED} more" if len(counts) > LISTED else "")
