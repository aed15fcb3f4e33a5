"""A recorded row is told and sent again as the stream processor tells and scores it."""

import random
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.replay.records import Passed, Reader, Recorded, UnreadableRow, sent_again
from producer.sending.encoding import Turn
from rows.decode import Opened, opened
from rows.identity import PartitionOf
from rows.inputs import ModelInputs, numbers
from rows.packed import Packet
from rows.rejected import Rejected
from runtime.kafka.reading import partition_for
from schemas.ids import external_run_id, row_key
from schemas.messages import PackedRows, Redrive, RunEnd, RunSkip, encode, pack
from schemas.tasks import ReplaySource
from schemas.topics import PACKED
from tests.support.examples import many

OURS = "sim-task-11111111-1111-4111-8111-111111111111"
PARTITIONS = 4


class Record(NamedTuple):
    value: bytes | None
    key: bytes | None = OURS.encode()
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0
    offset: int = 70
    topic: str = "rows.v1"


partition_of = PartitionOf(PARTITIONS, partition_for, foreign_on_rows=True)


HOME = partition_of(OURS.encode())


def reader(
    run_id: str = OURS, *, external: bool = False, keep_models: bool = True, attempt: int = 1, foreign_lanes: int = 1
) -> Reader:
    source = ReplaySource(
        run_id=run_id,
        attempt=attempt,
        lanes=1,
        ranges=[],
        external=external,
        keep_models=keep_models,
        foreign_lanes=foreign_lanes,
    )
    return Reader(source, "model-new", partition_of=partition_of, features_of=features_of)


def features_of(model_version: str) -> ModelInputs:
    if model_version != "model-a":
        raise ValueError(f"no model version {model_version}")
    return numbers(["a", "b"])


def row(**fields: Any) -> bytes:
    return msgspec.json.encode({"features": {"a": 1.5, "b": None}, **fields})


def owned(row_index: int, **fields: Any) -> Record:
    return Record(row(run_id=OURS, epoch=7, row_index=row_index, **fields), partition=HOME)


def again(fragment: bytes) -> dict[str, Any]:
    identity = Turn("sim-task-new", 3, 9, 2, "unused")
    return dict(msgspec.json.decode(sent_again(identity, 5, fragment)))


def test_a_row_is_sent_again_with_all_it_holds_but_whose_it_is() -> None:
    label = {
        "sample_id": "S",
        "timestamp": "2026-01-01T00:00:00Z",
        "label": "FAIL",
        "model_version": "model-a",
        "more": {"x": [1]},
    }
    (found,) = reader().read(owned(4, attempt=1, lane=0, lanes=1, **label))
    assert isinstance(found, Recorded)
    assert (found.row_index, found.redriven) == (4, False)
    new = {"run_id": "sim-task-new", "attempt": 3, "epoch": 9, "lane": 1, "lanes": 2, "row_index": 5}
    assert again(found.fragment) == {"features": {"a": 1.5, "b": None}} | label | new


@pytest.mark.parametrize("sample_id", [{}, {"sample_id": None}, {"sample_id": ""}])
def test_a_row_without_sample_id_keeps_the_one_it_was_shown_with(sample_id: dict[str, Any]) -> None:
    (found,) = reader().read(owned(4, **sample_id))
    assert isinstance(found, Recorded)
    assert again(found.fragment)["sample_id"] == "SAMPLE_4"


@pytest.mark.parametrize(
    ("keep", "named", "model"),
    [(True, "model-a", "model-a"), (True, None, "model-new"), (False, "model-a", "model-new")],
)
def test_the_model_is_the_rows_own_unless_another_is_asked_for(keep: bool, named: str | None, model: str) -> None:
    (found,) = reader(keep_models=keep).read(owned(0, model_version=named))
    assert isinstance(found, Recorded)
    assert again(found.fragment)["model_version"] == model


def test_rows_of_other_runs_and_attempts_are_left_out() -> None:
    assert not list(reader().read(owned(0, attempt=2)))
    assert not list(reader(attempt=2).read(owned(0)))
    assert not list(reader("sim-task-2").read(owned(0)))
    assert not list(
        reader().read(Record(b"{", partition=HOME))
    )  # whose it is nobody knows: it counts in the run of its key


def test_rows_of_a_frozen_producer_are_rows_too_and_markers_say_where_a_lane_stands() -> None:
    head: dict[str, Any] = {"run_id": OURS, "attempt": 1, "epoch": 7, "lane": 0, "lanes": 1}
    skip = Record(encode(RunSkip(**head, from_index=3, to_index=9)), headers=(("type", b"run-skip"),), partition=HOME)
    end = Record(
        encode(RunEnd(**head, end_index=12, ending="COMPLETED")), headers=(("type", b"run-end"),), partition=HOME
    )
    assert [*reader().read(skip), *reader().read(end)] == [Passed(3), Passed(12)]


def test_a_repaired_copy_counts_as_the_row_its_header_names() -> None:
    header = encode(Redrive(dead_letter_id="0-3", run_id=OURS, row_index=8))
    (found,) = reader().read(Record(row(sample_id="S", row_index=99), headers=(("redrive", header),)))
    assert isinstance(found, Recorded)
    assert (found.row_index, found.redriven) == (8, True)
    assert not list(reader().read(Record(b"{", headers=(("redrive", header),))))


def test_packed_rows_become_rows_of_names_and_numbers() -> None:
    values = np.array([[1.5, np.nan], [0.1, 2.0]], dtype="<f4").tobytes()
    packed = PackedRows(OURS, 1, 7, 0, 1, 4, "model-a", 2, values, ["S", None], [None, None], ["FAIL", None])
    first, second = reader().read(Record(pack(packed), headers=(("content-type", PACKED),), partition=HOME))
    assert isinstance(first, Recorded)
    assert isinstance(second, Recorded)
    assert [again(first.fragment)[name] for name in ("features", "sample_id", "label")] == [
        {"a": 1.5, "b": None},
        "S",
        "FAIL",
    ]
    assert np.float32(again(second.fragment)["features"]["a"]) == np.float32(0.1)
    assert (second.row_index, again(second.fragment)["sample_id"], again(second.fragment).get("label")) == (
        5,
        "SAMPLE_5",
        None,
    )
    packed.model_version = "model-unknown"
    unknown = reader().read(Record(pack(packed), headers=(("content-type", PACKED),), partition=HOME))
    assert list(unknown) == [UnreadableRow(4), UnreadableRow(5)]


bodies = st.one_of(
    st.binary(max_size=20),
    st.fixed_dictionaries(
        {},
        optional={
            "features": st.just({"a": 1.0}),
            "run_id": st.sampled_from([OURS, "line-7", "line-8", "a b", None, 5]),
            "attempt": st.sampled_from([1, 2, 0]),
            "epoch": st.sampled_from([None, 7]),
            "lane": st.integers(0, 2),
            "lanes": st.integers(1, 3),
            "row_index": st.one_of(st.none(), st.integers(-1, 9)),
            "label": st.sampled_from(["FAIL", "broken"]),
        },
    ).map(msgspec.json.encode),
)
keys = st.sampled_from([None, b"line-7", b"line-8", OURS.encode(), b"%s#1" % OURS.encode(), b"\xff"])


@given(
    bodies,
    keys,
    st.integers(0, PARTITIONS - 1),
    st.sampled_from([(), (("content-type", b"text/csv"),), (("type", b"row"),)]),
    st.sampled_from(["rows.v1", "ingress.rows.v1"]),
)
@settings(max_examples=many(400), deadline=None)
def test_whose_a_record_is_is_told_as_the_stream_processor_tells_it(
    value: bytes, key: bytes | None, partition: int, headers: tuple[tuple[str, bytes], ...], topic: str
) -> None:
    record = Record(value, key, headers, partition, topic=topic)
    item = opened(record, partition_of)
    assert isinstance(item, Opened | Rejected)
    identity = item.identity
    assert identity is not None
    external = not identity.owned
    lanes = 2 * PARTITIONS
    found = list(reader(identity.run_id, external=external, attempt=identity.attempt, foreign_lanes=lanes).read(record))
    assert [one.row_index for one in found if not isinstance(one, Passed)] == [identity.row_index]
    for other in {OURS, "line-7", "line-8", external_run_id(key)} - {identity.run_id}:
        assert not list(reader(other, external=not other.startswith("sim-task"), foreign_lanes=lanes).read(record))


@pytest.mark.parametrize(
    ("fields", "key", "run_id"),
    [
        ({}, b"line-7", "ext-line-7"), ({}, b"\xff", "ext-a8100ae6aa1940d0"), ({"run_id": "batch-7"}, None, "batch-7"),
        ({"run_id": "batch-7"}, b"line-7", "batch-7"),
    ],
)  # fmt: skip
def test_runs_from_before_ingress_are_found_by_what_they_were_called(
    fields: dict[str, Any], key: bytes | None, run_id: str
) -> None:
    home = partition_of(fields["run_id"].encode() if fields else key or b"")
    for partition in range(PARTITIONS):
        name = (
            run_id
            if partition == home
            else (run_id if run_id.startswith("ext-") else f"ext-{run_id}") + f"@{partition}"
        )
        found = list(reader(name, external=True).read(Record(row(**fields), key, partition=partition)))
        assert [one.row_index for one in found] == [70]
    assert [
        one.row_index for one in reader("ext-partition-3", external=True).read(Record(row(), None, partition=3))
    ] == [70]


def test_lanes_have_partitions_of_their_own() -> None:
    for lane in random.Random(1).sample(range(8), 4):
        home = partition_of(row_key(OURS, lane, 8))
        value = row(run_id=OURS, epoch=1, lane=lane, lanes=8, row_index=lane)
        record = Record(value, row_key(OURS, lane, 8), partition=home)
        assert len(list(reader().read(record))) == 1
        assert isinstance(opened(record, partition_of), Opened | Packet)
        assert not list(reader().read(record._replace(partition=(home + 1) % PARTITIONS)))
