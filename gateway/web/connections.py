"""A client's connection is closed when nothing whole comes of it: idle, half a request, an answer that nobody takes;
and there is a bound.

uvicorn bounds only the wait behind an answer. Bodies that are being read are bounded in `gateway.web.middleware`; an
event stream or a download goes on as long as its client takes what is sent.
"""

import asyncio
import resource
from typing import Any

import structlog
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.errors import busy

log = structlog.get_logger()

HEAD_SECONDS = 20.0
"""From the first byte of a request to the end of its headers; also for a body that nobody wants."""
FIRST_SECONDS = 20.0
"""From the connection to its first byte. Later waits are as long as uvicorn's `timeout_keep_alive`."""
UNREAD_SECONDS = 60.0
"""How long a client may take nothing of what is sent to it."""
TICKS = 4
FILES_OF_OUR_OWN = 128
"""Files that the process needs beside its clients' connections."""
STALLED = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def connection_bound(wanted: int) -> int:
    """As many as are wanted, or as the system lets this process open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + FILES_OF_OUR_OWN
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    bound = wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - FILES_OF_OUR_OWN))
    if bound < wanted:
        log.warning(
            "fewer connections than set: the system allows this process too few open files",
            connections=bound,
            files=soft,
        )
    return bound


def guarded(
    most: int,
    *,
    head_seconds: float = HEAD_SECONDS,
    first_seconds: float = FIRST_SECONDS,
    unread_seconds: float = UNREAD_SECONDS,
) -> type[H11Protocol]:
    """The protocol of a connection of which there are at most so many; a request on one more is answered 503."""

    class Guarded(H11Protocol):
        """`_since`: since when a request, or the rest of one, is waited for; None while one is being answered."""

        _since: float | None
        _begun = False
        _unread_since: float | None = None
        _ticking: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > most:
                app: ASGIApp = busy(most)
                self.app = app
            if len(self.connections) > 2 * most:
                transport.abort()
                return
            self._since = self.loop.time()
            self._tick()

        def data_received(self, data: bytes) -> None:
            if not self._begun and not self._answering():
                self._begun, self._since = True, self.loop.time()
            super().data_received(data)
            if self._answering():
                self._begun, self._since = False, None

        def connection_lost(self, exc: Exception | None) -> None:
            if self._ticking is not None:
                self._ticking.cancel()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            self._unread_since = self.loop.time()
            super().pause_writing()

        def resume_writing(self) -> None:
            self._unread_since = None
            super().resume_writing()

        def _answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _tick(self) -> None:
            now = self.loop.time()
            if self._unread_since is not None and now - self._unread_since > unread_seconds:
                self.transport.abort()
                return
            if self._answering():
                self._since = None
            elif self._since is None:
                self._since = now
            elif now - self._since > (
                head_seconds if self._begun else first_seconds if self.cycle is None else float("inf")
            ):
                self._end()
                return
            self._ticking = self.loop.call_later(min(head_seconds, first_seconds, unread_seconds) / TICKS, self._tick)

        def _end(self) -> None:
            if self.transport.is_closing():
                return
            if self._begun and self.cycle is None:
                self.transport.write(STALLED)
            self.transport.close()

    return Guarded
