"""Rows go out on schedule: no drift, no bursts, whatever the clock does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.sending.pacing import MAX_DEBT_SECONDS, Pacer, Warmup, parse_rate

rates = st.floats(0.1, 10_000)
steps = st.lists(st.floats(0, 30), max_size=60)


def test_an_hour_at_one_row_a_second_has_no_drift() -> None:
    now = start = 1_234_567.891
    pacer, late, sent = Pacer(1.0, now), [], 0
    while sent < 3600:
        now += pacer.seconds_to_next(now) + 0.003  # each wake-up is late
        assert pacer.due(now) == 1
        late.append(now - (start + sent))
        pacer.sent(1)
        sent += 1
    assert max(late) < 0.004


def test_the_first_row_is_due_at_once() -> None:
    pacer = Pacer(0.1, 50.0)
    assert (pacer.due(50.0), pacer.seconds_to_next(50.0)) == (1, 0.0)
    pacer.sent(1)
    assert (pacer.due(50.0), pacer.seconds_to_next(50.0)) == (0, 10.0)


@given(rates, steps)
def test_never_more_rows_than_the_schedule_has(rate: float, steps: list[float]) -> None:
    now = 0.0
    pacer, sent = Pacer(rate, now), 0
    for step in steps:
        now += step
        due = pacer.due(now)
        pacer.sent(int(due))
        sent += int(due)
        assert sent <= now * rate * (1 + 1e-9) + 1 + 1e-6


@given(rates, st.lists(st.floats(0, MAX_DEBT_SECONDS * 0.9), max_size=60))
def test_short_stalls_are_caught_up(rate: float, steps: list[float]) -> None:
    now = 0.0
    pacer, sent = Pacer(rate, now), 0
    for step in steps:
        now += step
        pacer.sent(int(due := pacer.due(now)))
        sent += int(due)
        assert sent > now * rate - 1e-3


@given(rates, st.floats(MAX_DEBT_SECONDS + 1, 1e6))
def test_after_a_long_stall_there_is_no_burst(rate: float, stall: float) -> None:
    pacer = Pacer(rate, 0.0)
    assert pacer.due(stall) <= MAX_DEBT_SECONDS * rate + 2


@given(rates, steps)
def test_a_row_is_due_exactly_when_the_wait_is_over(rate: float, steps: list[float]) -> None:
    now = 0.0
    pacer = Pacer(rate, now)
    for step in steps:
        now += step
        if pacer.due(now):
            assert pacer.seconds_to_next(now) == pytest.approx(0, abs=1e-6)
            pacer.sent(int(pacer.due(now)))
        assert pacer.due(now + pacer.seconds_to_next(now) + 1e-6) >= 1


@given(rates, rates, st.integers(0, 50), st.floats(0, 1))
def test_after_a_change_the_next_row_keeps_the_new_distance_to_the_last(
    old: float, new: float, rows: int, fraction: float
) -> None:
    pacer = Pacer(old, 0.0)
    pacer.sent(rows)
    last = max(0, rows - 1) / old
    now = last + fraction / old
    pacer.change(new, now)
    assert pacer.seconds_to_next(now) == pytest.approx(max(0.0, last + 1 / new - now) if rows else 0.0, abs=1e-6)


def test_changes_in_a_row_keep_the_distance_to_the_last_row() -> None:
    pacer = Pacer(1.0, 0.0)
    pacer.sent(1)
    pacer.change(0.1, 0.2)
    pacer.change(2.0, 0.3)
    assert pacer.seconds_to_next(0.3) == pytest.approx(0.2)


def test_full_speed_waits_for_nothing_and_can_be_left() -> None:
    pacer = Pacer(None, 0.0)
    assert (pacer.due(0.0), pacer.seconds_to_next(0.0)) == (math.inf, 0.0)
    pacer.sent(100_000)
    pacer.change(1.0, 10.0)
    assert (pacer.due(10.0), pacer.due(11.0)) == (0, 1)


@pytest.mark.parametrize(
    ("value", "rate"),
    [(None, None), ("max", None), (1, 1.0), (0.1, 0.1), (10_000, 10_000.0), (1e-6, 1e-6), (1_000_000, 1e6)],
)
def test_rates_that_are_taken(value: object, rate: float | None) -> None:
    assert parse_rate(value) == rate


@pytest.mark.parametrize("value", [0, -1, 1e-7, 1_000_001, "fast", True, float("nan"), [1]])
def test_rates_that_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="rows_per_second"):
        parse_rate(value)


def test_time_that_a_run_stands_still_is_no_warm_up() -> None:
    warmup = Warmup(10)
    assert warmup.left(0) == 10
    warmup.begin(100)
    assert warmup.left(104) == 6
    warmup.hold(104)
    assert warmup.left(1000) == 6
    warmup.begin(2000)
    assert (warmup.left(2006), warmup.left(2007)) == (0, 0)
    assert Warmup(-5).left(0) == 0
