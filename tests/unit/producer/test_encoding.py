"""Rows and markers read back as the messages that the schemas name."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from producer.encoding import Identity, headers, row_encoder, run_end, run_skip
from schemas.messages import Row, RunEnd, RunSkip

IDENTITY = Identity(run_id="sim-task-1", attempt=2, epoch=7, lanes=3, model_version="model-00000000000a")
names = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True)
values = st.one_of(st.none(), st.floats(allow_infinity=False))


@given(
    names, st.data(), st.integers(0, 2**40), st.text(max_size=10), st.integers(0, 4_102_444_800_000_000), st.sampled_from(["PASS", "FAIL"])
)
def test_a_row_reads_back_with_missing_values_as_null(
    features: list[str], data: st.DataObject, row_index: int, sample: str, microseconds: int, label: Any
) -> None:
    cells = [data.draw(values) for _ in features]
    row = msgspec.json.decode(row_encoder(IDENTITY, features)(row_index, [*cells, sample, microseconds, label]), type=Row)
    expected = {name: None if value is None or math.isnan(value) else value for name, value in zip(features, cells, strict=True)}
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
