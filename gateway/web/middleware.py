"""What surrounds every request: its time is measured, its headers and body are bounded."""

import asyncio
import time
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Stalled, TooLarge, headers_too_large, too_large
from gateway.metrics import REQUEST_SECONDS, REQUESTS, REQUESTS_OPEN
from gateway.web.operations import route_path

MAX_HEADER_BYTES = 32 << 10
SLOWEST_BYTES_PER_SECOND = 100
"""A body that trickles more slowly, over the time after which one that stops is given up, is given up as well."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other is counted as one, so that the number of series stays small."""


class RequestTimes:
    """Observes each request's duration by route template, so that the number of series stays small."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        REQUESTS_OPEN.inc()
        try:
            await self._app(scope, receive, sending)
        finally:
            REQUESTS_OPEN.dec()
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            REQUESTS.labels(method, route, status).inc()
            REQUEST_SECONDS.labels(method, route).observe(time.perf_counter() - started)


class BodyLimit:
    """Refuses headers and bodies above a limit, an announced length before it is read, and a body that stops coming or
    trickles.

    `without`: paths with limits of their own.
    """

    def __init__(self, app: ASGIApp, limit: int, without: Collection[str], stall_seconds: float) -> None:
        self._app, self._limit, self._without, self._stall_seconds = app, limit, without, stall_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._choose(scope)(scope, self._bounded(scope, receive), send)

    def _choose(self, scope: Scope) -> ASGIApp:
        """The application, or the refusal that stands for it."""
        if scope["type"] != "http":
            return self._app
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            return headers_too_large(MAX_HEADER_BYTES)
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if route_path(scope) not in self._without and length.isdigit() and int(length) > self._limit:
            return too_large(TooLarge(self._limit))
        return self._app

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        if scope["type"] != "http":
            return receive
        limit = None if route_path(scope) in self._without else self._limit
        received, complete = 0, False
        waited, had = 0.0, 0  # for the client, and what had come by then; not how long the application takes

        async def receiving() -> Message:
            nonlocal received, complete, waited, had
            if complete:  # only the client's leaving is left to hear of
                return await receive()
            asked = time.monotonic()
            try:
                async with asyncio.timeout(self._stall_seconds):
                    message = await receive()
            except TimeoutError:
                raise Stalled(self._stall_seconds) from None
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if limit is not None and received > limit:
                raise TooLarge(limit)
            waited += time.monotonic() - asked
            if waited > self._stall_seconds:
                if not complete and received - had < self._stall_seconds * SLOWEST_BYTES_PER_SECOND:
                    raise Stalled(self._stall_seconds)
                waited, had = 0.0, received
            return message

        return receiving
