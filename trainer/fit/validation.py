"""Which rows of the training range are kept for validation: its end by time, or the nearest thing that has both
classes. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
LARGEST_FRACTION = 0.5


@dataclass(frozen=True, slots=True)
class Validation:
    """Row numbers for fitting and for validation, ascending and disjoint. `warning` says when and why it is not the
    wanted tail."""

    fitting: Indices
    held_out: Indices
    warning: str | None = None


def hold_out(fails: Labels, fraction: float, seed: int) -> Validation:
    """Choose the validation rows of a training set in time order that has both classes (`ValueError` otherwise).

    Tried in this order: the last `fraction` of the rows; the shortest longer tail, up to half of the rows, that leaves
    both classes on both sides; `fraction` of each class at random; no validation rows at all (only when a class has a
    single row)."""
    count = len(fails)
    if not count or fails.all() or not fails.any():
        raise ValueError("a training set must have both classes")
    wanted = min(max(1, round(count * fraction)), count - 1)
    for tail in (wanted, _shortest_tail(fails, wanted)):
        if tail is not None and _both(fails[: count - tail]) and _both(fails[count - tail :]):
            longer = f"the last {wanted} training rows have one class only: the last {tail} are used for validation"
            rows = np.arange(count)
            return Validation(rows[: count - tail], rows[count - tail :], None if tail == wanted else longer)
    return _at_random(fails, fraction, seed)


def _shortest_tail(fails: Labels, wanted: int) -> int | None:
    """The shortest tail, at least `wanted`, with both classes; None when that is more than half of the rows."""
    count = len(fails)
    tail = max(wanted, count - int(min(np.flatnonzero(fails)[-1], np.flatnonzero(~fails)[-1])))
    return tail if tail <= count * LARGEST_FRACTION else None


def _at_random(fails: Labels, fraction: float, seed: int) -> Validation:
    random = np.random.default_rng(seed)
    classes = [np.flatnonzero(fails == value) for value in (False, True)]
    if min(map(len, classes)) < 2:
        word = "FAIL" if len(classes[1]) < 2 else "PASS"
        warning = (
            f"a single {word} row leaves nothing to validate with: no early stopping, and the threshold is not fitted"
        )
        return Validation(np.arange(len(fails)), np.empty(0, np.int64), warning)
    chosen = [
        random.choice(rows, min(max(1, round(fraction * len(rows))), len(rows) - 1), replace=False) for rows in classes
    ]
    held_out = np.sort(np.concatenate(chosen))
    warning = "no end of the training range has both classes: validation rows are taken from all of it at random"
    return Validation(np.setdiff1d(np.arange(len(fails)), held_out), held_out, warning)


def _both(fails: Labels) -> bool:
    return bool(fails.any() and not fails.all())
