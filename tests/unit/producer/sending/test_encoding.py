"""Rows and markers read back as the messages that the schemas name."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from producer.sending.encoding import Columns, Turn, headers, row_encoder, row_packer, run_end, run_skip
from schemas.messages import PackedRows, Row, RunEnd, RunSkip

IDENTITY = Turn(run_id="sim-task-1", attempt=2, epoch=7, lanes=3, model_version="model-00000000000a")
names = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True)
values = st.one_of(st.none(), st.floats(allow_infinity=False))


@given(
    names,
    st.data(),
    st.integers(0, 2**40),
    st.text(max_size=10),
    st.integers(0, 4_102_444_800_000_000),
    st.sampled_from(["PASS", "FAIL"]),
)
def test_a_row_reads_back_with_missing_values_as_null(
    features: list[str], data: st.DataObject, row_index: int, sample: str, microseconds: int, label: Any
) -> None:
    cells = [data.draw(values) for _ in features]
    row = msgspec.json.decode(
        row_encoder(IDENTITY, features)(row_index, [*cells, sample, microseconds, label]), type=Row
    )
    expected: dict[str, float | str | bool | None] = {
        name: None if value is None or math.isnan(value) else value for name, value in zip(features, cells, strict=True)
    }
    assert row == Row(
        features=expected,
        run_id="sim-task-1",
        attempt=2,
        epoch=7,
        lane=row_index % 3,
        lanes=3,
        row_index=row_index,
        sample_id=f"SAMPLE_{sample}",
        timestamp=row.timestamp,
        label=label,
        model_version="model-00000000000a",
    )
    assert row.timestamp is not None
    assert round((row.timestamp - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6) == microseconds


@given(st.integers(1, 6), st.integers(1, 9), st.data())
def test_packed_rows_read_back_as_the_same_rows(features: int, count: int, data: st.DataObject) -> None:
    cells = [
        [data.draw(st.none() | st.floats(width=32, allow_infinity=False)) for _ in range(features)]
        for _ in range(count)
    ]
    labels: list[Any] = data.draw(st.lists(st.sampled_from(["PASS", "FAIL"]), min_size=count, max_size=count))
    matrix = np.array([[np.nan if cell is None else cell for cell in row] for row in cells], np.float32).reshape(
        count, features
    )
    rows = Columns(matrix, [f"{i}" for i in range(count)], [i * 1_000_003 for i in range(count)], labels)
    packed = msgspec.msgpack.decode(row_packer(IDENTITY)(10, rows.every(0, count, 1)), type=PackedRows)
    encode_row = row_encoder(IDENTITY, [f"f{number}" for number in range(features)])
    found = np.frombuffer(packed.features, "<f4").reshape(count, features)
    for j, row in enumerate(cells):
        plain = msgspec.json.decode(encode_row(10 + 3 * j, [*row, f"{j}", j * 1_000_003, labels[j]]), type=Row)
        assert (packed.run_id, packed.attempt, packed.epoch, packed.lane, packed.lanes) == (
            plain.run_id,
            2,
            7,
            plain.lane,
            plain.lanes,
        )
        assert (packed.sample_ids[j], packed.timestamps[j], packed.labels[j]) == (
            plain.sample_id,
            plain.timestamp,
            plain.label,
        )
        assert np.array_equal(found[j], np.array([*plain.features.values()], dtype=np.float32), equal_nan=True)
        assert packed.row_index is not None
        assert packed.row_index + j * (packed.lanes or 1) == plain.row_index


def test_the_same_row_gives_the_same_bytes() -> None:
    cells = [1.5, None, "4711", 1_000_000, "PASS"]
    assert row_encoder(IDENTITY, ["a", "b"])(4, cells) == row_encoder(IDENTITY, ["a", "b"])(4, cells)


def test_markers_read_back() -> None:
    end = msgspec.json.decode(run_end(IDENTITY, 1, 100, "FAILED", "why"), type=RunEnd)
    assert (end.run_id, end.attempt, end.epoch, end.lane, end.lanes, end.end_index) == ("sim-task-1", 2, 7, 1, 3, 100)
    assert (end.ending, end.message) == ("FAILED", "why")
    skip = msgspec.json.decode(run_skip(IDENTITY, 2, 5, 50), type=RunSkip)
    assert (skip.run_id, skip.attempt, skip.epoch, skip.lane, skip.lanes) == ("sim-task-1", 2, 7, 2, 3)
    assert (skip.from_index, skip.to_index) == (5, 50)


def test_headers_name_type_and_version() -> None:
    assert headers("run-end") == [("type", b"run-end"), ("content-type", b"application/json"), ("schema-version", b"1")]
