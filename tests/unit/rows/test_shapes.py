import codecs
import gzip
import json
import struct
import zlib
from typing import Any

import pytest

from rows.decode import opened
from rows.rejected import Rejected
from rows.shapes import shape_of
from schemas.topics import INGRESS
from tests.unit.stream_processor.toys import Record, partition_of, row

VALUES = {"S1": 0.5, "S2": None, "S3": -1}
CASES: list[tuple[bytes, list[tuple[str, bytes | None]], str]] = [
    (b"\x00" + struct.pack(">I", 100017) + b"\x02\x06abc", [], "schema id 100017"),
    (b"\x00" + struct.pack(">I", 7) + row(), [], "schema id 7"),
    (gzip.compress(row(), mtime=0), [], "gzip"),
    (zlib.compress(row()), [], "zlib"),
    (b"\x28\xb5\x2f\xfd\x04\x00", [], "zstd"),
    (b"\x04\x22\x4d\x18xxxx", [], "lz4"),
    (codecs.BOM_UTF8 + row(), [], "byte order mark"),
    (row().decode().encode("utf-16"), [], "byte order mark"),
    (row().decode().encode("utf-16-le"), [], "UTF-16"),
    (b'{"features": {"S1": NaN, "S2": 1, "S3": 2}}', [], "NaN is not JSON"),
    (b'{"features": {"S1": -Infinity}}', [], "Infinity is not JSON"),
    (str({"features": VALUES}).encode(), [], "single quotes"),
    (b"[%s]" % row(), [], "one record for each row"),
    (json.dumps(row().decode()).encode(), [], "encoded twice"),
    (row() + b"\n" + row(), [], "one record for each row"),
    (row() + b"\r\n" + row() + b"\r\n", [], "one record for each row"),
    (json.dumps(VALUES).encode(), [], "at the top level"),
    (json.dumps(VALUES | {"sample_id": "x"}).encode(), [], "`features`"),
    (
        json.dumps(
            {"specversion": "1.0", "id": "1", "source": "/x", "type": "row", "data": {"features": VALUES}}
        ).encode(),
        [],
        "CloudEvent",
    ),
    (json.dumps(VALUES).encode(), [("ce_specversion", b"1.0")], "CloudEvent"),
    (json.dumps({"before": None, "after": VALUES, "op": "c", "source": {}}).encode(), [], "Debezium"),
    (json.dumps({"schema": {}, "payload": {"before": None, "after": VALUES, "op": "u"}}).encode(), [], "Debezium"),
    (json.dumps({"schema": {"type": "struct"}, "payload": VALUES}).encode(), [], "schemas.enable=false"),
    (b"Obj\x01abc", [], "Avro"),
    (b"<row/>", [], "XML"),
]


@pytest.mark.parametrize(("value", "headers", "said"), CASES)
def test_the_dead_letter_names_what_it_is_and_what_to_do(value: bytes, headers: Any, said: str) -> None:
    found = opened(Record(value, topic=INGRESS.name, headers=headers), partition_of)
    assert isinstance(found, Rejected)
    assert said in found.message
    assert ":" in found.message


def test_a_structured_cloud_event_says_so_in_its_content_type() -> None:
    headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
    found = opened(Record(CASES[18][0], topic=INGRESS.name, headers=headers), partition_of)
    assert isinstance(found, Rejected)
    assert "CloudEvent" in found.message


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"nonsense",
        b"{}",
        b'{"a": "b"}',
        b"\x00",
        b"\x93\x01\x02\x03",
        row(),
        row() + b"\n",
        b'{"features": {"a": "}\\n{"}, "label": 7}',
    ],
)
def test_what_has_no_known_shape_is_not_guessed_at(value: bytes) -> None:
    assert shape_of(value) is None
