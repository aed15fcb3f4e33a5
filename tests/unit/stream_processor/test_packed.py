"""Packed records: the same answers and the same state as JSON, whatever the cutting; a bad row does not take the others
along."""

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.messages import DeadLetter, LaneStats, PackedRows, Prediction, RunEnd, RunSkip, encode, pack
from schemas.topics import INGRESS, MAX_ROW_BYTES, PACKED
from stream_processor.batch.answers import Reasons
from stream_processor.batch.counting import BatchOutcome
from stream_processor.batch.reading import USUAL, USUAL_PACKED
from stream_processor.batch.score import Models, NoModel, handle
from tests.support.examples import many
from tests.unit.stream_processor.toys import (
    FEATURES,
    MODEL_A,
    NOW,
    Producers,
    Record,
    home,
    model,
    partition_of,
    redrive,
    row,
)

RUN, LANES, LANE = "run-1", 2, 1
HOME = home(RUN, LANE, LANES)
HEADERS = [("type", b"row"), ("content-type", PACKED), ("schema-version", b"1")]
MODELS: Models = {MODEL_A: model(), "gone": NoModel("model version gone does not exist")}
LAST_ONLY = Reasons(exact_max_rows=0, approximate_max_rows=0, top=2)


def values(i: int) -> list[float | None]:
    return [None if i % 5 == 0 else float(np.float32(i * 0.37 % 3 - 1)), float(np.float32(i % 7)), None]


def label(i: int) -> Any:
    return ("PASS", "FAIL", None)[i % 3]


def packed(first: int, count: int, **changed: Any) -> PackedRows:
    """Rows `first`, `first + LANES` … of the lane."""
    indices = range(first, first + count * LANES, LANES)
    blob = np.array([values(i) for i in indices], dtype="<f4").tobytes()
    times = [NOW + timedelta(seconds=i) if i % 4 else None for i in indices]
    said = [None if i % 6 == 0 else f"SAMPLE_{i}" for i in indices]
    record = PackedRows(RUN, 1, 3, LANE, LANES, first, MODEL_A, count, blob, said, times, [label(i) for i in indices])
    return msgspec.structs.replace(record, **changed)


def record(body: PackedRows | bytes, offset: int = 0) -> Record:
    return Record(body if isinstance(body, bytes) else pack(body), offset, HOME, f"{RUN}#{LANE}".encode(), HEADERS)


def as_json(i: int, offset: int) -> Record:
    said = {} if i % 6 == 0 else {"sample_id": f"SAMPLE_{i}"}
    time = {"timestamp": (NOW + timedelta(seconds=i)).isoformat()} if i % 4 else {}
    features = dict(zip(FEATURES, values(i), strict=True))
    whose = {
        "run_id": RUN,
        "epoch": 3,
        "lane": LANE,
        "lanes": LANES,
        "row_index": i,
        "label": label(i),
        "features": features,
    }
    return Record(row(**whose, **said, **time), offset, HOME, f"{RUN}#{LANE}".encode())


def handled(records: list[Record], table: dict[bytes, bytes], reasons: Reasons = LAST_ONLY) -> BatchOutcome:
    outcome = handle(
        records,
        state=table.get,
        models=MODELS,
        champion=None,
        partition_of=partition_of,
        epochs=Producers(run_1=2),
        now=NOW,
        reasons=reasons,
    )
    assert isinstance(outcome, BatchOutcome)
    table |= outcome.states
    return outcome


def answers(outcome: BatchOutcome) -> list[Prediction]:
    return [msgspec.json.decode(value, type=Prediction) for _, value in outcome.predictions]


def letters(outcome: BatchOutcome) -> list[DeadLetter]:
    return [msgspec.json.decode(value, type=DeadLetter) for _, value in outcome.dead_letters]


def lane(table: dict[bytes, bytes]) -> LaneStats:
    return msgspec.json.decode(table[f"{RUN}:1:{LANE}".encode()], type=LaneStats)


def comparable(answer: Prediction | None) -> Any:
    """Without what depends on where the row stood and on how many came with it."""
    place = {"source": None, "reasons": None, "top_features": None, "top_feature_values": None, "strongest": None}
    return None if answer is None else msgspec.structs.asdict(answer) | place


def same(stats: LaneStats) -> Any:
    return msgspec.structs.asdict(stats) | {"offset": None, "last": comparable(stats.last)}


@given(
    st.integers(1, 40),
    st.sets(st.integers(1, 39)),
    st.sets(st.integers(1, 39)),
    st.integers(0, 39),
    st.sampled_from([LAST_ONLY, Reasons(2, 4, 2), Reasons(0, 9, 2)]),
)
@settings(max_examples=many(150), deadline=None)
def test_packed_rows_give_the_same_answers_and_state_as_json_whatever_the_cutting(
    count: int, record_cuts: set[int], batch_cuts: set[int], resent: int, reasons: Reasons
) -> None:
    """The producer also crashes after some rows, goes on earlier, and cuts differently then."""
    plain: dict[bytes, bytes] = {}
    expected = handled([as_json(LANE + LANES * i, i) for i in range(count)], plain)
    bounds = [0, *sorted(cut for cut in record_cuts if cut < count), count]
    pieces = list(pairwise(bounds))
    again = [(start, stop) for start, stop in pairwise([min(resent, count - 1), count]) if start < stop]
    log = [
        record(packed(LANE + LANES * start, stop - start), offset)
        for offset, (start, stop) in enumerate([*pieces, *again])
    ]
    table: dict[bytes, bytes] = {}
    found: list[Prediction] = []
    batches = [0, *sorted(cut for cut in batch_cuts if cut < len(log)), len(log)]
    for start, stop in pairwise(batches):
        found += answers(handled(log[start:stop], table, reasons))
    assert [comparable(answer) for answer in found] == [comparable(answer) for answer in answers(expected)]
    assert same(lane(table)) == same(lane(plain))
    assert all(answer.reasons != "none" for answer in found[-1:])
    sources = [answer.source for answer in found]
    handled(log, table)  # read again
    assert same(lane(table)) == same(lane(plain))
    joined: dict[bytes, bytes] = {}  # the same records, read together
    usual = [line._replace(headers=USUAL_PACKED) for line in log]
    found = [
        answer for start, stop in pairwise(batches) for answer in answers(handled(usual[start:stop], joined, reasons))
    ]
    assert [comparable(answer) for answer in found] == [comparable(answer) for answer in answers(expected)]
    assert [answer.source for answer in found] == sources
    handled(usual, joined)
    assert joined == table
    alone: dict[bytes, bytes] = {}
    indices = [LANE + LANES * i for i in [*range(count), *range(min(resent, count - 1), count)]]
    lines = [as_json(i, offset)._replace(headers=USUAL) for offset, i in enumerate(indices)]
    cut = [0, *sorted(cut for cut in batch_cuts if cut < len(lines)), len(lines)]
    spoken = [answer for start, stop in pairwise(cut) for answer in answers(handled(lines[start:stop], alone, reasons))]
    assert [comparable(answer) for answer in spoken] == [comparable(answer) for answer in answers(expected)]
    assert [answer.source.offset for answer in spoken] == list(range(count))
    assert same(lane(alone)) == same(lane(plain))
    handled(lines, alone)
    assert same(lane(alone)) == same(lane(plain))


@given(
    st.lists(
        st.sampled_from(["good", "bad", "marker", "other lane", "gap", "offset time", "no model"]),
        min_size=1,
        max_size=25,
    )
)
@settings(max_examples=many(80), deadline=None)
def test_json_rows_that_are_read_together_end_as_they_do_one_by_one(kinds: list[str]) -> None:
    log: list[Record] = []
    i = LANE
    for offset, kind in enumerate(kinds):
        usual = as_json(i, offset)
        changes: Any = {
            "bad": {"label": "MAYBE"},
            "other lane": {"lane": 0, "row_index": i - 1},
            "gap": {"row_index": i + LANES},
            "offset time": {"timestamp": "2026-01-01T00:00:00+02:00"},
            "no model": {"model_version": "gone"},
        }.get(kind, {})
        body = json.dumps(json.loads(usual.value or b"") | changes).encode()
        skip = RunSkip(run_id=RUN, attempt=1, epoch=3, lane=LANE, lanes=LANES, from_index=i, to_index=i + LANES)
        log.append(
            usual._replace(value=body)
            if kind != "marker"
            else usual._replace(value=encode(skip), headers=[("type", b"run-skip")])
        )
        i += LANES if kind not in ("other lane", "gap") else 0
    one_by_one: dict[bytes, bytes] = {}
    together: dict[bytes, bytes] = {}
    expected = handled(log, one_by_one)
    found = handled([line if line.headers else line._replace(headers=USUAL) for line in log], together)
    assert answers(found) == answers(expected)
    assert [(letter.row_index, letter.reason, letter.path) for letter in letters(found)] == [
        (letter.row_index, letter.reason, letter.path) for letter in letters(expected)
    ]
    assert together == one_by_one


def broken(first: int, rows: int, **columns: Any) -> bytes:
    """A record with other columns than it should have."""
    fields: list[Any] = list(msgspec.structs.astuple(packed(first, rows)))
    names = PackedRows.__struct_fields__
    for name, value in columns.items():
        fields[names.index(name)] = value
    return msgspec.msgpack.encode(fields)


def test_a_bad_row_is_a_dead_letter_of_its_own_as_json() -> None:
    table: dict[bytes, bytes] = {}
    body = broken(1, 4, labels=["PASS", "MAYBE", "FAIL", None], timestamps=[None, None, None, "yesterday"])
    outcome = handled([record(body, 7), record(packed(9, 2), 8)], table)
    assert [answer.row_index for answer in answers(outcome)] == [1, 5, 9, 11]
    maybe, late = letters(outcome)
    assert [(letter.row_index, letter.path, letter.dead_letter_id) for letter in (maybe, late)] == [
        (3, "$.label", f"{HOME}-7-1"),
        (7, "$.timestamp", f"{HOME}-7-3"),
    ]
    assert maybe.headers["content-type"] == "application/json"
    assert json.loads(maybe.value)["features"] == dict(zip(FEATURES, values(3), strict=True))
    assert (lane(table).total, lane(table).dead_letters, lane(table).skipped) == (4, 2, [3, 7])
    repaired = Record(maybe.value, 9, HOME, maybe.key, redrive(RUN, 3, lane=LANE))
    assert [answer.row_index for answer in answers(handled([repaired], table))] == [3]
    assert lane(table).skipped == [7]


@pytest.mark.parametrize(
    ("columns", "reason", "path"),
    [
        ({"features": b"123"}, "invalid_field", "$.features"),
        ({"features": b""}, "invalid_field", "$.features"),
        ({"features": 5}, "invalid_field", "$[8]"),
        ({"labels": ["PASS"]}, "invalid_field", "$"),
        ({"labels": ["MAYBE"]}, "invalid_field", "$"),
        ({"sample_ids": 7}, "invalid_field", "$[9]"),
        ({"model_version": "gone"}, "unknown_model", "$.model_version"),
        ({"sample_ids": ["x" * MAX_ROW_BYTES, "", ""]}, "oversized", None),
    ],
)
def test_of_a_broken_record_every_row_is_a_dead_letter_so_that_the_run_goes_on(
    columns: Any, reason: str, path: str | None
) -> None:
    table: dict[bytes, bytes] = {}
    outcome = handled([record(broken(1, 3, **columns)), record(packed(7, 1), 1)], table)
    assert [(letter.row_index, letter.reason, letter.path) for letter in letters(outcome)] == [
        (i, reason, path) for i in (1, 3, 5)
    ]
    assert len({letter.dead_letter_id for letter in letters(outcome)}) == 3
    assert [answer.row_index for answer in answers(outcome)] == [7]
    assert lane(table).skipped == [1, 3, 5]


def test_a_row_whose_model_is_back_can_be_redriven_as_it_was() -> None:
    table: dict[bytes, bytes] = {}
    (letter,) = letters(handled([record(packed(1, 1, model_version="gone"))], table))
    assert json.loads(letter.value)["features"] == values(1)
    with_model = letter.value.replace(b'"gone"', json.dumps(MODEL_A).encode())
    again = handled([Record(with_model, 1, HOME, letter.key, redrive(RUN, 1, lane=LANE))], table)
    assert [answer.row_index for answer in answers(again)] == [1]


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x90", msgspec.msgpack.encode({"a": 1}), broken(1, 1, count=0), broken(1, 1, count=2**40)]
)
def test_a_record_that_does_not_say_whose_rows_it_holds_is_one_dead_letter(body: bytes) -> None:
    (letter,) = letters(handled([record(body)], {}))
    assert letter.value == body
    assert letter.reason in ("undecodable", "invalid_field")


def test_rows_of_other_systems_may_be_packed_one_by_one() -> None:
    table: dict[bytes, bytes] = {}
    plain: dict[str, Any] = {"run_id": None, "epoch": None, "row_index": None, "lane": 0, "lanes": 1}
    one, several = packed(0, 1, **plain), packed(0, 2, **plain)
    nulls = packed(0, 1, **plain | {"run_id": "batch-9", "attempt": None, "lane": None, "lanes": None})
    marked = packed(0, 1, run_id="batch-9", epoch=7)
    log = [
        record(value, offset)._replace(topic=INGRESS.name)
        for offset, value in enumerate((one, several, nulls, marked), 5)
    ]
    outcome = handled(log, table)
    assert [answer.run_id for answer in answers(outcome)][1:] == ["batch-9"]
    assert [answer.row_index for answer in answers(outcome)] == [5 * 16 + HOME, 7 * 16 + HOME]
    assert [letter.path for letter in letters(outcome)] == ["$.count", "$.epoch"]


def test_rows_of_a_stale_producer_and_markers_are_told_apart_as_ever() -> None:
    table: dict[bytes, bytes] = {}
    end = RunEnd(run_id=RUN, attempt=1, epoch=5, lane=LANE, lanes=LANES, end_index=9, ending="COMPLETED")
    marker = Record(encode(end), 4, HOME, None, [("type", b"run-end")])
    log = [
        record(packed(1, 2)),
        record(packed(1, 3, epoch=5), 1),
        record(packed(7, 1), 2),
        record(packed(7, 1, epoch=5), 3),
        marker,
    ]
    outcome = handled([*log, record(packed(9, 2, epoch=5), 5)], table)
    assert [answer.row_index for answer in answers(outcome)] == [1, 3, 5, 7]
    assert outcome.passed_by == {"sent_again": 2, "stale_epoch": 1, "after_end": 1, "ahead": 1}
    assert lane(table).finished == "COMPLETED"
