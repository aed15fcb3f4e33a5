"""What of `models.v1` counts: the first record of a model version, whoever writes another."""

from types import SimpleNamespace
from typing import Any

import pytest

from models.bundle import digest
from stream_processor.kafka.champion import Registry
from tests.unit.stream_processor.toys import MODEL_A, manifest


def record(value: bytes | None, key: str = MODEL_A, offset: int = 0) -> Any:
    return SimpleNamespace(key=key.encode(), value=value, offset=offset)


@pytest.mark.parametrize(
    "later",
    [
        manifest(MODEL_A, threshold=0.99).model_dump_json().encode(),
        manifest(MODEL_A, features=("S3", "S2", "S1")).model_dump_json().encode(),
        manifest("model-other").model_dump_json().encode(),
        None,
        b"",
        b"{",
        b"null",
    ],
)
def test_nobody_changes_or_takes_back_a_model_version_that_rows_are_scored_by(later: bytes | None) -> None:
    registry = Registry({}, partitions=1, timeout_seconds=1)
    rightful = manifest(MODEL_A)
    registry._apply(record(rightful.model_dump_json().encode()))
    registry._apply(record(later, offset=1))
    assert registry.digest(MODEL_A) == digest(rightful)


def test_a_record_under_another_s_key_registers_nothing() -> None:
    registry = Registry({}, partitions=1, timeout_seconds=1)
    registry._apply(record(manifest("model-other").model_dump_json().encode()))
    assert registry.digest(MODEL_A) is None
