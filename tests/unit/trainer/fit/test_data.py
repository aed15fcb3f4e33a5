"""Rows come out of Parquet as they went in, whatever the file's row groups."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from rows.inputs import numbers
from schemas.manifests import DateRange, SetManifest
from storage.objects.files import Storage
from trainer.fit.data import COLUMNS_AT_A_TIME, read_rows, read_set, some_rows

ROWS, NAMES = 5000, [f"S{number}" for number in range(2 * COLUMNS_AT_A_TIME + 3)]


@pytest.fixture
def storage(storage_url: str) -> Storage:
    storage = Storage(storage_url).initialise()
    with storage.scratch() as folder:
        frame = pl.DataFrame({name: np.arange(ROWS) + 0.1 + number for number, name in enumerate(NAMES)})
        gaps = pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("S1")).alias("S1")
        labels = pl.Series("__label__", np.where(np.arange(ROWS) % 3 == 0, "FAIL", "PASS"))
        huge = pl.lit(1e300).alias("huge")
        frame.with_columns(gaps, labels, huge).write_parquet(folder / "rows", row_group_size=700)
        storage.put_file(folder / "rows", "rows.parquet")
    return storage


def test_set_is_read_in_order_as_float32_with_nan_for_missing(storage: Storage) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    part = SetManifest(path="rows.parquet", range=DateRange(start=moment, end=moment), rows=ROWS, failures=0)
    rows = read_set(storage, part, numbers([*NAMES[::-1], "huge"]))
    expected = (np.arange(ROWS)[:, None] + 0.1 + np.arange(len(NAMES))[::-1]).astype(np.float32)
    expected[::7, -2] = np.nan
    assert rows.matrix.dtype == np.float32
    np.testing.assert_array_equal(rows.matrix[:, :-1], expected)
    assert np.isnan(rows.matrix[:, -1]).all()  # what float32 cannot hold is missing
    np.testing.assert_array_equal(rows.fails, np.arange(ROWS) % 3 == 0)


def test_some_rows_are_read_in_ascending_order(storage: Storage) -> None:
    wanted = np.sort(np.random.default_rng(0).choice(ROWS, 1234, replace=False))
    matrix = read_rows(some_rows(storage, "rows.parquet", wanted), len(wanted), numbers(["S0", NAMES[-1]]))
    np.testing.assert_array_equal(matrix[:, 0], (wanted + 0.1).astype(np.float32))
    np.testing.assert_array_equal(matrix[:, 1], (wanted + 0.1 + len(NAMES) - 1).astype(np.float32))
