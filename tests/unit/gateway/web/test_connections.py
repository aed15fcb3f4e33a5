"""Raw sockets against a server with the guard: what is idle or half sent is closed, what is slow but honest goes on."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from devstack.ports import LOOPBACK, free_port
from gateway.web.connections import connection_bound, guarded
from tests.support.waiting import eventually

BOUND_SECONDS = 0.4
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def _length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def _events(request: Request) -> Response:
    async def events() -> AsyncIterator[bytes]:
        for number in range(8):
            yield b"data: %d\n\n" % number
            await asyncio.sleep(BOUND_SECONDS / 4)

    return StreamingResponse(events(), media_type="text/event-stream")


async def _endless(request: Request) -> Response:
    async def zeros() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 16)
            await asyncio.sleep(0)

    return StreamingResponse(zeros())


APP = Starlette(
    routes=[
        Route("/", _hello),
        Route("/length", _length, methods=["POST"]),
        Route("/events", _events),
        Route("/endless", _endless),
    ]
)


@asynccontextmanager
async def serving(most: int = 100, keep_alive: float = 5) -> AsyncIterator[int]:
    port = free_port()
    protocol = guarded(most, head_seconds=BOUND_SECONDS, first_seconds=BOUND_SECONDS, unread_seconds=BOUND_SECONDS)
    config = uvicorn.Config(APP, port=port, http=protocol, log_config=None, timeout_keep_alive=keep_alive)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    work = asyncio.create_task(server._serve())
    await eventually(lambda: server.started)
    try:
        yield port
    finally:
        server.should_exit = True
        await work


async def connect(port: int) -> Connection:
    return await asyncio.open_connection(LOOPBACK, port)


async def until_closed(connection: Connection, within: float = 5.0) -> bytes:
    async with asyncio.timeout(within):
        try:
            return await connection[0].read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST /length HTTP/1.1\r\nX-Long: " + b"x" * 1000], ids=repr
)
async def test_a_connection_without_a_whole_head_is_closed(sent: bytes) -> None:
    async with serving() as port:
        connection = await connect(port)
        with closing(connection[1]):
            connection[1].write(sent)
            said = await until_closed(connection)
            assert said.startswith(b"HTTP/1.1 408") if sent else said == b""


async def test_a_head_that_trickles_is_closed_however_steadily_it_comes() -> None:
    async with serving() as port:
        connection = await connect(port)
        with closing(connection[1]):
            closed = asyncio.create_task(until_closed(connection))
            connection[1].write(b"GET / HTTP/1.1\r\n")
            began = time.monotonic()
            while not closed.done():
                assert time.monotonic() - began < 5
                connection[1].write(b"X-A: b\r\n")
                await asyncio.wait([closed], timeout=0.05)
            said = await closed
            assert not said or said.startswith(
                b"HTTP/1.1 408"
            )  # what is written to a closed connection may take the answer away


async def test_a_second_request_that_is_never_finished_is_closed_too() -> None:
    async with serving() as port:
        connection = await connect(port)
        with closing(connection[1]):
            connection[1].write(GET)
            assert b"200 OK" in await connection[0].readuntil(b"hello")
            connection[1].write(GET[:20])
            await until_closed(connection)


async def test_a_body_that_nobody_wants_is_not_taken_for_ever() -> None:
    async with serving() as port:
        connection = await connect(port)
        with closing(connection[1]):
            closed = asyncio.create_task(until_closed(connection))
            connection[1].write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
            began = time.monotonic()
            while not closed.done():
                assert time.monotonic() - began < 5
                connection[1].write(b"x")
                await asyncio.wait([closed], timeout=0.05)
            assert (await closed).startswith(b"HTTP/1.1 404")


async def test_an_idle_connection_is_kept_for_the_next_request_and_closed_later() -> None:
    async with serving(keep_alive=1) as port:
        connection = await connect(port)
        with closing(connection[1]):
            for wait in (2 * BOUND_SECONDS, 0):
                connection[1].write(GET)
                assert b"200 OK" in await connection[0].readuntil(b"hello")
                await asyncio.sleep(wait)
            await until_closed(connection)


async def test_event_streams_and_slow_bodies_go_on() -> None:
    async with serving() as port:
        stream, body = await connect(port), await connect(port)
        with closing(stream[1]), closing(body[1]):
            stream[1].write(b"GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            body[1].write(b"POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n")
            for _ in range(10):
                body[1].write(b"x")
                await asyncio.sleep(BOUND_SECONDS / 4)
            assert (await until_closed(body)).endswith(b"10")
            assert b"data: 7" in await until_closed(stream)


async def test_a_client_that_takes_nothing_is_let_go() -> None:
    async with serving() as port:
        connection = await connect(port)
        with closing(connection[1]):
            connection[1].write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(3 * BOUND_SECONDS)
            assert len(await until_closed(connection)) < 64 << 20  # what was under way


async def test_a_request_beyond_the_bound_is_answered_503_and_those_before_go_on() -> None:
    async with serving(most=2) as port:
        first = [await connect(port), await connect(port)]
        for connection in first:
            connection[1].write(b"GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            await connection[0].readuntil(b"data: 0")
        third = await connect(port)
        third[1].write(GET)
        said = await until_closed(third)
        assert b"503 Service Unavailable" in said
        assert b"retry-after" in said.lower()
        assert b"too_many_connections" in said
        for connection in first:
            assert b"data: 7" in await until_closed(connection)
        again = await connect(port)
        again[1].write(GET)
        assert b"200 OK" in await again[0].readuntil(b"hello")
        for connection in (*first, third, again):
            connection[1].close()


def test_the_bound_leaves_files_for_what_is_not_a_connection() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        assert connection_bound(100) == 100
        assert connection_bound(700) == 700
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 700
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000,
        b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n\x00\x00\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:70]),
)
async def test_what_is_no_http_is_refused_and_others_are_served(sent: bytes) -> None:
    async with serving() as port:
        connection = await connect(port)
        with closing(connection[1]):
            connection[1].write(sent)
            said = await until_closed(connection)
            assert b" 500 " not in said.partition(b"\r\n")[0]
        other = await connect(port)
        with closing(other[1]):
            other[1].write(GET)
            assert b"200 OK" in await other[0].readuntil(b"hello")
