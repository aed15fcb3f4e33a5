import asyncio

import pytest

from gateway.__main__ import _pass_on


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
