"""Record batches that no client of ours would write, byte by byte as the protocol has them."""

import struct
from collections.abc import Sequence

from aiokafka.codec import gzip_encode, lz4_encode
from aiokafka.record.util import calc_crc32c

CRC_AT, CRC_FROM, RECORDS_AT = 17, 21, 61
HEADER_VALUES = (b"1", None, b"")


def batch_with_names(
    names: Sequence[Sequence[bytes]], codec: int = 0, *, key: bytes = b"k", value: bytes = b"v"
) -> bytes:
    """A batch with a record per list of header names, which are taken as they are. Codec 0: none, 1: gzip, 3: lz4."""
    body = b"".join(_record(i, key + b"%d" % i, value + b"%d" % i, wanted) for i, wanted in enumerate(names))
    if codec:
        body = bytes(gzip_encode(body) if codec == 1 else lz4_encode(body))
    count = len(names)
    checked = struct.pack(">hiqqqhii", codec, count - 1, 1_700_000_000_000, 1_700_000_000_000, -1, -1, -1, count) + body
    return struct.pack(">qiibI", 0, 9 + len(checked), -1, 2, calc_crc32c(checked)) + checked


def _record(delta: int, key: bytes, value: bytes, names: Sequence[bytes]) -> bytes:
    said = b"".join(_sized(name) + _sized(HEADER_VALUES[j % 3]) for j, name in enumerate(names))
    record = b"\0" + _varint(0) + _varint(delta) + _sized(key) + _sized(value) + _varint(len(names)) + said
    return _varint(len(record)) + record


def _sized(data: bytes | None) -> bytes:
    return _varint(-1) if data is None else _varint(len(data)) + data


def _varint(number: int) -> bytes:
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest & ~0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
