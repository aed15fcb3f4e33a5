"""There is something to forge in every record of ours, and what is none of ours is left alone."""

import random
from typing import Any

import pytest

from runtime.kafka.reading import partition_for
from schemas.ids import row_key
from schemas.messages import PackedRows, Row, RunEnd, RunSkip, encode, pack
from schemas.topics import CONTENT_TYPE_HEADER, PACKED
from tests.chaos.hostile_records import forged
from tests.chaos.outsiders import Impostor
from tests.support.brokers import DATA_PARTITIONS
from tests.unit.stream_processor.toys import MODEL_A, Record

RUN = "sim-task-11111111-1111-4111-8111-111111111111"
IS_PACKED = [(CONTENT_TYPE_HEADER, PACKED)]
WHOSE: dict[str, Any] = {"run_id": RUN, "attempt": 1, "epoch": 7, "lane": 0, "lanes": 1}
OURS: list[tuple[bytes, Any]] = [
    (encode(Row(features={}, row_index=3, **WHOSE)), []),
    (encode(Row(features={}, row_index=3, **WHOSE | {"lane": 1, "lanes": 2})), []),
    (encode(RunEnd(end_index=3, ending="COMPLETED", **WHOSE)), [("type", b"run-end")]),
    (encode(RunSkip(from_index=3, to_index=9, **WHOSE)), [("type", b"run-skip")]),
    (pack(PackedRows(RUN, 1, 7, 0, 1, 0, MODEL_A, 1, b"\0" * 12, [None], [None], [None])), IS_PACKED),
]


@pytest.mark.parametrize(("value", "headers"), OURS)
def test_a_record_of_ours_is_forged_in_many_ways(value: bytes, headers: Any) -> None:
    home = {lane: partition_for(row_key(RUN, lane, lanes), DATA_PARTITIONS) for lane, lanes in ((0, 1), (1, 2))}
    for partition in range(DATA_PARTITIONS):  # what is imitated may be forged itself, and lie anywhere
        record: Any = Record(value, 3, partition, RUN.encode(), headers)
        found = [one for seed in range(100) for one in forged(record, random.Random(seed))]
        assert len({value for value, _, _ in found}) > 10
        assert {where for _, _, where in found} <= {None, *range(DATA_PARTITIONS)} - {
            home[1 if b'"lane":1' in value else 0]
        }


@pytest.mark.parametrize(("value", "headers"), OURS)
def test_the_impostor_copies_every_record_of_ours(value: bytes, headers: Any) -> None:
    impostor = Impostor(None, 1)  # type: ignore[arg-type]
    record: Any = Record(value, 3, 2, RUN.encode(), headers)
    assert all(impostor._versions(record) for _ in range(20))


@pytest.mark.parametrize(
    "value", [None, b"", b"[]", b"{", b"\xff", b"null", b"{}", b'{"features":{}}', b'{"zz":' + b"[" * 5000]
)
def test_what_is_none_of_ours_is_left_alone(value: bytes | None) -> None:
    for headers in ([], IS_PACKED):
        record: Any = Record(value, 3, 2, None, headers)
        assert forged(record, random.Random(1)) == []
        assert Impostor(None, 1)._versions(record)  # type: ignore[arg-type]
