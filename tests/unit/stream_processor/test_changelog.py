"""What others write to the changelog neither counts nor stops a worker."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows.identity import Identity
from schemas.ids import position_key
from schemas.messages import encode
from schemas.topics import INGRESS
from stream_processor.batch.count import new_lane
from stream_processor.changelog import problem
from tests.support.examples import many
from tests.support.hostile import BODIES, KEYS, hostile_bodies, hostile_keys

LANE = encode(new_lane(Identity("r", 1, 2, 4, 0), 3))


def test_what_the_processor_writes_is_believed() -> None:
    assert problem(3, b"r:1:2", LANE) is None
    assert problem(3, position_key(3), b"120") is None
    assert problem(3, position_key(3, INGRESS.name), b"120") is None
    assert problem(3, b"__owner__", b"") is None
    assert problem(3, b"__end__", b"") is None


@pytest.mark.parametrize(
    ("partition", "key", "value"),
    [
        (4, b"r:1:2", LANE),
        (3, b"r:1:3", LANE),
        (3, b"s:1:2", LANE),
        (3, b"r:1:2", None),
        (3, None, LANE),
        (3, b"r:1:2", b""),
        (3, b"r:1:2", LANE.replace(b'"attempt":1', b'"attempt":1e3')),
        (3, b"r:1:2", LANE.replace(b'"partition":3', b'"partition":99999999999999999999')),
        (3, position_key(4), b"120"),
        (3, position_key(4, INGRESS.name), b"120"),
        (3, position_key(3), b"-1"),
        (3, position_key(3), b"1e3"),
        (3, position_key(3), b"9" * 30),
        (3, position_key(3), b""),
        (3, b"__something__", b"1"),
    ],
)
def test_what_cannot_be_the_processors_own_is_set_aside(partition: int, key: bytes | None, value: bytes | None) -> None:
    assert problem(partition, key, value) is not None


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_body_of_the_corpus_is_believed(body: bytes) -> None:
    for key in (*KEYS, b"r:1:2", position_key(3)):
        assert problem(3, key, body) is not None or body.isdigit()


@settings(max_examples=many(300), deadline=None)
@given(hostile_bodies(LANE), hostile_keys | st.just(b"r:1:2"))
def test_nothing_is_raised_for_any_bytes(body: bytes, key: bytes | None) -> None:
    problem(3, key, body)
