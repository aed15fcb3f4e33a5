"""Dead letters sent again, purged, and too many of them: counted once wherever they stood, whatever comes twice and
however it is cut."""

from dataclasses import dataclass, field
from itertools import count as counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import score
from schemas.ids import stats_key
from schemas.messages import DeadLetter, DeadLetterMark, LaneStats, Prediction, Purge, RunEnd, encode
from schemas.tasks import Command
from stream_processor.batch import count, redrive
from stream_processor.batch.answers import Reasons
from stream_processor.batch.count import DeadLetterLimits
from stream_processor.batch.counting import BatchOutcome
from stream_processor.batch.score import handle
from tests.support.examples import many
from tests.unit.stream_processor import toys
from tests.unit.stream_processor.toys import MODEL_A, NOW, Producers, Record, home, model, partition_of, row

RUN = "run-1"
HOME = home(RUN)
GOOD: dict[str, Any] = {"S1": 0.5, "S2": None, "S3": -1}
NONE = Reasons(exact_max_rows=0, approximate_max_rows=0, top=0)


@dataclass
class Log:
    """A partition: what is put on it, and the table that handling it in batches leaves."""

    records: list[Record] = field(default_factory=list)
    table: dict[bytes, bytes] = field(default_factory=dict)
    outcomes: list[BatchOutcome] = field(default_factory=list)
    limits: DeadLetterLimits = field(default_factory=DeadLetterLimits)

    def put(self, record: Record) -> None:
        self.records.append(record._replace(offset=len(self.records), partition=HOME, key=RUN.encode()))

    def row(self, index: int, *, bad: bool = False, epoch: int = 1) -> None:
        features = {"S1": 1} if bad else GOOD
        self.put(
            Record(row(run_id=RUN, epoch=epoch, row_index=index, label=("PASS", "FAIL")[index % 2], features=features))
        )

    def redrive(self, index: int, *, bad: bool = False, letter: str = "0-0") -> None:
        value = row(features={"S1": 1} if bad else GOOD, label=("PASS", "FAIL")[index % 2])
        self.put(Record(value, headers=toys.redrive(RUN, index, dead_letter_id=letter)))

    def purge(self, index: int, letter: str = "0-0") -> None:
        self.put(
            Record(encode(Purge(dead_letter_id=letter, run_id=RUN, row_index=index)), headers=[("type", b"purge")])
        )

    def end(self, index: int, epoch: int = 1) -> None:
        marker = RunEnd(run_id=RUN, attempt=1, epoch=epoch, lane=0, lanes=1, end_index=index, ending="COMPLETED")
        self.put(Record(encode(marker), headers=[("type", b"run-end")]))

    def handle(self, start: int = 0, stop: int | None = None) -> BatchOutcome:
        outcome = handle(
            self.records[start:stop],
            state=self.table.get,
            models={MODEL_A: model()},
            champion=None,
            partition_of=partition_of,
            epochs=Producers(run_1=1),
            now=NOW,
            reasons=NONE,
            limits=self.limits,
        )
        assert isinstance(outcome, BatchOutcome)
        self.table |= outcome.states
        self.outcomes.append(outcome)
        return outcome

    @property
    def lane(self) -> LaneStats:
        return msgspec.json.decode(self.table[stats_key(RUN, 1, 0)], type=LaneStats)

    @property
    def marks(self) -> list[DeadLetterMark]:
        return [
            msgspec.json.decode(value, type=DeadLetterMark) for outcome in self.outcomes for _, value in outcome.marks
        ]

    @property
    def answers(self) -> list[Prediction]:
        return [
            msgspec.json.decode(value, type=Prediction) for outcome in self.outcomes for _, value in outcome.predictions
        ]

    @property
    def letters(self) -> list[DeadLetter]:
        return [
            msgspec.json.decode(value, type=DeadLetter)
            for outcome in self.outcomes
            for _, value in outcome.dead_letters
        ]


def test_a_redriven_row_is_counted_once_and_its_letter_says_so() -> None:
    log = Log()
    for index in range(4):
        log.row(index, bad=index == 1)
    log.end(4)
    log.redrive(1, letter="3-1")
    log.redrive(1, letter="3-1")
    log.handle()
    lane = log.lane
    assert (lane.total, lane.dead_letters, lane.skipped, lane.finished) == (4, 0, [], "COMPLETED")
    assert (lane.last_row_index, lane.last_answered_index, lane.redriven) == (
        3,
        3,
        [(int(NOW.timestamp()) * 1_000_000, [1])],
    )
    assert [(answer.row_index, answer.redriven) for answer in log.answers] == [
        (0, False),
        (2, False),
        (3, False),
        (1, True),
    ]
    assert [(mark.mark, mark.dead_letter_id, mark.prediction_id) for mark in log.marks] == [
        ("answered", "3-1", "run-1:1:1")
    ] * 2


def test_a_redriven_row_that_fails_again_is_a_new_letter_and_changes_no_count() -> None:
    log = Log()
    log.row(0, bad=True)
    log.handle()
    before = log.lane
    log.redrive(0, bad=True, letter="3-0")
    log.handle(1)
    assert (log.lane.dead_letters, log.lane.skipped, log.lane.dead_letters_in_a_row) == (
        1,
        [0],
        before.dead_letters_in_a_row,
    )
    first, second = log.letters
    assert (second.run_id, second.row_index, second.attempt) == (first.run_id, 0, 1)
    (mark,) = log.marks
    assert (mark.mark, mark.new_dead_letter_id, mark.message) == ("dead_letter", second.dead_letter_id, second.message)
    log.redrive(0, letter=second.dead_letter_id)
    log.handle(2)
    assert (log.lane.dead_letters, log.lane.total) == (0, 1)


def test_a_purged_row_stays_counted_and_cannot_be_redriven() -> None:
    log = Log()
    log.row(0, bad=True)
    log.purge(0)
    log.redrive(0)
    log.handle()
    assert (log.lane.dead_letters, log.lane.skipped, log.lane.total) == (1, [], 0)
    assert [mark.mark for mark in log.marks] == ["purged", "ignored"]
    assert log.marks[1].message == "its row does not wait to be redriven: it was answered or purged"


def test_a_redrive_of_what_is_no_dead_letter_says_why_it_is_ignored() -> None:
    log = Log()
    log.row(0)
    log.redrive(5)
    log.put(Record(row(), headers=toys.redrive("nobody", 0, lane=HOME)))
    log.put(
        Record(
            encode(Purge(dead_letter_id="0-9", run_id="nobody", lane=HOME, row_index=0)), headers=[("type", b"purge")]
        )
    )
    log.handle()
    assert [mark.message for mark in log.marks[:2]] == [
        "the run has not come to its row",
        "nothing is known of its run",
    ]
    assert log.marks[2].mark == "purged"
    assert not any(b"nobody" in key for key in log.table)


def test_only_so_many_dead_letters_of_a_lane_can_be_redriven(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (count, redrive):
        monkeypatch.setattr(module, "SKIPPED_MAX", 3)
        monkeypatch.setattr(module, "REDRIVEN_MAX", 2)
    log = Log()
    for index in range(5):
        log.row(index, bad=True)
    for index in (1, 2, 3, 4):
        log.redrive(index)
    log.handle()
    assert [mark.mark for mark in log.marks] == ["ignored", "answered", "answered", "ignored"]
    assert log.marks[0].message.startswith("there are 3 newer dead letters")
    assert log.marks[3].message.startswith("2 rows of its lane were redriven")
    assert log.lane.dead_letters == 3


def test_letters_of_no_run_are_redriven_once_too() -> None:
    log = Log()
    log.put(Record(b"\xff"))
    log.handle()
    (letter,) = log.letters
    assert letter.run_id is not None
    assert letter.row_index is not None
    again = Record(
        row(), headers=toys.redrive(letter.run_id, letter.row_index, lane=letter.lane or 0, dead_letter_id="x")
    )
    log.put(again)
    log.put(again)
    log.handle(1)
    assert [(answer.run_id, answer.row_index) for answer in log.answers] == [(letter.run_id, letter.row_index)]
    assert [mark.mark for mark in log.marks] == ["answered", "answered"]


@pytest.mark.parametrize(
    ("limits", "good", "bad", "failed_at"),
    [
        (DeadLetterLimits(in_a_row=3), 2, 3, None),
        (DeadLetterLimits(in_a_row=3), 2, 4, 5),
        (DeadLetterLimits(in_a_row=0), 2, 50, None),
        (DeadLetterLimits(share=0.5), 500, 500, None),
        (DeadLetterLimits(share=0.5), 500, 501, 1000),
        (DeadLetterLimits(share=0.5), 10, 900, None),
    ],
)
def test_too_many_dead_letters_end_the_run_as_failed(
    limits: DeadLetterLimits, good: int, bad: int, failed_at: int | None
) -> None:
    log = Log(limits=limits)
    for index in range(good + bad):
        log.row(index, bad=index >= good)
    outcome = log.handle()
    lane = log.lane
    if failed_at is None:
        assert (lane.finished, outcome.commands, lane.dead_letters) == (None, [], bad)
        return
    assert (lane.finished, lane.last_row_index, lane.limit_reached) == ("FAILED", failed_at, True)
    assert f"Stopped at row {failed_at}" in lane.message
    ((key, value),) = outcome.commands
    order = msgspec.json.decode(value, type=Command)
    assert (key, order.command, order.task_id, order.arguments) == (
        b"run-1",
        "fail",
        RUN,
        {"attempt": 1, "message": lane.message},
    )


def test_a_lane_that_failed_stays_so_whatever_the_producer_says() -> None:
    log = Log(limits=DeadLetterLimits(in_a_row=1))
    for index in range(3):
        log.row(index, bad=True)
    log.row(3)
    log.row(2, epoch=9)
    log.end(4)
    log.end(2, epoch=10)
    log.handle()
    assert (log.lane.finished, log.lane.total, log.lane.dead_letters) == ("FAILED", 0, 2)
    log.redrive(1)
    log.handle(len(log.records) - 1)
    assert (log.lane.finished, log.lane.total, log.lane.dead_letters) == ("FAILED", 1, 1)


actions = st.lists(
    st.tuples(st.sampled_from(["good", "bad", "redrive", "redrive bad", "purge"]), st.integers(0, 30), st.booleans()),
    max_size=60,
)


def _filled(script: list[tuple[str, int, bool]]) -> tuple[Log, set[int], set[int]]:
    """A log, the rows that must be answered in the end, and those that must be dead letters."""
    log, following = Log(), counter()
    rows, open_, purged, answered = 0, set[int](), set[int](), set[int]()
    for kind, which, twice in script:
        if kind in ("good", "bad"):
            rows = next(following)
            log.row(rows, bad=kind == "bad")
            (open_ if kind == "bad" else answered).add(rows)
            continue
        known = sorted(open_ | purged | answered)
        if not known:
            continue
        index = known[which % len(known)]
        for _ in range(1 + twice):
            if kind == "purge":
                log.purge(index)
            else:
                log.redrive(index, bad=kind == "redrive bad")
        if index in open_ and kind == "redrive":
            open_.remove(index)
            answered.add(index)
        elif index in open_ and kind == "purge":
            open_.remove(index)
            purged.add(index)
    return log, answered, open_ | purged


@settings(max_examples=many(200), deadline=None)
@given(actions)
def test_numbers_are_those_of_an_offline_recount(script: list[tuple[str, int, bool]]) -> None:
    log, answered, dead = _filled(script)
    if not log.records:
        return
    log.handle()
    assert sorted(answer.row_index for answer in log.answers) == sorted(answered)
    assert (log.lane.total, log.lane.dead_letters) == (len(answered), len(dead))
    p = float(score(model().bundle, np.array([[0.5, np.nan, -1]], np.float32))[0])
    total = 0.0
    for _ in answered:
        total += p
    assert log.lane.probability_fail_sum == total


@settings(max_examples=many(200), deadline=None)
@given(actions, st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=8))
def test_any_cutting_and_any_reading_again_gives_the_same_state_and_marks(
    script: list[tuple[str, int, bool]], restarts: list[tuple[int, int]]
) -> None:
    whole, _, _ = _filled(script)
    if not whole.records:
        return
    whole.handle()
    cut = Log(records=whole.records)
    reached = 0
    for back, size in [*restarts, *[(0, 7)] * len(whole.records)]:
        start = max(0, reached - back)  # a worker that restarts may read again what it has done, never skip anything
        if start < len(cut.records):
            cut.handle(start, min(start + size, len(cut.records)))
            reached = max(reached, min(start + size, len(cut.records)))
    assert reached == len(cut.records)
    assert cut.table[stats_key(RUN, 1, 0)] == whole.table[stats_key(RUN, 1, 0)]
    assert cut.marks == whole.marks
    assert [answer.row_index for answer in cut.answers] == [answer.row_index for answer in whole.answers]
