"""Whether the storage is there, asked now and then beside all else: what `/ready` says of it."""

import asyncio
import time
from collections.abc import Callable

from storage.errors import StorageUnavailable
from storage.objects.files import Storage

INTERVAL_SECONDS = 1.0
SILENCE_SECONDS = 5.0


class Presence:
    """`run` looks until cancelled; a look may hang with the storage, which is then said as well."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage, self._clock = storage, clock
        self._problem = ""
        self._answered_at = clock()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self._storage.check)
                self._problem = ""
            except StorageUnavailable as error:
                self._problem = str(error)
            self._answered_at = self._clock()
            await asyncio.sleep(INTERVAL_SECONDS)

    def lost(self) -> dict[str, str]:
        """`problems` of a storage that was there before. For processes that only wait for it: one that starts without
        it starts all the same, and whoever starts it need not start it again and again."""
        return self.problems() if self._storage.id is not None else {}

    def problems(self) -> dict[str, str]:
        """What is wrong with the storage; empty when it answers."""
        silent = self._clock() - self._answered_at
        if silent > INTERVAL_SECONDS + SILENCE_SECONDS:
            return {"storage": f"no answer for {silent:.0f} s"}
        return {"storage": self._problem} if self._problem else {}
