from types import SimpleNamespace
from typing import Any

import pytest

from rows.decode import Opened, opened
from rows.identity import Identity, identify
from rows.rejected import Rejected
from schemas.ids import RUN_ID, prediction_id
from schemas.topics import INGRESS, INLETS
from tests.unit.stream_processor.toys import Record, on_both_topics, partition_of, redrive, row


def identity(**fields: Any) -> Identity:
    record = {name: fields.pop(name) for name in ("offset", "partition", "key", "headers", "topic") if name in fields}
    found = opened(Record(row(**fields), **record), partition_of)
    assert isinstance(found, Opened), found
    return found.identity


def guest(**fields: Any) -> Identity:
    """The identity of a row on `ingress.rows.v1`."""
    return identity(topic=INGRESS.name, **fields)


def rejected(record: Record) -> Rejected:
    found = opened(record, partition_of)
    assert isinstance(found, Rejected), found
    return found


@pytest.mark.parametrize("partition", range(8))
def test_a_row_without_a_run_belongs_to_the_run_of_its_key_in_whatever_partition(partition: int) -> None:
    assert guest(key=b"line-7", partition=partition, offset=42) == Identity(
        "ext-line-7", 1, partition, 16, 42 * 16 + partition
    )


@pytest.mark.parametrize("partition", range(8))
def test_a_row_that_names_a_run_belongs_to_it_in_whatever_partition(partition: int) -> None:
    assert guest(run_id="batch-7", partition=partition, key=None).run_id == "batch-7"


@pytest.mark.parametrize("partition", range(8))
def test_rows_without_run_and_key_are_one_run(partition: int) -> None:
    assert guest(key=None, partition=partition, offset=1).run_id == "ext-no-key"


@pytest.mark.parametrize("key", [b"", b"a:b", b"\xff\x00", "größe".encode(), b"x" * 65, b"a b", b"a\n"])
def test_a_key_of_any_bytes_names_a_run_of_its_own_that_can_be_asked_for(key: bytes) -> None:
    name = guest(key=key).run_id
    assert RUN_ID.fullmatch(name)
    assert name not in (guest(key=b"a").run_id, guest(key=None).run_id)


def test_no_two_rows_of_other_systems_share_an_identity_whatever_topic_and_partition() -> None:
    fields = SimpleNamespace(run_id="b", epoch=None)
    places = [
        Record(b"", offset, number, topic=topic.name) for topic in INLETS for number in range(8) for offset in range(20)
    ]
    found = [one for place in places if isinstance(one := identify(fields, place, on_both_topics), Identity)]
    names = [prediction_id(one.run_id, one.attempt, one.row_index) for one in found]
    assert len(set(names)) == len(names) == 320


def test_indices_grow_by_the_lanes_and_tell_the_lane() -> None:
    found = [guest(partition=5, offset=offset) for offset in range(3)]
    assert [one.row_index for one in found] == [5, 21, 37]
    assert {one.row_index % one.lanes for one in found} == {5}


def test_the_index_of_other_systems_rows_follows_from_the_offset_whatever_they_say() -> None:
    assert guest(run_id="batch-7", row_index=1, offset=77).row_index == 77 * 16


@pytest.mark.parametrize("name", ["attempt", "epoch", "lane", "lanes"])
def test_a_row_of_another_system_carries_no_marker_of_ours(name: str) -> None:
    found = rejected(Record(row(run_id="batch-7", **{name: 1}), offset=3, topic=INGRESS.name))
    assert (found.reason, found.path) == ("invalid_field", f"$.{name}")
    assert found.identity == Identity("batch-7", 1, 0, 16, 48)
    assert guest(run_id="batch-7", **{name: None}).run_id == "batch-7"


@pytest.mark.parametrize("kind", [b"run-end", b"run-skip", b"purge", b"what"])
def test_nothing_but_rows_is_taken_from_other_systems(kind: bytes) -> None:
    found = rejected(Record(row(), topic=INGRESS.name, headers=[("type", kind)]))
    assert "rows.v1" in found.message
    assert isinstance(opened(Record(row(), topic=INGRESS.name, headers=[("type", b"row")]), partition_of), Opened)
    assert isinstance(opened(Record(row(), topic=INGRESS.name, headers=[("type", None)]), partition_of), Opened)


def test_a_redrive_is_not_believed_of_another_system() -> None:
    found = rejected(Record(row(), offset=2, topic=INGRESS.name, headers=redrive("sim-task-1", 4)))
    assert found.identity == Identity("ext-line-1", 1, 0, 16, 32)


def test_a_row_of_another_system_on_rows_v1_is_told_where_it_belongs() -> None:
    found = rejected(Record(row(run_id="batch-7"), offset=3, partition=2))
    assert found.reason == "wrong_topic"
    assert INGRESS.name in found.message
    assert found.identity == Identity("ext-line-1", 1, 10, 16, 58)


def test_for_one_release_rows_of_other_systems_can_be_taken_on_rows_v1() -> None:
    found = opened(Record(row(run_id="batch-7"), offset=3, partition=2), on_both_topics)
    assert isinstance(found, Opened)
    assert found.identity == Identity("batch-7", 1, 10, 16, 58)


def test_a_redriven_row_has_the_identity_of_its_first_try() -> None:
    found = identity(
        run_id="other",
        row_index=1,
        epoch=7,
        offset=900,
        partition=3,
        headers=redrive("ext-line-7", 42, lane=3, attempt=2),
    )
    assert found == Identity("ext-line-7", 2, 3, 1, 42, redrives="0-0")


@pytest.mark.parametrize(
    "value", [b"", b"1", b"{}", b"\xff", b'{"dead_letter_id":"0-1","run_id":"r","row_index":-1}', None]
)
def test_a_redrive_that_names_no_dead_letter_is_one_itself(value: Any) -> None:
    found = opened(Record(row(), offset=9, key=None, headers=[("redrive", value)]), partition_of)
    assert isinstance(found, Rejected)
    assert (found.reason, found.identity) == ("invalid_field", Identity("ext-no-key", 1, 8, 16, 152))


@pytest.mark.parametrize(
    "run_id", ["sim-task-6f1c2a52-6a86-4f3a-9a0f-0e6c5b8a1d11", "6f1c2a52-6a86-4f3a-9a0f-0e6c5b8a1d11"]
)
def test_nobody_but_our_producer_may_name_one_of_our_runs(run_id: str) -> None:
    found = opened(Record(row(run_id=run_id)), partition_of)
    assert isinstance(found, Rejected)
    assert found.reason == "run_owned"
