"""End asyncio work for certain, where a library swallows cancellations."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

AGAIN_SECONDS = 5.0
"""A cancelled task that goes on for this long has lost its cancellation, or its cleanup waits for a part that is
away."""


class Stoppable(Protocol):
    """A client of aiokafka."""

    def stop(self) -> Awaitable[None]:
        """Say goodbye and close the connections."""


async def stop_client(client: Stoppable) -> None:
    """Stop a consumer or producer of aiokafka so that a cancellation (a timeout, too) of the caller is not lost.

    `AIOKafkaClient.close` swallows a cancellation that arrives while it waits; the caller would go on as if it had
    never been asked to end. When cancelled, the client is stopped in the background. A client that cancels its own stop
    counts as stopped."""
    caller = asyncio.current_task()
    asked_before = caller.cancelling() if caller else 0
    stopping = asyncio.ensure_future(client.stop())
    try:
        await asyncio.shield(stopping)
    except asyncio.CancelledError:
        if not stopping.cancelled() or (caller and caller.cancelling() > asked_before):
            raise
        # else nobody asked us to end: a consumer whose broker has just gone cancels its own stop


async def cancel_all(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel the tasks and wait until each of them has ended; asks again while one does not. Their exceptions are not
    raised."""
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()
