"""Columns that may give the label away: one that alone, or by one split, tells PASS from FAIL; where it is empty tells
it; or one that counts the rows. They are named, never left out: whether a value was known when the part was made is for
a person to say."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.manifests import Suspect
from storage.tables.names import column

LOOKED_AT_FIRST = 100
FAILED = "\0failed"
FEWEST = 5
"""Rows of each class that must be there: with fewer, chance alone separates them."""
GIVEN_AWAY = 0.95
"""Matthews correlation of a rule with the label from which it is a suspect."""
MOST_VALUES = 50
Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def find_suspects(
    lazy: pl.LazyFrame, sample: pl.DataFrame, failed: pl.Expr, numbers: Sequence[str], texts: Sequence[str]
) -> list[Suspect]:
    """Look at these columns of numbers and of texts in a sample of the rows. `failed` is true, false, or null without a
    label."""
    if not numbers and not texts:
        return []
    frame = sample.with_columns(failed.alias(FAILED)).filter(pl.col(FAILED).is_not_null())
    fails = frame[FAILED].to_numpy()
    enough = min(int(fails.sum()), int((~fails).sum())) >= FEWEST
    firsts = lazy.select(column(name) for name in numbers).head(LOOKED_AT_FIRST).collect()
    found = []
    for name in numbers:
        suspect = _number(name, frame[name].to_numpy(), fails) if enough else None
        suspect = suspect or _index(name, firsts[name].to_numpy(), lazy)
        found += [suspect] if suspect else []
    for name in texts:
        suspect = _text(name, pl.DataFrame({"failed": frame[FAILED], "value": frame[name]})) if enough else None
        found += [suspect] if suspect else []
    return found


def _number(name: str, values: Values, fails: Flags) -> Suspect | None:
    absent = np.isnan(values)
    if abs(_mcc(absent, fails)) >= GIVEN_AWAY:
        return Suspect(column=name, kind="missing", reason=f"{name!r} is empty for one label and filled for the other.")
    present = ~absent
    if min(fails[present].sum(), (~fails[present]).sum()) < FEWEST:
        return None
    known, label = values[present], fails[present]
    distinct = np.unique(known)
    if len(distinct) == 1:
        return None
    if len(distinct) == 2 and abs(_mcc(known == distinct[1], label)) >= GIVEN_AWAY:
        return Suspect(
            column=name,
            kind="twin",
            reason=f"{name!r} has two values that go with the two labels: it is the label's twin.",
        )
    cut, mcc = _best_split(known, label)
    if mcc >= GIVEN_AWAY:
        rule = f"{name} {'>' if cut[1] else '<='} {cut[0]:.6g}"
        reason = f"{name!r} alone tells the labels apart: the rule {rule} finds the failures (MCC {mcc:.2f})."
        return Suspect(column=name, kind="rule", reason=reason)
    if len(distinct) <= MOST_VALUES and len(distinct) * FEWEST <= len(known):
        groups = {value: label[known == value] for value in distinct}
        if abs(_mcc(_majority(known, groups), label)) >= GIVEN_AWAY:
            return Suspect(
                column=name, kind="rule", reason=f"Each of the {len(distinct)} values of {name!r} goes with one label."
            )
    return None


def _majority(known: Values, groups: dict[float, Flags]) -> Flags:
    failing = [value for value, label in groups.items() if label.mean() > 0.5]
    return np.isin(known, failing)


def _best_split(values: Values, fails: Flags) -> tuple[tuple[float, bool], float]:
    """The threshold that tells the labels apart best, whether failures lie above it, and its Matthews correlation."""
    order = np.argsort(values, kind="stable")
    ordered, label = values[order], fails[order]
    ends = np.flatnonzero(np.diff(ordered))
    below = np.cumsum(label)[ends].astype(float)
    count, total, all_fails = ends + 1.0, float(len(label)), float(label.sum())
    passes_below = count - below
    with np.errstate(all="ignore"):
        numerator = below * (total - all_fails - passes_below) - passes_below * (all_fails - below)
        mcc = numerator / np.sqrt(count * (total - count) * all_fails * (total - all_fails))
    best = int(np.nanargmax(np.abs(mcc)))
    return (float((ordered[ends[best]] + ordered[ends[best] + 1]) / 2), bool(mcc[best] < 0)), float(abs(mcc[best]))


def _text(name: str, frame: pl.DataFrame) -> Suspect | None:
    fails = frame["failed"].to_numpy()
    if abs(_mcc(frame["value"].is_null().to_numpy(), fails)) >= GIVEN_AWAY:
        return Suspect(column=name, kind="missing", reason=f"{name!r} is empty for one label and filled for the other.")
    groups = frame.group_by("value").agg(pl.len().alias("rows"), pl.col("failed").mean().alias("share"))
    if len(groups) > MOST_VALUES or len(groups) * FEWEST > len(frame):
        return None
    failing = groups.filter(pl.col("share") > 0.5)["value"]
    told = frame.select(pl.col("value").is_in(failing.implode(), nulls_equal=True)).to_series().to_numpy()
    if abs(_mcc(told, fails)) < GIVEN_AWAY:
        return None
    if len(groups) == 2:
        return Suspect(
            column=name,
            kind="twin",
            reason=f"{name!r} has two values that go with the two labels: it is the label's twin.",
        )
    return Suspect(
        column=name, kind="rule", reason=f"Each of the {len(groups)} values of {name!r} goes with one label."
    )


def _mcc(told: Flags, fails: Flags) -> float:
    tp, fp = float((told & fails).sum()), float((told & ~fails).sum())
    fn, tn = float((~told & fails).sum()), float((~told & ~fails).sum())
    below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / below**0.5 if below else 0.0


def _index(name: str, first: Values, lazy: pl.LazyFrame) -> Suspect | None:
    """A column that counts the rows, as the first ones and then all of them show."""
    if len(first) < FEWEST or not (np.diff(first) == 1).all() or not is_index(lazy, name):
        return None
    return Suspect(
        column=name, kind="index", reason=f"{name!r} counts the rows: it tells when a row came, not what was measured."
    )


def is_index(lazy: pl.LazyFrame, name: str) -> bool:
    """Whether a column's numbers go up by one from row to row."""
    value = column(name).cast(pl.Float64, strict=False)
    counts = ((value.diff() == 1).sum() == pl.len() - 1) & (pl.len() > 4) & (value.null_count() == 0)
    return bool(lazy.select(counts).collect().item())
