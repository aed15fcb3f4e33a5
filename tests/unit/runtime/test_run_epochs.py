"""What of `run-positions.v1` is believed."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.kafka.reading import partition_for
from runtime.run_epochs import Known, RunEpochs
from runtime.run_owners import EPOCHS_MAX
from schemas.messages import encode
from schemas.tasks import Marks, RunPosition

PARTITIONS = 4
RUN = "sim-task-1"
HOME = partition_for(RUN.encode(), PARTITIONS)


def epochs() -> RunEpochs:
    return RunEpochs({}, partitions=PARTITIONS)


def position(kind: str = "position", **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "run_id": RUN,
        "attempt": 1,
        "epoch": 0,
        "owner": "o",
        "acknowledged": [0],
        "rows_per_second": None,
    }
    return encode(RunPosition(kind=kind, paused=False, written_at=datetime(2026, 1, 1, tzinfo=UTC), **fields | changes))  # type: ignore[arg-type]


def record(offset: int, value: bytes | None, *, key: bytes | None = RUN.encode(), partition: int = HOME) -> Any:
    return SimpleNamespace(key=key, value=value, offset=offset, partition=partition)


def test_the_offset_of_an_ownership_record_is_the_epoch() -> None:
    known = epochs()
    assert known.known(RUN) is None
    assert not known.counts(RUN, 1, 0)
    known.take(record(7, position("ownership")))
    assert known.known(RUN) == Known(1, 7)
    assert known.counts(RUN, 1, 7)
    assert known.counts(RUN, 1, 3)
    assert not known.counts(RUN, 1, 8)
    assert not known.counts(RUN, 2, 7)


def test_rows_have_no_epoch_below_that_under_which_their_attempt_began() -> None:
    known = epochs()
    known.take(record(7, position("ownership")))
    known.take(record(9, position(epoch=7)))
    known.take(record(12, position("ownership", epoch=7)))  # taken over
    assert [epoch for epoch in range(14) if known.sends(RUN, 1, epoch)] == [7, 12]  # nobody had those between
    known.take(record(20, position("ownership", attempt=2, epoch=12)))
    assert [epoch for epoch in range(30) if known.sends(RUN, 2, epoch)] == [20]
    assert [epoch for epoch in range(30) if known.sends(RUN, 1, epoch)] == [7, 12]


def test_of_a_run_whose_beginning_is_compacted_lower_epochs_are_believed() -> None:
    known = epochs()
    known.take(record(90, position(attempt=3, epoch=41)))
    assert known.sends(RUN, 3, 30)
    assert known.sends(RUN, 2, 30)
    assert not known.sends(RUN, 3, 42)


def test_after_compaction_a_later_position_tells_the_epoch() -> None:
    known = epochs()
    known.take(record(90, position(attempt=3, epoch=41)))
    assert known.known(RUN) == Known(3, 41)


def test_what_is_known_never_goes_back() -> None:
    known = epochs()
    known.take(record(90, position(attempt=3, epoch=41)))
    known.take(record(91, position(attempt=2, epoch=12)))
    assert known.known(RUN) == Known(3, 41)


def test_the_end_of_a_run_leaves_its_epochs_known() -> None:
    known = epochs()
    known.take(record(4, position("ownership")))
    known.take(record(9, position(epoch=4, ended=True)))
    known.take(record(10, None))
    assert known.counts(RUN, 1, 4)


def test_a_run_that_an_older_producer_ended_has_epochs_below_its_tombstone() -> None:
    known = epochs()
    known.take(record(10, None))
    assert known.counts(RUN, 2, 9)
    assert not known.counts(RUN, 1, 10)
    assert not known.counts(RUN, 1, 2**60)


@given(
    st.sampled_from(
        [
            record(5, position(epoch=6)),
            record(5, position("ownership", attempt=7)),
            record(5, position("ownership"), partition=(HOME + 1) % PARTITIONS),
            record(5, position("ownership", run_id="another")),
            record(5, position("ownership"), key=b"another", partition=partition_for(b"another", PARTITIONS)),
            record(5, position(epoch=2**62)),
            record(5, b""),
            record(5, b"\xff"),
            record(5, b"[" * 100_000),
            record(5, position("ownership"), key=None, partition=0),
        ]
    )
)
def test_a_record_that_cannot_be_what_it_says_teaches_nothing(forged: Any) -> None:
    known = epochs()
    known.take(forged)
    assert known.known(RUN) is None
    assert known.known("another") is None


def test_an_attempt_that_could_not_begin_takes_no_epoch_from_the_one_before_it() -> None:
    known = epochs()
    known.take(record(7, position("ownership")))
    known.take(record(9, position(attempt=2, epoch=7, ended=True)))  # refused: it never had an epoch of its own
    assert known.sends(RUN, 1, 7)


def test_of_epochs_below_the_first_that_is_known_only_the_bounds_count() -> None:
    known = epochs()
    known.take(record(40, position("ownership", epoch=12)))  # a takeover: what was before it is compacted
    known.take(record(50, position("ownership", attempt=2, epoch=40)))
    assert known.sends(RUN, 1, 12)
    assert [epoch for epoch in range(39, 60) if known.sends(RUN, 1, epoch)] == [39, 40]
    assert [epoch for epoch in range(60) if epoch > 40 and known.sends(RUN, 2, epoch)] == [50]


def test_what_is_remembered_of_producers_is_bounded_and_older_ones_are_believed_as_if_compacted() -> None:
    known = epochs()
    for offset in range(0, 2 * EPOCHS_MAX, 2):
        known.take(record(offset, position("ownership", epoch=max(0, offset - 2))))
    known.take(record(2 * EPOCHS_MAX, position("ownership", epoch=2 * EPOCHS_MAX - 2)))
    assert known.sends(RUN, 1, 0)
    assert known.sends(RUN, 1, 2 * EPOCHS_MAX - 2)
    assert not known.sends(RUN, 1, 2 * EPOCHS_MAX - 1)


def test_each_producer_s_word_on_markers_stays_known_when_another_takes_over() -> None:
    known = epochs()
    known.take(record(7, position("ownership", marks=Marks())))
    known.take(record(8, position(epoch=7, marks=Marks(ending="STOPPED", ends=[30]))))
    known.take(record(9, position("ownership", epoch=7, marks=Marks())))
    known.take(record(10, position(epoch=9)))  # one of an earlier version took over
    assert known.marks(RUN, 7) == Marks(ending="STOPPED", ends=[30])
    assert known.marks(RUN, 9) is None
    assert known.marks(RUN, 8) is None
    assert known.marks("other", 7) is None
