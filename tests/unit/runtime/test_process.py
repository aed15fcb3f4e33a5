"""What a process does while it is asked to stop."""

import asyncio

import pytest

from runtime.process import unless_stopped


async def test_work_is_done_unless_a_stop_comes_first() -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0)
        done.append(True)

    assert await unless_stopped(work(), asyncio.Event())
    assert done == [True]


async def test_a_stop_cancels_work_that_waits() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().call_soon(stopping.set)
    assert not await unless_stopped(asyncio.Event().wait(), stopping)


async def test_a_failure_of_the_work_is_raised() -> None:
    async def work() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await unless_stopped(work(), asyncio.Event())
