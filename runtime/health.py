"""`/live`, `/ready`, `/metrics` of a process without an HTTP interface of its own, on loopback unless told
otherwise."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.network import say_if_open

METHODS = (b"GET", b"HEAD")
NOT_ALLOWED = ("405 Method Not Allowed", "application/json", b'{"detail":"Method Not Allowed"}')
Check = Callable[[], dict[str, str]]
"""Returns what is wrong, by part; empty when all is well. Must not block."""


@asynccontextmanager
async def health_server(host: str, port: int, *, live: Check, ready: Check) -> AsyncIterator[int]:
    """Serve until the block is left; yields the bound port (0 asks for a free one). 200 or 503, with the problems as
    JSON."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                request = await reader.readline()
            method, target = request.split(b" ")[:2] if request.count(b" ") >= 2 else (b"GET", b"")
            status, content_type, body = _page(target.split(b"?")[0], live, ready) if method in METHODS else NOT_ALLOWED
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nCache-Control:"
                " no-store\r\n"
            )
            allow = "" if method in METHODS else "Allow: GET, HEAD\r\n"
            writer.write(f"{head}{allow}Connection: close\r\n\r\n".encode() + (b"" if method == b"HEAD" else body))
            await writer.drain()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, host, port)
    async with server:
        say_if_open(host, port, "the …_HEALTH_HOST of this process")
        yield server.sockets[0].getsockname()[1]


def _page(path: bytes, live: Check, ready: Check) -> tuple[str, str, bytes]:
    if path == b"/metrics":
        return "200 OK", CONTENT_TYPE_LATEST, generate_latest()
    if path not in (b"/live", b"/ready"):
        return "404 Not Found", "application/json", b'{"detail":"Not Found"}'
    problems = (live if path == b"/live" else ready)()
    body = json.dumps({"status": "unavailable" if problems else "ok", "problems": problems}).encode()
    return ("503 Service Unavailable" if problems else "200 OK"), "application/json", body
