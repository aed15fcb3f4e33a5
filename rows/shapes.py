"""What a record is that is no row: the habits of other people's serializers, told by their first bytes or fields, and
what to do. Pure."""

import re
import struct
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from rows.rejected import UNREADABLE

COMPRESSED: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
    b"\x82SNAPPY\x00": "snappy",
    b"\x78\x01": "zlib",
    b"\x78\x9c": "zlib",
    b"\x78\xda": "zlib",
}
FILES: Final = {b"Obj\x01": "an Avro file", b"PAR1": "a Parquet file", b"PK\x03\x04": "a ZIP file", b"<": "XML"}
MARKS: Final = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
PYTHON = re.compile(rb"[\[{:,]\s*[-+]?(NaN|Infinity|inf|nan)\b")
LINES = re.compile(rb"\}\s*?\n\s*\{")
"""Nowhere in one JSON document: texts hold no line breaks, and a comma stands between objects."""
QUOTES = re.compile(rb"\s*\{\s*'")
MOST_BYTES = 1 << 16
"""Of a larger record only the beginning is looked at."""
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def shape_of(body: bytes, headers: Sequence[tuple[str, bytes | None]] = ()) -> str | None:
    """What this is and what to send instead, as a sentence; null when it is nothing that is known."""
    return _of_bytes(body) or _of_text(body[:MOST_BYTES]) or _of_object(body, headers)


def _of_bytes(body: bytes) -> str | None:
    if len(body) > 5 and body[0] == 0:
        schema = struct.unpack(">I", body[1:5])[0]
        return (
            f"this is Confluent's wire format with schema id {schema}: send plain JSON, without a schema registry's"
            " serializer"
        )
    for begin, name in COMPRESSED.items():
        if body.startswith(begin):
            return (
                f"the value is compressed with {name}: send it plain, and set the producer's compression.type instead"
            )
    for begin, name in FILES.items():
        if body.lstrip()[: len(begin)] == begin:
            return f"this is {name}: send one JSON object a row"
    for begin, name in MARKS.items():
        if body.startswith(begin):
            return f"the value begins with the byte order mark of {name}: send UTF-8 without one"
    if len(body) > 3 and (body[1:2] == b"\x00" or body[:1] == b"\x00"):
        return "the value is UTF-16: send UTF-8"
    return None


def _of_text(body: bytes) -> str | None:
    text = body.lstrip()
    if QUOTES.match(body):
        return "names are in single quotes, as Python prints a dict: use json.dumps"
    if text.startswith(b"["):
        return "this is an array: send one record for each row, an object with `features`"
    if text.startswith((b'"{', b'"[')):
        return "this is JSON within a text, encoded twice: send the object itself"
    if text.startswith(b"{") and LINES.search(body):
        return "these are several objects, a line each: send one record for each row"
    if text.startswith(b"{") and (found := PYTHON.search(body)):
        return f"{found[1].decode()} is not JSON: a missing value is null"
    return None


def _of_object(body: bytes, headers: Sequence[tuple[str, bytes | None]]) -> str | None:
    try:
        fields = _object(body)
    except UNREADABLE:
        return None
    names = fields.keys()
    if "specversion" in names or any(name.lower() == "ce_specversion" for name, _ in headers):
        return (
            "this is a CloudEvent: send the row itself, an object with `features`, as the value (in binary mode as its"
            " data)"
        )
    if names >= {"schema", "payload"}:
        inner = "a Debezium event in " if b'"op"' in bytes(fields["payload"])[:MOST_BYTES] else ""
        return (
            f"this is {inner}Kafka Connect's envelope: set value.converter.schemas.enable=false and send the payload as"
            " the row"
        )
    if "op" in names and names & {"before", "after"}:
        return "this is a Debezium change event: send its `after` as `features` (transform ExtractNewRecordState)"
    if "features" not in names and fields and all(_is_number(value) for value in fields.values()):
        return "the features stand at the top level: put them into an object named `features`"
    if "features" not in names and sum(map(_is_number, fields.values())) > len(names) / 2:
        return "most fields are numbers: put the features into an object named `features`"
    return None


def _is_number(value: Any) -> bool:
    first = bytes(memoryview(value)[:1])
    return first.isdigit() or first in (b"-", b"n")
