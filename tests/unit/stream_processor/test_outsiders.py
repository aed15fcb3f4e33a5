"""Whatever others put on `rows.v1` about a run of ours becomes a dead letter of theirs: the run's numbers are those
without it."""

from typing import Any

import msgspec
import pytest

from rows.admission import said
from schemas.ids import is_external_key, row_key, stats_key
from schemas.messages import DeadLetter, DeadLetterMark, LaneStats, PackedRows, RunEnd, RunSkip, encode, pack
from schemas.tasks import Marks
from schemas.topics import INGRESS, MAX_KEY_BYTES, PACKED
from stream_processor.batch.answers import Reasons
from stream_processor.batch.counting import BatchOutcome
from stream_processor.batch.score import Needs, handle
from tests.unit.stream_processor.toys import (
    MODEL_A,
    NOW,
    PARTITIONS,
    Producers,
    Record,
    home,
    model,
    partition_of,
    redrive,
    row,
)

RUN = "sim-task-11111111-1111-4111-8111-111111111111"
HOME = home(RUN)
AWAY = (HOME + 1) % PARTITIONS
EPOCH = 7
NONE = Reasons(exact_max_rows=0, approximate_max_rows=0, top=0)
FORGED = 2**60


class Topic:
    """`rows.v1` of which one worker has all partitions: one table, records with offsets of their own in each
    partition."""

    def __init__(self) -> None:
        self.table: dict[bytes, bytes] = {}
        self.letters: list[DeadLetter] = []
        self.marks: list[DeadLetterMark] = []
        self.written: list[bytes] = []
        self._next = dict.fromkeys(range(PARTITIONS), 0)
        self._next[AWAY] = 1000  # longer than the run's own
        self.epochs = Producers(highest=EPOCH, attempts=1)
        self.epochs._lanes[RUN] = 1

    def put(
        self, value: bytes | None, partition: int, headers: Any = (), key: bytes | None = b"line-1"
    ) -> BatchOutcome:
        """Put one record, and have it handled as a batch of its own."""
        record = Record(value, self._next[partition], partition, key, headers)
        self._next[partition] += 1
        given: dict[str, Any] = {"champion": None, "partition_of": partition_of, "now": NOW, "reasons": NONE}
        outcome = handle(
            [record], state=self.table.get, models={MODEL_A: model()}, epochs=self.epochs, caught_up=True, **given
        )
        assert isinstance(outcome, BatchOutcome)
        self.table |= outcome.states
        self.written += [key for key, _ in outcome.states]
        self.letters += [msgspec.json.decode(value, type=DeadLetter) for _, value in outcome.dead_letters]
        self.marks += [msgspec.json.decode(value, type=DeadLetterMark) for _, value in outcome.marks]
        return outcome

    def rows(self, *indices: int, **fields: Any) -> None:
        """Rows of the run as its producer sends them."""
        for index in indices:
            whose = {"run_id": RUN, "epoch": EPOCH, "row_index": index} | fields
            self.put(row(**whose), HOME, key=RUN.encode())

    @property
    def lane(self) -> LaneStats | None:
        """The run's only lane."""
        stored = self.table.get(stats_key(RUN, 1, 0))
        return msgspec.json.decode(stored, type=LaneStats) if stored else None


def end(**changed: Any) -> bytes:
    fields: dict[str, Any] = {
        "run_id": RUN,
        "attempt": 1,
        "epoch": EPOCH,
        "lane": 0,
        "lanes": 1,
        "end_index": 0,
        "ending": "STOPPED",
    }
    return msgspec.json.encode(fields | changed)


def skip(**changed: Any) -> bytes:
    fields: dict[str, Any] = {
        "run_id": RUN,
        "attempt": 1,
        "epoch": EPOCH,
        "lane": 0,
        "lanes": 1,
        "from_index": 0,
        "to_index": 5,
    }
    return msgspec.json.encode(fields | changed)


def packed(**changed: Any) -> bytes:
    rows = PackedRows(RUN, 1, EPOCH, 0, 1, 0, MODEL_A, 2, b"\0" * 24, [None] * 2, [None] * 2, [None] * 2)
    return pack(msgspec.structs.replace(rows, **changed))


def purge(**changed: Any) -> bytes:
    return msgspec.json.encode(
        {"dead_letter_id": "9-9", "run_id": RUN, "row_index": 3, "lane": 0, "attempt": 1} | changed
    )


END, SKIP, PURGE = [("type", b"run-end")], [("type", b"run-skip")], [("type", b"purge")]
IS_PACKED = [("content-type", PACKED)]
MISPLACED: list[tuple[str, bytes, Any]] = [
    ("purge", purge(), PURGE),
    ("redrive", row(), redrive(RUN, 0)),
    ("redrive that cannot be read", b"{", redrive(RUN, 0)),
    ("end", end(), END),
    ("end of epoch 0", end(epoch=0), END),
    ("skip", skip(), SKIP),
    ("row", row(run_id=RUN, epoch=EPOCH, row_index=0), ()),
    ("packed rows", packed(), IS_PACKED),
]
MADE_UP: list[tuple[str, bytes, Any]] = [
    ("row of a higher epoch", row(run_id=RUN, epoch=FORGED, row_index=0, features={}), ()),
    ("row that cannot be read of a higher epoch", row(run_id=RUN, epoch=FORGED, row_index=0, label="MAYBE"), ()),
    ("row of the next epoch", row(run_id=RUN, epoch=EPOCH + 1, row_index=0), ()),
    ("row of a higher attempt", row(run_id=RUN, epoch=EPOCH, attempt=2, row_index=0), ()),
    ("packed rows", packed(epoch=FORGED), IS_PACKED),
    ("packed rows of another model", packed(epoch=FORGED, model_version="model-ffffffffffff"), IS_PACKED),
    ("end", end(epoch=FORGED), END),
    ("end of a higher attempt", end(attempt=2), END),
    ("skip", skip(epoch=FORGED), SKIP),
]


@pytest.mark.parametrize("times", [1, 60])
@pytest.mark.parametrize("before", [0, 4])
@pytest.mark.parametrize(("value", "headers"), [case[1:] for case in MISPLACED], ids=[case[0] for case in MISPLACED])
def test_what_stands_in_another_partition_is_a_dead_letter_and_writes_nothing_of_the_run(
    value: bytes, headers: Any, before: int, times: int
) -> None:
    topic = Topic()
    topic.rows(*range(before))
    topic.written.clear()
    known = topic.lane
    for _ in range(times):
        topic.put(value, AWAY, headers)
    assert stats_key(RUN, 1, 0) not in topic.written
    assert topic.lane == known
    assert [letter.reason for letter in topic.letters] == ["misplaced"] * times
    assert {letter.run_id for letter in topic.letters} == {"ext-line-1"}
    assert not topic.marks
    topic.rows(*range(before, 9))
    assert topic.lane is not None
    assert (topic.lane.total, topic.lane.finished, topic.lane.dead_letters) == (9, None, 0)


@pytest.mark.parametrize("before", [0, 4])
@pytest.mark.parametrize(("value", "headers"), [case[1:] for case in MADE_UP], ids=[case[0] for case in MADE_UP])
def test_what_claims_an_epoch_that_no_producer_had_is_a_dead_letter(value: bytes, headers: Any, before: int) -> None:
    topic = Topic()
    topic.rows(*range(before))
    topic.put(value, HOME, headers, key=RUN.encode())
    assert [letter.reason for letter in topic.letters] == ["not_owner"]
    assert [letter.run_id for letter in topic.letters] == [f"ext-{RUN}"]
    topic.rows(*range(before, 9))
    assert topic.lane is not None
    assert (topic.lane.total, topic.lane.epoch, topic.lane.passed_over, topic.lane.finished) == (9, EPOCH, 0, None)


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (skip(run_id="x", epoch=0, lanes=0), SKIP),
        (skip(run_id="x", epoch=0, lanes=2**62), SKIP),
        (skip(lanes=0), SKIP),
        (skip(lane=1), SKIP),
        (skip(from_index=-1), SKIP),
        (skip(to_index=2**63), SKIP),
        (skip(to_index=10**30), SKIP),
        (skip(lane=False), SKIP),
        (end(end_index=False), END),
        (end(end_index=-5), END),
        (end(attempt=2**62, run_id="zz"), END),
        (end(attempt=0), END),
        (end(epoch=-1), END),
        (end(run_id="a\nb"), END),
        (end(run_id="x" * 300), END),
        (end(lanes=2), END),
        (end(message="x" * 100_000), END),
        (row(run_id=RUN, epoch=EPOCH, row_index=False), ()),
        (row(run_id=RUN, epoch=True, row_index=0), ()),
        (row(run_id=RUN, epoch=EPOCH, row_index=0, lanes=0), ()),
        (row(run_id=RUN, epoch=EPOCH, row_index=2**62 + 1), ()),
        (row(run_id=RUN, epoch=EPOCH, row_index=0, lanes=2), ()),
        (purge(row_index=2**63), PURGE),
        (purge(lane=2**40), PURGE),
        (purge(lane=1), PURGE),
        (msgspec.json.encode({"dead_letter_id": "a b", "run_id": RUN, "row_index": 0}), PURGE),
        (b"[" * 5000, END),
        (b'{"run_id":"\xff"}', END),
        (b'{"zz":' + b"[" * 5000 + b"]" * 5000 + b"}", ()),
        (row(), [("type", None)]),
        (row(), [("content-type", None)]),
        (row(), [("redrive", None)]),
        (row(), [("schema-version", None)]),
        (packed(), [("content-type", None)]),
        (row(model_version="../" * 99), ()),
        (row(model_version="m" * 300), ()),
        (row(model_version="a\0b"), ()),
        (packed(model_version="m" * 300, epoch=None, run_id=None, count=1), IS_PACKED),
        (b"\xdd\xff\xff\xff\xff", IS_PACKED),
        (b"\xc7\x0c\xff" + b"\xff" * 12, IS_PACKED),
    ],
)
def test_any_field_out_of_its_bounds_is_a_dead_letter_of_its_sender(value: bytes, headers: Any) -> None:
    topic = Topic()
    topic.rows(0)
    outcome = topic.put(value, HOME, headers, key=b"x")
    assert len(topic.letters) == 1
    assert topic.letters[0].run_id != RUN
    assert not outcome.predictions
    topic.rows(1, 2)
    assert topic.lane is not None
    assert (topic.lane.total, topic.lane.dead_letters, topic.lane.finished) == (3, 0, None)


def test_a_key_that_no_answer_could_carry_is_a_dead_letter_with_its_beginning() -> None:
    topic = Topic()
    outcome = topic.put(row(), 0, key=b"k" * (MAX_KEY_BYTES + 1))
    assert [letter.reason for letter in topic.letters] == ["oversized"]
    assert {len(key or b"") for key, _ in outcome.dead_letters} == {MAX_KEY_BYTES}
    outcome = topic.put(b"{}", HOME, redrive(RUN, 0), key=b"k" * (MAX_KEY_BYTES + 1))
    assert {len(key or b"") for key, _ in outcome.marks} == {MAX_KEY_BYTES}


def test_a_claim_that_may_be_too_new_is_looked_for_before_it_is_refused() -> None:
    topic = Topic()
    record = Record(row(run_id=RUN, epoch=EPOCH + 1, row_index=0), 0, HOME, row_key(RUN, 0, 1))
    given: dict[str, Any] = {
        "champion": None,
        "partition_of": partition_of,
        "now": NOW,
        "reasons": NONE,
        "models": {MODEL_A: model()},
    }
    needs = handle([record], state=dict[bytes, bytes]().get, epochs=topic.epochs, **given)
    assert isinstance(needs, Needs)
    assert needs.epochs
    topic.epochs._highest = EPOCH + 1
    outcome = handle([record], state=dict[bytes, bytes]().get, epochs=topic.epochs, **given)
    assert isinstance(outcome, BatchOutcome)
    assert (len(outcome.predictions), len(outcome.dead_letters)) == (1, 0)


@pytest.mark.parametrize("good", [True, False])
def test_keys_beyond_the_bound_share_a_run_and_every_row_counts_once(good: bool) -> None:
    table: dict[bytes, bytes] = {}
    value = row() if good else b"{"
    given: dict[str, Any] = {
        "champion": None,
        "partition_of": partition_of,
        "now": NOW,
        "reasons": NONE,
        "models": {MODEL_A: model()},
    }
    for start in range(0, 400, 10):
        records = [
            Record(value, offset, 3, b"key-%d" % (offset % 100), topic=INGRESS.name)
            for offset in range(start, start + 10)
        ]
        room = 5 - sum(is_external_key(key, 3, PARTITIONS) for key in table)
        outcome = handle(records, state=table.get, epochs=Producers(), room=room, **given)
        assert isinstance(outcome, BatchOutcome)
        table |= outcome.states
    lanes = [
        msgspec.json.decode(stored, type=LaneStats)
        for key, stored in table.items()
        if is_external_key(key, 3, PARTITIONS)
    ]
    assert len(lanes) == 6
    assert sum(lane.total + lane.dead_letters for lane in lanes) == 400
    counted = {lane.run_id: lane.total + lane.dead_letters for lane in lanes}
    assert counted.pop("ext-others") == 400 - 5 * 4
    assert set(counted.values()) == {4}


def test_a_packed_row_of_a_key_beyond_the_bound_counts_in_the_shared_run() -> None:
    value = packed(
        run_id=None,
        epoch=None,
        row_index=None,
        count=1,
        features=b"\0" * 12,
        sample_ids=[None],
        timestamps=[None],
        labels=[None],
    )
    given: dict[str, Any] = {
        "champion": None,
        "partition_of": partition_of,
        "now": NOW,
        "reasons": NONE,
        "models": {MODEL_A: model()},
    }
    record = Record(value, 5, 3, b"key", IS_PACKED, INGRESS.name)
    outcome = handle([record], state=dict[bytes, bytes]().get, epochs=Producers(), room=0, **given)
    assert isinstance(outcome, BatchOutcome)
    assert stats_key("ext-others", 1, 3) in dict(outcome.states)
    ((_, answer),) = outcome.predictions
    assert msgspec.json.decode(answer)["run_id"] == "ext-others"


def test_an_epoch_that_is_over_is_passed_by_as_before() -> None:
    topic = Topic()
    topic.rows(0)
    topic.rows(1, epoch=EPOCH - 1)
    topic.put(end(epoch=EPOCH - 1, end_index=1), HOME, END, key=RUN.encode())
    assert not topic.letters
    assert topic.lane is not None
    assert (topic.lane.total, topic.lane.finished) == (1, None)


def test_markers_of_the_owner_count() -> None:
    topic = Topic()
    topic.rows(0)
    topic.put(
        encode(RunSkip(run_id=RUN, attempt=1, epoch=EPOCH, lane=0, lanes=1, from_index=1, to_index=5)), HOME, SKIP
    )
    topic.rows(5)
    topic.put(
        encode(RunEnd(run_id=RUN, attempt=1, epoch=EPOCH, lane=0, lanes=1, end_index=6, ending="COMPLETED")), HOME, END
    )
    assert not topic.letters
    assert topic.lane is not None
    assert (topic.lane.total, topic.lane.passed_over, topic.lane.finished) == (2, 4, "COMPLETED")


SAID = Marks(skips=[(2, 8)], ending="COMPLETED", ends=[12])


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (end(end_index=2), END),
        (end(end_index=0, ending="COMPLETED"), END),
        (end(end_index=12), END),
        (end(end_index=12, ending="COMPLETED", message="who?"), END),
        (end(end_index=12, ending="FAILED"), END),
        (skip(from_index=2, to_index=2**50), SKIP),
        (skip(from_index=2, to_index=9), SKIP),
        (skip(from_index=0, to_index=8), SKIP),
    ],
)
def test_a_marker_at_home_under_the_right_epoch_that_its_owner_did_not_announce_is_a_dead_letter(
    value: bytes, headers: Any
) -> None:
    topic = Topic()
    topic.epochs.said[EPOCH] = SAID
    topic.rows(0, 1)
    topic.put(value, HOME, headers, key=RUN.encode())
    assert [letter.reason for letter in topic.letters] == ["not_owner"]
    topic.put(skip(from_index=2, to_index=8), HOME, SKIP, key=RUN.encode())
    topic.rows(8, 9, 10, 11)
    topic.put(end(end_index=12, ending="COMPLETED"), HOME, END, key=RUN.encode())
    lane = topic.lane
    assert lane is not None
    assert (lane.total, lane.passed_over, lane.finished, lane.dead_letters) == (6, 6, "COMPLETED", 0)


def test_markers_of_producers_that_announce_none_are_believed() -> None:
    topic = Topic()
    topic.rows(0, 1)
    topic.put(skip(from_index=2, to_index=8), HOME, SKIP, key=RUN.encode())
    topic.put(end(end_index=8), HOME, END, key=RUN.encode())
    assert topic.lane is not None
    assert (topic.lane.passed_over, topic.lane.finished, topic.letters) == (6, "STOPPED", [])


def test_a_skip_that_is_too_old_to_be_listed_is_believed_up_to_where_those_went() -> None:
    marks = Marks(skips=[(9, 20)], unlisted=8)
    marker = RunSkip(
        run_id=RUN, attempt=1, epoch=EPOCH, lane=1, lanes=3, from_index=1, to_index=10
    )  # of row 8, in lane 1
    assert said(marks, marker)
    assert not said(marks, msgspec.structs.replace(marker, to_index=13))
    assert said(marks, msgspec.structs.replace(marker, from_index=10, to_index=22))
