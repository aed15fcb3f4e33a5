"""What is out and not scored is counted in rows, however they were cut into batches."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from producer.sending.backlog import Backlog

batches = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 400), st.integers(1, 5)), max_size=30)


@given(batches, st.dictionaries(st.integers(0, 3), st.integers(0, 80)))
def test_rows_count_until_the_position_has_passed_all_their_batch(
    sent: list[tuple[int, int, int]], positions: dict[int, int]
) -> None:
    backlog, ends = Backlog({}, 1_000_000), dict.fromkeys(range(3), 0)
    unscored = 0
    for partition, rows, records in sent:
        ends[partition] += records
        backlog.confirmed(partition, ends[partition], rows)
        unscored += rows * (ends[partition] > positions.get(partition, 0))
    assert backlog.rows == sum(rows for _, rows, _ in sent)
    backlog.scored(positions)
    assert unscored <= backlog.rows <= unscored + 3 * 1000
    backlog.scored(ends)
    assert backlog.rows == 0


async def test_sending_waits_only_while_too_many_rows_are_unscored() -> None:
    backlog = Backlog({}, 100)
    answers = iter([{0: 1}, {0: 1}, {0: 2}])

    async def positions() -> dict[int, int]:
        return next(answers)

    backlog._positions = positions  # type: ignore[method-assign]
    backlog.confirmed(0, 1, 99)
    async with asyncio.timeout(0.01):
        await backlog.room(paced=False)
    backlog.confirmed(0, 2, 1000)
    assert backlog.full(paced=False)
    await backlog.room(paced=False)
    assert backlog.rows == 0
    unbounded = Backlog({}, 0)
    unbounded.confirmed(0, 1, 10**9)
    assert not unbounded.full(paced=False)


def test_waiting_at_full_speed_is_not_being_stuck() -> None:
    now = 100.0
    backlog = Backlog({}, 100, clock=lambda: now)
    now += 60
    backlog.confirmed(0, 1, 1000)
    backlog.confirmed(0, 2, 1000)
    assert backlog.full(paced=False)
    assert not backlog.stuck(paced=False)
    now += 0.9
    backlog.scored({0: 1})
    now += 0.9
    assert backlog.full(paced=False)
    assert not backlog.stuck(paced=False)
    now += 0.2
    assert backlog.stuck(paced=False)
    backlog.scored({0: 2})
    assert not backlog.stuck(paced=False)


def test_a_run_with_a_pace_does_not_wait_for_those_without() -> None:
    backlog = Backlog({}, 100)
    backlog.confirmed(0, 1, 999)
    assert backlog.full(paced=False)
    assert not backlog.full(paced=True)
    backlog.confirmed(0, 2, 1)
    assert backlog.full(paced=True)
