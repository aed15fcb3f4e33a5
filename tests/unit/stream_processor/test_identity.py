from typing import Any

import pytest

from rows.decode import Opened, opened
from rows.identity import Identity
from rows.rejected import Rejected
from schemas.ids import prediction_id
from tests.unit.stream_processor.toys import Record, partition_of, redrive, row


def identity(**fields: Any) -> Identity:
    record = {name: fields.pop(name) for name in ("offset", "partition", "key", "headers") if name in fields}
    found = opened(Record(row(**fields), **record), partition_of)
    assert isinstance(found, Opened), found
    return found.identity


def test_a_row_without_a_run_belongs_to_the_run_of_its_key() -> None:
    found = identity(key=b"line-7", partition=partition_of(b"line-7"), offset=42)
    assert found == Identity("ext-line-7", 1, partition_of(b"line-7"), 1, 42)


def test_a_key_outside_its_partition_has_a_run_of_its_own() -> None:
    elsewhere = (partition_of(b"line-7") + 1) % 8
    assert identity(key=b"line-7", partition=elsewhere, offset=1).run_id == f"ext-line-7@{elsewhere}"
    assert identity(key=None, partition=3, offset=1).run_id == "ext-partition-3"


def test_rows_that_name_a_run_without_an_epoch_never_share_an_identity() -> None:
    names = {
        prediction_id(found.run_id, found.attempt, found.row_index)
        for partition in range(8)
        if (found := identity(run_id="batch-7", partition=partition, offset=5, row_index=1, attempt=3))
    }
    assert len(names) == 8


def test_the_index_of_other_systems_rows_is_the_offset_whatever_they_say() -> None:
    assert identity(run_id="batch-7", row_index=1, lane=4, lanes=9, attempt=2, offset=77).row_index == 77


def test_a_redriven_row_has_the_identity_of_its_first_try() -> None:
    found = identity(run_id="other", row_index=1, epoch=7, offset=900, partition=3, headers=redrive("ext-line-7", 42, lane=3, attempt=2))
    assert found == Identity("ext-line-7", 2, 3, 1, 42, redrives="0-0")


@pytest.mark.parametrize("value", [b"", b"1", b"{}", b"\xff", b'{"dead_letter_id":"0-1","run_id":"r","row_index":-1}', None])
def test_a_redrive_that_names_no_dead_letter_is_one_itself(value: Any) -> None:
    found = opened(Record(row(), offset=9, key=None, headers=[("redrive", value)]), partition_of)
    assert isinstance(found, Rejected)
    assert (found.reason, found.identity) == ("invalid_field", Identity("ext-partition-0", 1, 0, 1, 9))


@pytest.mark.parametrize("run_id", ["sim-task-6f1c2a52-6a86-4f3a-9a0f-0e6c5b8a1d11", "6f1c2a52-6a86-4f3a-9a0f-0e6c5b8a1d11"])
def test_nobody_but_our_producer_may_name_one_of_our_runs(run_id: str) -> None:
    found = opened(Record(row(run_id=run_id)), partition_of)
    assert isinstance(found, Rejected)
    assert found.reason == "run_owned"
