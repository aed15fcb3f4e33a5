"""A real HTTP server for the client to meet: uvicorn in a thread, an ASGI application per test."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve an ASGI application until the test ends, on a free port or a bound socket; the answer is its URL."""
    with contextlib.ExitStack() as running:

        def start(app: Any, listener: socket.socket | None = None) -> str:
            return running.enter_context(_running(app, listener or socket.create_server(("127.0.0.1", 0))))

        yield start


@contextlib.contextmanager
def _running(app: Any, listener: socket.socket) -> Iterator[str]:
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        # the socket listens already: early connections wait in its queue
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def closed_url() -> str:
    """The URL of a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
