"""Bodies and keys that no process of ours writes and every reader must survive: one corpus for all topics.

`BODIES` are hostile whatever is read; `mutations` takes a message apart that is right and spoils it field by field;
`hostile_bodies` lets hypothesis choose among both, and truncate, repeat and overwrite.
"""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st

HUGE = 10**30
DEEP = 5000


class Verbatim(str):
    """JSON text that `json.dumps` would not make; it is put into the message as it is."""


VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53,
    2**60,
    2**62,
    2**63,
    2**64,
    HUGE,
    -HUGE,
    0.5,
    1e308,
    Verbatim("1e999"),
    Verbatim("NaN"),
    Verbatim("Infinity"),
    Verbatim("-0"),
    Verbatim("1" * 5000),
    "",
    " ",
    "x" * 300,
    "x" * 10_000,
    "../../x",
    "/etc/passwd",
    "..",
    "a/b",
    "a\\b",
    "a\nb",
    "a\r\nSet-Cookie: x",
    "a\0b",
    "\0",
    "a:b",
    "a b",
    "*",
    "\u202e",
    "é",
    "\N{PILE OF POO}",
    Verbatim('"\\ud800"'),
    Verbatim('"\udcff"'),  # the byte 0xFF
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00:00+02:00",
    "2026-01-01",
    [],
    {},
    [None],
    [HUGE],
    ["../../x"] * 3,
    {"": None},
    {"a\nb": HUGE},
    {"a": {"b": {"c": [{}]}}},
    Verbatim("[" * 40 + "]" * 40),
    Verbatim("[" * DEEP + "]" * DEEP),
    Verbatim('{"a":' * DEEP + "1" + "}" * DEEP),
)
"""What a field may hold instead of what belongs there; numbers for texts and texts for numbers among them."""

BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b"   ",
    "null": b"null",
    "true": b"true",
    "number": b"1",
    "huge number": b"1" * 5000,
    "text": b'"text"',
    "list": b"[]",
    "object": b"{}",
    "open object": b"{",
    "two objects": b"{}{}",
    "deep lists": b"[" * DEEP,
    "deep lists, closed": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP,
    "deep objects, closed": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep in a field of nobody": b'{"zz":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "invalid UTF-8": b"\xff\xfe\xfd",
    "invalid UTF-8 in a text": b'{"task_id":"\xff"}',
    "invalid UTF-8 in a field of nobody": b'{"zz":"\xff"}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "NUL": b"\0",
    "NUL in a text": b'{"task_id":"a\\u0000b"}',
    "lone surrogate": b'{"task_id":"\\ud800"}',
    "newline in a key": b'{"a\nb":1}',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "out of range": b'{"a":1e999}',
    "path": b'{"task_id":"../../x"}',
    "long text": b'{"task_id":"' + b"x" * 1_000_000 + b'"}',
    "many keys": b"{" + b",".join(b'"%d":0' % i for i in range(50_000)) + b"}",
    "one key many times": b"{" + b",".join([b'"task_id":"x"'] * 50_000) + b"}",
    "gzip": gzip.compress(b'{"task_id":"x"}', mtime=0),
    "zlib": b"x\x9c\x03\x00\x00\x00\x00\x01",
    "msgpack map": msgspec.msgpack.encode({"task_id": "x"}),
    "msgpack, a list of 2^32-1": b"\xdd\xff\xff\xff\xff",
    "msgpack, a map of 2^32-1": b"\xdf\xff\xff\xff\xff",
    "msgpack, a text of 2^32-1": b"\xdb\xff\xff\xff\xff",
    "msgpack, deep": b"\x91" * DEEP,
    "msgpack, a time beyond all": b"\xc7\x0c\xff" + b"\xff" * 12,
    "msgpack, 2^64-1": b"\xcf" + b"\xff" * 8,
    "pickle": b"\x80\x04K\x01.",
    "protobuf": b"\x08\x96\x01",
    "avro": b"Obj\x01",
    "magic byte of a schema registry": b"\0\0\0\0\x01{}",
}

KEYS: tuple[bytes | None, ...] = (
    None,
    b"",
    b"x",
    b"\xff",
    b"\0",
    b"a\nb",
    b"a:b",
    b":::",
    b"../../x",
    b"@",
    b"champion@",
    b"champion@a\nb",
    b"split-../../x",
    b"x" * 10_000,
    b"__position__",
    b"r:1",
    b"r:x:y",
    b"r:1:99999999999999999999999999999999",
)
"""Keys of records."""


def spoilt(message: Any) -> bytes:
    """The JSON of a message with `Verbatim` parts in it, as bytes."""
    marks: list[Verbatim] = []

    def marked(value: Any) -> Any:
        if isinstance(value, Verbatim):
            marks.append(value)
            return f"\x01{len(marks) - 1}\x01"
        if isinstance(value, dict):
            return {name: marked(one) for name, one in value.items()}
        return [marked(one) for one in value] if isinstance(value, list) else value

    text = json.dumps(marked(message))
    for number, part in enumerate(marks):
        text = text.replace(f'"\\u0001{number}\\u0001"', part)
    return text.encode("utf-8", "surrogateescape")


def paths(message: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the fields of a message are, nested ones too."""
    for name, value in (
        message.items() if isinstance(message, dict) else enumerate(message) if isinstance(message, list) else ()
    ):
        yield (*path, name)
        yield from paths(value, (*path, name))


def with_field(message: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of the message with another value at the path."""
    if not path:
        return value
    copy = dict(message) if isinstance(message, dict) else list(message)
    copy[path[0]] = with_field(copy[path[0]], path[1:], value)
    return copy


def without_field(message: Any, path: tuple[Any, ...]) -> Any:
    """A copy of the message that lacks what is at the path."""
    copy = dict(message) if isinstance(message, dict) else list(message)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without_field(copy[path[0]], path[1:])
    return copy


def mutations(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Every field of a right JSON message wrong in every way, missing, and beside one that nobody knows; each with its
    name."""
    message = json.loads(body)
    for path in paths(message):
        name = ".".join(map(str, path))
        yield f"without {name}", spoilt(without_field(message, path))
        for value in VALUES:
            yield f"{name} = {value!r:.40}", spoilt(with_field(message, path, value))
    for value in VALUES:
        yield f"zz = {value!r:.40}", spoilt({**message, "zz": value})


def hostile_bodies(*right: bytes) -> st.SearchStrategy[bytes]:
    """Bodies to read: of the corpus, spoilt messages, and right ones cut, repeated or overwritten somewhere."""
    messages = [json.loads(body) for body in right]

    @st.composite
    def field(draw: st.DrawFn) -> bytes:
        message = draw(st.sampled_from(messages))
        for path in draw(st.lists(st.sampled_from([*paths(message)]), min_size=1, max_size=3, unique=True)):
            try:
                message = with_field(message, path, draw(st.sampled_from(VALUES)))
            except (KeyError, IndexError, TypeError):
                continue  # a field above it was spoilt before
        return spoilt(message)

    @st.composite
    def bytewise(draw: st.DrawFn) -> bytes:
        body = draw(st.sampled_from(right))
        at = draw(st.integers(0, len(body)))
        change = draw(st.sampled_from(["cut", "repeat", "insert", "overwrite"]))
        if change == "cut":
            return body[:at]
        if change == "repeat":
            return body + body[at:]
        noise = draw(st.binary(min_size=1, max_size=8))
        return body[:at] + noise + body[at + (len(noise) if change == "overwrite" else 0) :]

    return st.one_of(st.sampled_from([*BODIES.values()]), field(), bytewise(), st.binary(max_size=200))


hostile_keys = st.one_of(st.sampled_from(KEYS), st.binary(max_size=30))
"""Keys of records, of the corpus and at random."""
