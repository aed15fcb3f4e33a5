"""HTTP as it is spoken, for all routes alike: HEAD where GET is, paths of `/api/` in any case, unknown query parameters
of `/v1` refused, redirects that a proxy cannot mislead, and no answer kept by a cache that may be another a moment
later.

Below a prefix a proxy may have left it on the path or taken it off: from here on it is there, and the routes know it as
`root_path`."""

import asyncio
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import errors
from gateway.known_query import UPLOADS
from gateway.web.operations import Operations, route_path

ANY_CASE, OWN = "/api/", "/v1/"
REDIRECTS = (307, 308)


class Spoken:
    """Stands before the routes. `document` gives the OpenAPI document; `cached`: below these paths are files that never
    change; `uploads` may have so many bytes, and `form_bytes` around them."""

    def __init__(
        self,
        app: ASGIApp,
        document: Callable[[], dict[str, Any]],
        uploads: Collection[str],
        upload_bytes: int,
        form_bytes: int,
        prefix: str = "",
        cached: tuple[str, ...] = (),
    ) -> None:
        self._app, self._document, self._prefix, self._cached = app, document, prefix, cached
        self._uploads, self._upload_bytes, self._form_bytes = uploads, upload_bytes, form_bytes

    @cached_property
    def operations(self) -> Operations:
        """Read when first needed, since routes are added after middleware."""
        return Operations(self._document())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        prefix = scope["root_path"] = self._prefix
        if prefix and not scope["path"].startswith(f"{prefix}/"):
            scope["path"] = prefix + scope["path"]
        path = route_path(scope)
        if path[: len(ANY_CASE)].lower() == ANY_CASE:
            path = self.operations.documented_case(path)
            scope["path"] = prefix + path
        answer = self._refusal(scope, path) or self._app
        sending = self._sending(send, keep=path.startswith(self._cached))
        if scope["method"] == "HEAD":
            await _head(answer, scope, receive, sending)
        else:
            await answer(scope, receive, sending)

    def _refusal(self, scope: Scope, path: str) -> ASGIApp | None:
        if path in self._uploads and self._announces_too_much(Headers(scope=scope)):
            return errors.too_large(errors.TooLarge(self._upload_bytes))
        query = scope["query_string"].decode("latin-1")
        if not query or not path.startswith(OWN) or (scope["method"] == "POST" and path in UPLOADS):
            return None
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        wrong = self.operations.wrong_query(method, path, query)
        return errors.invalid(path, wrong) if wrong else None

    def _announces_too_much(self, headers: Headers) -> bool:
        """Of who waits to be asked for the body; to read a little of it, as for others, would be to ask for all of
        it."""
        length = headers.get("content-length", "")
        waits = headers.get("expect", "").lower() == "100-continue"
        return waits and length.isdecimal() and int(length) > self._upload_bytes + self._form_bytes

    def _sending(self, send: Send, *, keep: bool) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                if not keep:
                    headers.setdefault("cache-control", "no-store")
                if message["status"] in REDIRECTS and "location" in headers:
                    headers["location"] = _relative(headers["location"])
            await send(message)

        return sending


def _relative(location: str) -> str:
    """Without scheme and host: those are what a proxy called us, not what the client calls it."""
    url = URL(location)
    return f"{url.path}?{url.query}" if url.query else url.path


async def _head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as to a GET, up to where the body would begin; what would make the body is ended there: a stream may have
    no end."""
    begun = asyncio.Event()

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})
            begun.set()

    scope["method"] = "GET"
    answering = asyncio.ensure_future(app(scope, receive, sending))
    waiting = asyncio.ensure_future(begun.wait())
    try:
        await asyncio.wait({answering, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not begun.is_set():
            await answering
    finally:
        scope["method"] = "HEAD"
        for task in (answering, waiting):
            task.cancel()
        await asyncio.gather(answering, waiting, return_exceptions=True)
