"""The waiting that all other tests lean on."""

import pytest

from tests.support.waiting import eventually, eventually_sync


async def test_eventually_returns_the_first_true_value() -> None:
    values = iter([0, None, 7])
    assert await eventually(lambda: next(values)) == 7


async def test_eventually_awaits_an_async_check_and_outlasts_its_assertions() -> None:
    tries = 0

    async def check() -> bool:
        nonlocal tries
        tries += 1
        assert tries > 2, "too early"
        return True

    assert await eventually(check)


async def test_eventually_fails_at_its_bound_with_the_last_reason() -> None:
    def check() -> bool:
        raise AssertionError("no lamp is lit")

    with pytest.raises(AssertionError, match="no lamp is lit"):
        await eventually(check, timeout_seconds=0.01)


def test_eventually_sync_fails_at_its_bound() -> None:
    with pytest.raises(AssertionError, match="the door"):
        eventually_sync(lambda: False, timeout_seconds=0.01, message="the door")
