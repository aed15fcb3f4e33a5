from dataclasses import dataclass, replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows.identity import Identity
from schemas.ids import prediction_id
from schemas.messages import LaneStats, Prediction, RunEnd, RunSkip, Source, Verdict, encode
from stream_processor.batch.count import (
    ADMITTED,
    SKIPPED_MAX,
    admit,
    count,
    count_dead_letter,
    end,
    new_lane,
    next_index,
    pass_over,
)
from tests.support.examples import many
from tests.unit.stream_processor.toys import NOW

RUN = "run-1"


@dataclass(frozen=True)
class Sent:
    """A row as it lies in the log."""

    index: int
    epoch: int = 1
    bad: bool = False
    redriven: bool = False
    owned: bool = True
    lane: int = 0
    lanes: int = 1


Event = Sent | RunEnd | RunSkip


def probability(index: int) -> float:
    return (index * 0.137) % 1.0


def label(index: int) -> Verdict | None:
    return (None, "PASS", "FAIL")[index % 3]


def prediction(index: int) -> Prediction:
    p = probability(index)
    return Prediction(
        prediction_id=prediction_id(RUN, 1, index),
        run_id=RUN,
        attempt=1,
        lane=0,
        row_index=index,
        sample_id=f"SAMPLE_{index}",
        row_timestamp=None,
        prediction="FAIL" if p >= 0.5 else "PASS",
        confidence=max(p, 1 - p),
        probability_fail=p,
        threshold=0.5,
        model_version="m",
        top_features={},
        top_feature_values={},
        reasons="none",
        label=label(index),
        scored_at=NOW,
        source=Source("rows.v1", 0, index),
    )


def run_end(end_index: int, epoch: int = 1, ending: str = "COMPLETED", lane: int = 0, lanes: int = 1) -> RunEnd:
    return RunEnd(run_id=RUN, attempt=1, epoch=epoch, lane=lane, lanes=lanes, end_index=end_index, ending=ending)  # type: ignore[arg-type]


def run_skip(from_index: int, to_index: int, epoch: int = 1, lane: int = 0, lanes: int = 1) -> RunSkip:
    return RunSkip(run_id=RUN, attempt=1, epoch=epoch, lane=lane, lanes=lanes, from_index=from_index, to_index=to_index)


def fold(log: list[Event], lane: LaneStats | None = None, first_offset: int = 0) -> tuple[LaneStats, list[str]]:
    """Fold the events, which stand at consecutive offsets; returns what each came to, too."""
    lane = lane or new_lane(Identity(RUN, 1, 0, 1, 0), 0)
    happened: list[str] = []
    for offset, event in enumerate(log, first_offset):
        if isinstance(event, RunEnd):
            happened.append("ended" if end(lane, event, offset) else "ignored")
        elif isinstance(event, RunSkip):
            happened.append("skipped" if pass_over(lane, event, offset) else "ignored")
        else:
            happened.append(take(lane, event, offset))
    return lane, happened


def take(lane: LaneStats, sent: Sent, offset: int) -> str:
    letter = "0-0" if sent.redriven else None
    identity = Identity(RUN, 1, sent.lane, sent.lanes, sent.index, sent.epoch, owned=sent.owned, redrives=letter)
    admission = admit(lane, identity, offset)
    if admission in ADMITTED and sent.bad:
        count_dead_letter(lane, admission, sent.index)
        return f"dead:{admission}"
    if admission in ADMITTED:
        count(lane, admission, prediction(sent.index))
    return admission


def test_a_record_read_again_is_skipped() -> None:
    lane, _ = fold([Sent(0), Sent(1)])
    before = encode(lane)
    assert fold([Sent(0), Sent(1)], lane)[1] == ["read_again", "read_again"]
    assert encode(lane) == before


def test_a_row_sent_again_is_not_counted() -> None:
    lane, happened = fold([Sent(0), Sent(1), Sent(0), Sent(1), Sent(2)])
    assert happened == ["new", "new", "sent_again", "sent_again", "new"]
    assert lane.total == 3


def test_a_row_of_a_stale_producer_is_not_counted() -> None:
    lane, happened = fold([Sent(0, epoch=5), Sent(1, epoch=4), Sent(1, epoch=5)])
    assert happened == ["new", "stale_epoch", "new"]
    assert lane.total == 2


def test_a_row_behind_a_hole_waits_for_the_one_that_is_missing() -> None:
    lane, happened = fold([Sent(0), Sent(2), Sent(3), Sent(1), Sent(2)])
    assert happened == ["new", "ahead", "ahead", "new", "new"]
    assert lane.total == 3


def test_the_first_row_of_a_lane_has_the_lanes_number() -> None:
    lane = new_lane(Identity(RUN, 1, 2, 4, 2), 0)
    _, happened = fold([Sent(6, lane=2, lanes=4), Sent(2, lane=2, lanes=4), Sent(6, lane=2, lanes=4)], lane)
    assert happened == ["ahead", "new", "new"]


def test_rows_of_other_systems_may_have_holes() -> None:
    lane, happened = fold([Sent(10, epoch=0, owned=False), Sent(30, epoch=0, owned=False)])
    assert happened == ["new", "new"]
    assert lane.total == 2


def test_a_dead_letter_is_remembered_and_a_redriven_row_counts_once() -> None:
    log = [
        Sent(0),
        Sent(1, bad=True),
        Sent(2),
        Sent(1, bad=True, redriven=True),
        Sent(1, redriven=True),
        Sent(1, redriven=True),
        Sent(3),
    ]
    lane, happened = fold(log)  # type: ignore[arg-type]
    assert happened == ["new", "dead:new", "new", "dead:redriven", "redriven", "not_skipped", "new"]
    assert (lane.total, lane.dead_letters, lane.skipped, lane.last_row_index) == (4, 0, [], 3)
    assert lane.last is not None
    assert lane.last.row_index == 3


def test_a_redriven_row_counts_after_the_end_and_whatever_its_epoch() -> None:
    lane, happened = fold([Sent(0, epoch=9, bad=True), run_end(1, epoch=9), Sent(0, epoch=2, redriven=True)])
    assert happened == ["dead:new", "ended", "redriven"]
    assert (lane.total, lane.finished) == (1, "COMPLETED")


def test_a_dead_letter_sent_again_stays_one() -> None:
    lane, happened = fold([Sent(0, bad=True), Sent(0, bad=True), Sent(1)])
    assert happened == ["dead:new", "sent_again", "new"]
    assert lane.dead_letters == 1


def test_the_remembered_dead_letters_are_bounded() -> None:
    lane, _ = fold([Sent(i, bad=True) for i in range(SKIPPED_MAX + 5)])
    assert lane.skipped == list(range(5, SKIPPED_MAX + 5))
    assert lane.dead_letters == SKIPPED_MAX + 5


def test_an_end_waits_for_the_rows_before_it() -> None:
    lane, happened = fold([Sent(0), run_end(2), Sent(1), run_end(2), run_end(2)])
    assert happened == ["new", "ignored", "new", "ended", "ignored"]
    assert lane.finished == "COMPLETED"


def test_a_successor_may_end_before_what_was_counted_and_an_empty_lane_ends_too() -> None:
    assert fold([Sent(0), Sent(1), run_end(1, epoch=2, ending="STOPPED")])[0].finished == "STOPPED"
    assert fold([run_end(0)])[0].finished == "COMPLETED"


def test_after_the_end_only_a_newer_producer_goes_on() -> None:
    lane, happened = fold(
        [Sent(0), run_end(1, ending="STOPPED"), Sent(1), Sent(1, epoch=2), run_end(2, epoch=2), run_end(2, epoch=1)]
    )
    assert happened == ["new", "ended", "after_end", "new", "ended", "ignored"]
    assert (lane.total, lane.finished) == (2, "COMPLETED")


@pytest.mark.parametrize(
    ("lanes", "lane", "to_index", "passed_over", "following"),
    [(1, 0, 10, 8, 10), (4, 1, 10, 1, 13), (4, 1, 9, 0, 9), (4, 1, 14, 2, 17)],
)
def test_rows_passed_over_are_counted_and_the_lane_goes_on_behind_them(
    lanes: int, lane: int, to_index: int, passed_over: int, following: int
) -> None:
    stats = new_lane(Identity(RUN, 1, lane, lanes, lane), 0)
    rows = [Sent(lane + i * lanes, lane=lane, lanes=lanes) for i in range(2)]
    fold([*rows, run_skip(lane + 2 * lanes, to_index, lane=lane, lanes=lanes)], stats)
    assert (stats.passed_over, next_index(stats)) == (passed_over, following)


def test_a_row_lost_before_a_skip_does_not_count_as_passed_over() -> None:
    lane, happened = fold([Sent(0), run_skip(3, 10), Sent(10), Sent(1), Sent(2), run_skip(3, 10), Sent(10)])
    assert happened == ["new", "ignored", "ahead", "new", "new", "skipped", "new"]
    assert (lane.total, lane.passed_over) == (4, 7)


def test_a_skip_of_a_successor_that_knows_of_fewer_rows_passes_over_only_what_is_not_counted() -> None:
    lane, happened = fold(
        [Sent(0), Sent(1), Sent(2), Sent(1, epoch=2), run_skip(2, 10, epoch=2), run_skip(2, 10, epoch=2)]
    )
    assert happened == ["new", "new", "new", "sent_again", "skipped", "ignored"]
    assert (lane.total, lane.passed_over, next_index(lane)) == (3, 7, 10)


def test_sums_are_those_of_adding_row_by_row() -> None:
    lane, _ = fold([Sent(i) for i in range(200)])
    confidence = fail = 0.0
    for i in range(200):
        confidence += max(probability(i), 1 - probability(i))
        fail += probability(i)
    assert (lane.confidence_sum, lane.probability_fail_sum) == (confidence, fail)
    assert sum(lane.histogram) == lane.total == lane.pass_count + lane.fail_count == 200
    confusion = lane.confusion
    assert confusion.tp + confusion.fp + confusion.tn + confusion.fn == sum(label(i) is not None for i in range(200))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Event], int, set[int]]:
    """A run of `rows` rows as producers that crash, lose batches, wake up and send again may leave it in the log."""
    rows = draw(st.integers(0, 25))
    bad = draw(st.sets(st.integers(0, max(rows - 1, 0)), max_size=5)) if rows else set()
    log: list[Event] = []
    known = 0  # the contiguous acknowledged prefix that a successor may know of
    reached = 0
    producers = draw(st.integers(1, 4))
    for epoch in range(1, producers + 1):
        start = draw(st.integers(0, known))
        index, lost = start, False
        last = epoch == producers
        stop = rows if last else draw(st.integers(start, rows))
        while index < stop:
            if not last and draw(st.integers(0, 9)) == 0:
                lost = True  # the broker never got this one
            else:
                log.append(Sent(index, epoch, index in bad))
                if not lost:
                    reached = max(reached, index + 1)
            if epoch > 1 and rows and draw(st.integers(0, 4)) == 0:
                stale = draw(st.integers(0, rows - 1))
                log.append(Sent(stale, draw(st.integers(1, epoch - 1)), stale in bad))
            index += 1
        if draw(st.booleans()) and log:
            log.append(draw(st.sampled_from(log)))
        if not last and draw(st.booleans()):
            log.append(run_end(draw(st.integers(0, rows)) if lost else stop, epoch, "STOPPED"))
        known = reached
    log.append(run_end(rows, producers))
    return log, rows, bad


@given(histories())
@settings(max_examples=many(300), deadline=None)
def test_however_producers_crash_every_row_is_counted_exactly_once(history: tuple[list[Event], int, set[int]]) -> None:
    log, rows, bad = history
    lane, _ = fold(log)
    good = [i for i in range(rows) if i not in bad]
    assert (lane.total, lane.dead_letters, lane.skipped) == (len(good), len(bad), sorted(bad))
    assert lane.last_row_index == rows - 1
    assert lane.finished == "COMPLETED"
    confidence = 0.0
    for i in good:
        confidence += max(probability(i), 1 - probability(i))
    assert lane.confidence_sum == confidence


@given(histories(), st.lists(st.tuples(st.integers(0, 200), st.integers(1, 40)), max_size=8))
@settings(max_examples=many(300), deadline=None)
def test_any_batching_and_any_reading_again_gives_the_same_bits(
    history: tuple[list[Event], int, set[int]], restarts: list[tuple[int, int]]
) -> None:
    log = history[0]
    redriven = [replace(event, redriven=True, bad=False) for event in log if isinstance(event, Sent) and event.bad][:3]
    log = [*log, *redriven, *redriven[:1]]
    expected = encode(fold(list(log))[0])
    stored: bytes | None = None
    reached = 0
    for back, size in [*restarts, (0, len(log)), (0, len(log))]:
        start = max(0, reached - back)  # a position may be older than the states, never newer
        lane = msgspec.json.decode(stored, type=LaneStats) if stored else None
        stored = encode(fold(list(log[start : start + size]), lane, start)[0])
        reached = max(reached, min(start + size, len(log)))
        if reached < len(log) and (back, size) == (0, len(log)):
            stored = encode(fold(list(log[reached:]), msgspec.json.decode(stored, type=LaneStats), reached)[0])
            reached = len(log)
    assert stored == expected
