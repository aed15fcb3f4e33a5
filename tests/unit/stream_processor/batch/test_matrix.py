"""A model's input is the rows as they were added, however many and however they came."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rows.packed import FLOAT32
from stream_processor.batch.matrix import BLOCK_ROWS, Input

VALUE = st.none() | st.floats(width=32, allow_nan=False) | st.just(1e300)
ROWS = st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=3)
STEPS = st.lists(st.tuples(st.booleans(), ROWS, st.sampled_from([1, BLOCK_ROWS])), min_size=1, max_size=6)


@given(STEPS)
def test_rows_stand_where_they_were_added(
    steps: list[tuple[bool, list[tuple[float | None, float | None]], int]],
) -> None:
    found = Input(2)
    wanted: list[tuple[float | None, float | None]] = []
    for packed, rows, times in steps:
        assert found.rows == len(wanted)
        wanted += rows * times
        if packed:
            with np.errstate(over="ignore"):
                found.add_packed(np.array(rows * times, FLOAT32).tobytes())
        else:
            for row in rows * times:
                found.add(row)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found.matrix(), np.array(wanted, np.float32))
