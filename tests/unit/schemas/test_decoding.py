"""One way to read a body that anybody may have sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from schemas.decoding import MAX_DEPTH, REASON_LENGTH, Unreadable, reader, too_deep, unfit
from schemas.manifests import DatasetManifest
from tests.support.hostile import BODIES, hostile_bodies


class Message(Struct):
    """Anything with free and with typed fields."""

    task_id: str
    count: int = 0
    free: dict[str, object] = {}

    def problem(self) -> str | None:
        return "count: odd" if self.count % 2 else unfit(self.free)


READERS = [reader(Message), reader(DatasetManifest)]


@pytest.mark.parametrize("name", BODIES)
def test_no_body_raises_in_any_reader(name: str) -> None:
    for read in READERS:
        read(BODIES[name])


@given(hostile_bodies(b'{"task_id":"x","count":2,"free":{"a":[1]}}'))
def test_whatever_the_bytes_are_the_answer_is_a_value(body: bytes) -> None:
    found = READERS[0](body)
    if isinstance(found, Unreadable):
        assert 0 < len(found.reason) <= REASON_LENGTH
        assert found.reason.isprintable()
    else:
        assert isinstance(found, Message)


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b'{"task_id":"x","zz":"\xff"}',
        b'{"task_id":"x","count":1}',
        b'{"task_id":"x","free":{"a":"\\u0000"}}',
    ],
)
def test_what_does_not_fit_is_unreadable(body: bytes | None) -> None:
    assert isinstance(READERS[0](body), Unreadable)


def test_a_message_that_is_right_is_read() -> None:
    assert READERS[0](b'{"task_id":"\xc3\xa9","count":2}') == Message("é", 2)


@given(st.integers(0, 2 * MAX_DEPTH), st.text(alphabet='[]{}\\"ab', max_size=20))
def test_depth_is_that_of_brackets_outside_of_texts(depth: int, text: str) -> None:
    body = (b"[" * depth) + json.dumps([text, {"a": text}]).encode() + (b"]" * depth)
    assert too_deep(body) == (depth + 2 > MAX_DEPTH)
