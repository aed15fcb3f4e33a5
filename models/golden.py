"""Golden rows: some inputs of a model with the exact probabilities it gave when it was trained, kept in its bundle.

A library of another version, or a machine, on which they come out differently would score every row differently without
an error. The file holds float32, little-endian: a row's features in the manifest's order, then its probability; NaN is
a missing value."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

NAME = "golden.f32"
FROM_EACH_END = 16
Matrix = npt.NDArray[np.float32]


def chosen(rows: int) -> list[range]:
    """Which rows of a set are taken: some from its beginning and some from its end, cheap to read wherever they are."""
    return [range(min(FROM_EACH_END, rows)), range(max(rows - FROM_EACH_END, min(FROM_EACH_END, rows)), rows)]


def encode(score: Callable[[Matrix], Matrix], matrix: Matrix) -> bytes:
    """The file for these rows and for one without any value."""
    matrix = np.vstack([matrix, np.full((1, matrix.shape[1]), np.nan, np.float32)])
    return np.ascontiguousarray(np.column_stack([matrix, score(matrix)]), "<f4").tobytes()


def problem(content: bytes, features: int, score: Callable[[Matrix], Matrix]) -> str | None:
    """What is wrong with the golden rows, or with how they are scored here; None when every bit is as it was."""
    if not content or len(content) % (4 * (features + 1)):
        return f"{NAME} does not hold rows of {features} features"
    rows = np.frombuffer(content, "<f4").reshape(-1, features + 1).astype(np.float32)
    expected, found = rows[:, -1], score(np.ascontiguousarray(rows[:, :-1]))
    if found.shape != expected.shape:
        return "it does not give one probability for each row"
    wrong = int((expected.view(np.uint32) != found.astype(np.float32).view(np.uint32)).sum())
    return f"{wrong} of its {len(rows)} golden rows are scored differently here" if wrong else None
