"""All readers of the topics of rows bear any record: the stream processor's, whole, and the producer's that reads for a
replay."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.replay.records import Reader, Recorded, sent_again
from producer.sending.encoding import Turn
from rows.decode import opened
from rows.inputs import ModelInputs, numbers
from rows.rejected import UNREADABLE, Rejected
from schemas.messages import PackedRows, Purge, Redrive, RunEnd, RunSkip, encode, pack
from schemas.tasks import ReplaySource
from schemas.topics import INGRESS, JSON, PACKED
from stream_processor.batch.answers import Reasons
from stream_processor.batch.counting import BatchOutcome
from stream_processor.batch.score import NoModel, handle
from tests.support.examples import many, some
from tests.support.hostile import BODIES, KEYS, hostile_bodies, hostile_keys, mutations
from tests.unit.stream_processor.toys import MODEL_A, NOW, Producers, Record, home, model, partition_of, row

RUN = "sim-task-11111111-1111-4111-8111-111111111111"
HOME = home(RUN)
WHOSE: dict[str, Any] = {"run_id": RUN, "attempt": 1, "epoch": 7, "lane": 0, "lanes": 1}
ROW = row(**WHOSE, row_index=0, sample_id="S", timestamp="2026-01-01T00:00:00Z", label="FAIL")
END = encode(RunEnd(**WHOSE, end_index=0, ending="COMPLETED", message="m"))
SKIP = encode(RunSkip(**WHOSE, from_index=0, to_index=3))
PURGE = encode(Purge(dead_letter_id="0-0", run_id=RUN, row_index=0))
REDRIVE = encode(Redrive(dead_letter_id="0-0", run_id=RUN, row_index=0))
PACKED_ROWS = pack(PackedRows(RUN, 1, 7, 0, 1, 0, MODEL_A, 2, b"\0" * 24, ["a", None], [NOW, None], ["PASS", None]))
PRODUCERS = Producers(highest=7, attempts=1)
PRODUCERS._lanes[RUN] = 1
KINDS: dict[str, list[tuple[str, bytes | None]]] = {
    "row": [("type", b"row"), ("content-type", JSON), ("schema-version", b"1")],
    "plain": [],
    "packed": [("type", b"row"), ("content-type", PACKED), ("schema-version", b"1")],
    "end": [("type", b"run-end")],
    "skip": [("type", b"run-skip")],
    "purge": [("type", b"purge")],
    "redrive": [("redrive", REDRIVE)],
    "null headers": [("type", None), ("content-type", None), ("schema-version", None), ("redrive", None)],
    "null content type": [("content-type", None)],
    "null type": [("type", None)],
    "no text": [("type", b"\xff"), ("content-type", b"\xff\xfe")],
}


def read_by_all(record: Record) -> None:
    """Read it with all that reads rows, on each topic of rows; nothing is raised, and nothing on the ingress is about a
    run of ours."""
    read_on_its_topic(record)
    outcome = read_on_its_topic(record._replace(topic=INGRESS.name))
    assert (outcome.marks, outcome.commands) == ([], [])
    assert not any(key.startswith(RUN.encode()) for key, _ in outcome.states)


def read_on_its_topic(record: Record) -> BatchOutcome:
    """What the stream processor makes of it; a replay bears it, too."""
    outcome = handle(
        [record],
        state=dict[bytes, bytes]().get,
        models={MODEL_A: model()} | {name: NoModel("none") for name in _named(record)},
        champion=False,
        partition_of=partition_of,
        epochs=PRODUCERS,
        caught_up=True,
        now=NOW,
        reasons=Reasons(exact_max_rows=0, approximate_max_rows=0, top=0),
    )
    assert isinstance(outcome, BatchOutcome)
    item = opened(record, partition_of)
    assert not isinstance(item, Rejected) or item.identity is not None
    for source in (RUN, "ext-x", "ext-no-key"):
        replayed = ReplaySource(run_id=source, attempt=1, lanes=1, ranges=[], external=source != RUN)
        for found in Reader(replayed, MODEL_A, partition_of=partition_of, features_of=_features, epochs=PRODUCERS).read(
            record
        ):
            assert 0 <= found.row_index <= 2**62 + 4096
            if isinstance(found, Recorded):
                again = sent_again(Turn("sim-task-new", 1, 1, 1, MODEL_A), 5, found.fragment)
                opened(record._replace(value=again, headers=[]), partition_of)
    return outcome


def _named(record: Record) -> Iterator[str]:
    """The model versions that it asks for."""
    for decode in (msgspec.json.decode, msgspec.msgpack.decode):
        try:
            body = decode(record.value or b"")
        except UNREADABLE:
            continue
        named = (
            body.get("model_version")
            if isinstance(body, dict)
            else body[6]
            if isinstance(body, list) and len(body) > 6
            else None
        )
        if isinstance(named, str):
            yield named


def _features(model_version: str) -> ModelInputs:
    if model_version != MODEL_A:
        raise ValueError("no such model")
    return numbers(["S1", "S2", "S3"])


@pytest.mark.parametrize("kind", KINDS)
def test_no_body_of_the_corpus_is_too_much(kind: str) -> None:
    for body in [
        *some([*BODIES.values()]),
        None,
        PACKED_ROWS[:-1],
        PACKED_ROWS + b"\0",
        ROW,
        END,
        SKIP,
        PURGE,
        PACKED_ROWS,
    ]:
        for key in (RUN.encode(), None):
            read_by_all(Record(body, 3, HOME, key, KINDS[kind]))


@pytest.mark.parametrize("key", KEYS)
def test_no_key_is_too_much(key: bytes | None) -> None:
    for kind, body in (("plain", row()), ("redrive", row()), ("purge", PURGE), ("end", b"{}"), ("packed", PACKED_ROWS)):
        read_by_all(Record(body, 3, HOME, key, KINDS[kind]))


@pytest.mark.parametrize(
    ("kind", "body"), [("plain", ROW), ("row", ROW), ("end", END), ("skip", SKIP), ("purge", PURGE)]
)
def test_every_field_may_be_wrong_in_every_way(kind: str, body: bytes) -> None:
    for _, spoilt in some([*mutations(body)]):
        read_by_all(Record(spoilt, 3, HOME, RUN.encode(), KINDS[kind]))


def test_every_field_of_a_redrive_may_be_wrong_in_every_way() -> None:
    for _, spoilt in mutations(REDRIVE):
        read_by_all(Record(ROW, 3, HOME, RUN.encode(), [("redrive", spoilt)]))


@settings(max_examples=many(300), deadline=None)
@given(hostile_bodies(ROW, END, SKIP, PURGE), hostile_keys, st.sampled_from([*KINDS]), st.integers(0, 7))
def test_no_bytes_are_too_much(body: bytes, key: bytes | None, kind: str, partition: int) -> None:
    read_by_all(Record(body, 3, partition, key, KINDS[kind]))


@settings(max_examples=many(200), deadline=None)
@given(st.integers(0, len(PACKED_ROWS)), st.binary(max_size=12), st.sampled_from(["cut", "overwrite", "insert"]))
def test_no_packed_bytes_are_too_much(at: int, noise: bytes, change: str) -> None:
    rest = b"" if change == "cut" else PACKED_ROWS[at + (len(noise) if change == "overwrite" else 0) :]
    read_by_all(Record(PACKED_ROWS[:at] + noise + rest, 3, HOME, RUN.encode(), KINDS["packed"]))
