"""Reference histograms count every row of the training set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rows.inputs import numbers
from trainer.report.reference import BINS, histogram, reference_histograms


@settings(deadline=None)  # the machine may be busy
@given(arrays(np.float32, st.integers(1, 300), elements=st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32))))
def test_every_value_is_counted_once_and_the_bins_ascend(
    column: "np.ndarray[tuple[int], np.dtype[np.float32]]",
) -> None:
    result = histogram(column)
    present = int((~np.isnan(column)).sum())
    assert sum(result.counts) == present
    assert result.missing_rate == pytest.approx(1 - present / len(column))
    if present:
        assert len(result.edges) == len(result.counts) + 1 <= BINS + 1
        assert result.edges == sorted(result.edges)
        assert (result.edges[0], result.edges[-1]) == (float(np.nanmin(column)), float(np.nanmax(column)))


def test_bins_hold_about_equal_counts() -> None:
    column = np.random.default_rng(0).exponential(size=100_000).astype(np.float32)
    result = histogram(column)
    assert len(result.counts) == BINS
    assert max(result.counts) < 1.1 * min(result.counts)


def test_constant_and_empty_columns_have_one_bin_and_none() -> None:
    result = reference_histograms(
        np.array([[5, np.nan], [5, np.nan]], np.float32), numbers(["constant", "empty"]).inputs
    )
    assert (result["constant"].edges, result["constant"].counts) == ([5.0, 5.0], [2])
    assert (result["empty"].edges, result["empty"].counts, result["empty"].missing_rate) == ([], [], 1.0)
