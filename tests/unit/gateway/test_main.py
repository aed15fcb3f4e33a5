import asyncio

import httpx
import pytest

from gateway.__main__ import KEEP_ALIVE_SECONDS, _pass_on


async def test_a_projector_that_is_gone_ends_the_process_however_it_went() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def failing() -> None:
        raise ValueError("a bug")

    for work, cancel, error in ((forever(), True, RuntimeError), (failing(), False, ValueError)):
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(work)
        await asyncio.sleep(0)
        if cancel:
            task.cancel()
        await asyncio.wait([task])
        _pass_on(task, ended)
        with pytest.raises(error):
            await ended


def test_an_idle_connection_stays_open_for_longer_than_the_client_keeps_it() -> None:
    kept = httpx.Limits().keepalive_expiry
    assert kept is not None
    assert kept * 2 < KEEP_ALIVE_SECONDS
