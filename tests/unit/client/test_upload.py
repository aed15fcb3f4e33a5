"""An upload against a real server: streamed, reported, and not sent twice."""

import asyncio
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from client import AsyncClient, Client
from client.errors import Refused

Serve = Callable[..., str]
SIZE = 48 << 20
FEW_BYTES = 8 << 20


class Counting:
    """Takes an upload piece by piece and forgets it."""

    def __init__(self) -> None:
        self.bytes = 0
        self.start = b""
        self.requests = 0

    async def answer(self, request: Request) -> Response:
        self.requests += 1
        async for piece in request.stream():
            self.start = (self.start + piece)[:4096]
            self.bytes += len(piece)
        return JSONResponse({"detail": [{"loc": ["body", "file"], "msg": "no rows", "type": "value_error"}]}, 422)


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(SIZE)
    return path


def blocking(url: str, path: Path, progress: Any) -> None:
    with Client(url) as client:
        client.upload(path, progress=progress, pass_value="-1", label="Pass/Fail")


def in_asyncio(url: str, path: Path, progress: Any) -> None:
    async def send() -> None:
        async with AsyncClient(url) as client:
            await client.upload(path, progress=progress, pass_value="-1", label="Pass/Fail")

    asyncio.run(send())


@pytest.mark.parametrize("upload", [blocking, in_asyncio])
def test_upload_is_streamed_with_flat_memory_and_tells_how_far_it_is(
    upload: Any, serve: Serve, large_file: Path
) -> None:
    counting = Counting()
    url = serve(Starlette(routes=[Route("/v1/datasets", counting.answer, methods=["POST"])]))
    seen: list[tuple[int, int]] = []
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="no rows"):
            upload(url, large_file, lambda sent, total: seen.append((sent, total)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert counting.bytes > SIZE
    assert peak < FEW_BYTES
    assert seen[-1] == (SIZE, SIZE)
    assert [sent for sent, _ in seen] == sorted(sent for sent, _ in seen)
    assert counting.requests == 1
    assert b'name="pass_value"\r\n\r\n-1' in counting.start
    assert b'filename="large.csv"' in counting.start


def test_upload_to_a_gateway_that_hangs_up_is_not_repeated(serve: Serve, large_file: Path) -> None:
    requests = 0

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal requests
        requests += 1
        await receive()
        await send({"type": "http.response.start", "status": 413, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b'{"detail":"too large","code":"too_large"}'})

    with pytest.raises(Refused, match="too large") as caught:
        blocking(serve(app), large_file, None)
    assert caught.value.status == 413
    assert requests == 1
