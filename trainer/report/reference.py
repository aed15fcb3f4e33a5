"""Reference histograms: how each feature was distributed in the training set, for drift monitoring later. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.kinds.base import Matrix
from rows.inputs import ModelInput
from schemas.manifests import ReferenceHistogram

BINS = 20


def reference_histograms(matrix: Matrix, inputs: Sequence[ModelInput]) -> dict[str, ReferenceHistogram]:
    """A histogram of each column [n, k], bins of about equal counts: the last one is closed, all others are half open.

    Of a category: a bin for each code, the last one for unknown texts.
    """
    return {
        one.name: category_histogram(matrix[:, column], len(one.values))
        if one.is_category
        else histogram(matrix[:, column])
        for column, one in enumerate(inputs)
    }


def category_histogram(column: npt.NDArray[np.float32], values: int) -> ReferenceHistogram:
    """How often each code comes, those up to `values` (unknown) included."""
    present = column[~np.isnan(column)].astype(np.int64)
    edges = [code - 0.5 for code in range(values + 2)]
    counts = np.bincount(present, minlength=values + 1).tolist()
    return ReferenceHistogram(
        edges=edges, counts=counts, missing_rate=1 - len(present) / len(column) if len(column) else 0.0
    )


def histogram(column: npt.NDArray[np.float32]) -> ReferenceHistogram:
    """At most `BINS` bins from the smallest to the largest value; none when all are missing, one when all are equal."""
    ordered = np.sort(
        column
    )  # missing values last; far faster than `numpy.histogram`, whose bins are not of one width here
    present = ordered[: len(ordered) - int(np.isnan(ordered).sum())].astype(np.float64)
    missing_rate = 1 - len(present) / len(column) if len(column) else 0.0
    if not len(present):
        return ReferenceHistogram(edges=[], counts=[], missing_rate=missing_rate)
    edges = np.unique(present[np.linspace(0, len(present) - 1, BINS + 1).round().astype(np.int64)])
    if len(edges) == 1:
        return ReferenceHistogram(edges=[edges[0], edges[0]], counts=[len(present)], missing_rate=missing_rate)
    begins = np.searchsorted(present, edges[:-1])
    counts = np.diff(begins, append=len(present))
    return ReferenceHistogram(edges=edges.tolist(), counts=counts.tolist(), missing_rate=missing_rate)
