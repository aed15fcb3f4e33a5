"""How long the rows of replays stay in the storage: as long as a replay is not over, and then of the newest that ended
in each control partition.

Who owns the partition removes them, so nobody is about to read them: a replay that is tried again is taken off the list
first. Removing is safe to repeat, and what a crash leaves undone the next owner finds.
"""

import asyncio
from datetime import datetime

import structlog

from schemas.messages import TERMINAL
from schemas.tasks import TaskState
from storage.errors import StorageUnavailable
from storage.objects import replays
from storage.objects.files import Storage

log = structlog.get_logger()


class Spools:
    """The replays of one control partition that are over. `keep`: how many of them keep their rows."""

    def __init__(self, storage: Storage, keep: int) -> None:
        self._storage, self._keep = storage, keep
        self._ended: dict[str, datetime] = {}
        self._removing = asyncio.Lock()

    def over(self, task: TaskState) -> None:
        """Take note of a task that has ended, if it is a replay."""
        if task.kind == "run" and task.spec.get("replay") is not None and task.status in TERMINAL:
            self._ended[task.task_id] = task.finished_at or task.updated_at

    async def begins(self, run_id: str) -> None:
        """A run begins, perhaps again: behind this its rows stay."""
        self._ended.pop(run_id, None)
        async with self._removing:  # if they are just being removed they are gone, and not half there
            pass

    async def thin(self) -> None:
        """Remove the rows that need not be kept, and what killed processes left half done. A storage that is away is
        left alone."""
        ended = dict(self._ended)
        try:
            await asyncio.to_thread(self._storage.sweep)
            for run_id in await asyncio.to_thread(replays.surplus, self._storage, ended, self._keep):
                async with self._removing:
                    if run_id in self._ended:
                        await asyncio.to_thread(self._storage.remove, replays.folder(run_id))
                        log.info("the rows of a replay are removed", run_id=run_id)
        except StorageUnavailable as error:
            log.warning("the rows of old replays cannot be removed now", error=str(error))
