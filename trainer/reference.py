"""Reference histograms: how each feature was distributed in the training set, for drift monitoring later. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas.manifests import ReferenceHistogram
from storage.bundles import Matrix

BINS = 20
EDGE_SAMPLE = 50_000
"""Quantiles are taken from evenly spaced rows, at most so many; the counts are of all rows."""


def reference_histograms(matrix: Matrix, names: Sequence[str]) -> dict[str, ReferenceHistogram]:
    """A histogram of each column [n, k], bins of about equal counts: the last one is closed, all others are half open."""
    return {name: histogram(matrix[:, column]) for column, name in enumerate(names)}


def histogram(column: npt.NDArray[np.float32]) -> ReferenceHistogram:
    """At most `BINS` bins from the smallest to the largest value; none when all are missing, one when all are equal."""
    missing = np.isnan(column)
    present = column[~missing].astype(np.float64)
    missing_rate = float(missing.mean()) if len(column) else 0.0
    if not len(present):
        return ReferenceHistogram(edges=[], counts=[], missing_rate=missing_rate)
    inner = np.quantile(present[:: -(-len(present) // EDGE_SAMPLE)], np.linspace(0, 1, BINS + 1)[1:-1])
    edges = np.unique(np.concatenate([[present.min()], inner, [present.max()]]))
    if len(edges) == 1:
        return ReferenceHistogram(edges=[edges[0], edges[0]], counts=[len(present)], missing_rate=missing_rate)
    counts, _ = np.histogram(present, edges)
    return ReferenceHistogram(edges=edges.tolist(), counts=counts.tolist(), missing_rate=missing_rate)
