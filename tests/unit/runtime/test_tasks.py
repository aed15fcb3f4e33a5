"""Ending tasks for certain."""

import asyncio
import contextlib

import pytest

from runtime.tasks import cancel_all, stop_client


async def test_a_task_that_loses_its_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.tasks.AGAIN_SECONDS", 0.01)

    async def deaf() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def failing() -> None:
        raise ValueError("not raised")

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(failing())]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await cancel_all(*tasks)
    assert tasks[0].cancelled()
    assert tasks[1].done()


async def test_a_cancellation_is_not_lost_in_a_client_that_swallows_it() -> None:
    """As aiokafka's client does: it suppresses the cancellation of its own task, and with it the caller's."""
    stopping, stopped = asyncio.Event(), asyncio.Event()

    class Client:
        async def stop(self) -> None:
            stopping.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
            stopped.set()

    went_on = False

    async def work() -> None:
        nonlocal went_on
        await stop_client(Client())
        went_on = True

    task = asyncio.create_task(work())
    await stopping.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert not went_on
    await stopped.wait()


async def test_a_client_that_cancels_its_own_stop_does_not_end_its_caller() -> None:
    """As aiokafka's consumer does when its broker goes while it leaves the group."""

    class Client:
        async def stop(self) -> None:
            raise asyncio.CancelledError

    await stop_client(Client())


async def test_a_caller_that_is_cancelled_together_with_the_stop_is_cancelled() -> None:
    """As at the end of a process, when everything is."""
    begun = asyncio.Event()

    class Client:
        async def stop(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stop_client(Client()))
    before = asyncio.all_tasks()
    await begun.wait()
    for one in asyncio.all_tasks() - before:
        one.cancel()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
