"""Who waits for news of a task or run is woken when the view has some: one Redis subscription per process, fanned out
here.

An announcement may be lost with its connection; so everyone is woken after each new connection, and waits with a bound.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from storage.view.redis_store import RedisStore, RedisUnavailable

log = structlog.get_logger()

RETRY_SECONDS = 0.5
POLL_SECONDS = 5.0


class Changes:
    """The announcements of one process."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self._versions: dict[str, int] = {}
        self.closed = False

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                async with self._store.subscription() as subscription:
                    self._announce(list(self._listeners))
                    while True:
                        self._announce(await subscription(POLL_SECONDS))
            except RedisUnavailable as error:
                log.warning("no announcements", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    @contextmanager
    def listen(self, name: str) -> Iterator[asyncio.Event]:
        """An event that is set at every change of the task or run; clear it before reading, then wait."""
        event = asyncio.Event()
        self._listeners.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            listeners = self._listeners[name]
            listeners.discard(event)
            if not listeners:
                del self._listeners[name]
                self._versions.pop(name, None)

    def version(self, name: str) -> int:
        """Grows with every announcement; what is read after taking it contains all that was announced before."""
        return self._versions.get(name, 0)

    def close(self) -> None:
        """End all waiting: event streams finish, their clients resume elsewhere."""
        self.closed = True
        self._announce(list(self._listeners))

    def _announce(self, names: list[str]) -> None:
        for name in names:
            if listeners := self._listeners.get(name):
                self._versions[name] = self._versions.get(name, 0) + 1
                for event in listeners:
                    event.set()
