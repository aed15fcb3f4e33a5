"""The validation rows: the end of the training range, and what comes in its place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.fit.validation import hold_out


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.booleans(), min_size=2, max_size=200).filter(lambda fails: any(fails) and not all(fails)),
    st.floats(0.01, 0.5),
    st.integers(0, 5),
)
def test_rows_are_parted_and_fitting_always_sees_both_classes(labels: list[bool], fraction: float, seed: int) -> None:
    fails = np.array(labels)
    parts = hold_out(fails, fraction, seed)
    assert sorted([*parts.fitting, *parts.held_out]) == list(range(len(fails)))
    assert len({*fails[parts.fitting]}) == 2
    assert len({*fails[parts.held_out]}) in (0, 2)
    again = hold_out(fails, fraction, seed)
    assert again.held_out.tolist() == parts.held_out.tolist()


def test_it_is_the_tail_by_time_when_that_has_both_classes() -> None:
    parts = hold_out(np.arange(100) % 10 == 0, 0.2, 0)
    assert parts.held_out.tolist() == list(range(80, 100))
    assert parts.warning is None


def test_a_tail_with_one_class_is_made_longer() -> None:
    fails = np.isin(np.arange(100), [5, 70])
    parts = hold_out(fails, 0.2, 0)
    assert parts.held_out.tolist() == list(range(70, 100))
    assert parts.warning is not None
    assert "last 30" in parts.warning


def test_without_a_usable_end_rows_of_each_class_are_drawn_from_everywhere() -> None:
    fails = np.isin(np.arange(100), [5, 6, 7, 8, 9])
    parts = hold_out(fails, 0.2, 3)
    assert fails[parts.held_out].sum() == 1
    assert len(parts.held_out) == 20
    assert parts.warning is not None
    assert "random" in parts.warning


@pytest.mark.parametrize("fail", [True, False])
def test_a_single_row_of_a_class_leaves_nothing_to_validate_with(fail: bool) -> None:
    fails = (np.arange(50) == 3) == fail
    parts = hold_out(fails, 0.2, 0)
    assert len(parts.held_out) == 0
    assert parts.warning is not None
    assert ("FAIL" if fail else "PASS") in parts.warning


@pytest.mark.parametrize("fails", [[], [True, True], [False]])
def test_one_class_is_refused(fails: list[bool]) -> None:
    with pytest.raises(ValueError, match="both classes"):
        hold_out(np.array(fails, np.bool_), 0.2, 0)
