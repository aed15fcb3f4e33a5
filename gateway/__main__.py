"""`python -m gateway`: serve on GATEWAY_HOST:GATEWAY_PORT until SIGTERM or SIGINT; open requests are finished, within a
bound."""

import asyncio
import contextlib
import socket
from typing import Any

import structlog
import uvicorn

from gateway.app import create_app
from gateway.settings import GatewaySettings
from gateway.web.connections import connection_bound, guarded
from runtime.errors import Unavailable
from runtime.network import say_if_open
from runtime.process import run, settled

log = structlog.get_logger()

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open: longer than clients keep theirs. With uvicorn's 5 s, which are httpx' too, a
request that is sent just then can meet the end of its connection, and an order cannot simply be sent again."""


class Server(uvicorn.Server):
    """Leaves the signals to `runtime.process`."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


async def main(settings: GatewaySettings, stopping: asyncio.Event) -> None:
    """Serve until asked to stop, or until the projector's task ends, which it does by a bug only."""
    listening = _listen(settings.host, settings.port)
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    app = create_app(settings, lambda work: _pass_on(work, ended))
    settled()
    server = Server(
        uvicorn.Config(
            app,
            http=guarded(
                connection_bound(settings.max_connections)
            ),  # h11 bounds the size of headers; httptools does not
            h11_max_incomplete_event_size=64 << 10,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(settings.stop_timeout_seconds),
            server_header=False,
        )
    )
    serving = asyncio.create_task(server.serve([listening]))
    stop = asyncio.create_task(stopping.wait())
    log.info("listening", host=settings.host, port=listening.getsockname()[1])
    say_if_open(settings.host, listening.getsockname()[1], "GATEWAY_HOST")
    waiting: set[asyncio.Future[Any]] = {serving, stop, ended}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    failed = ended.done()
    if not serving.done():
        app.state.end_streams()
        server.should_exit = True
    stop.cancel()
    await serving
    if failed:
        await ended


def _pass_on(work: "asyncio.Task[None]", ended: "asyncio.Future[None]") -> None:
    cancelled = work.cancelled()  # by us when we stop; or by a library, and then the view would stand still for ever
    ended.set_exception(
        RuntimeError("the projector was cancelled")
        if cancelled
        else work.exception() or RuntimeError("the projector ended")
    )
    ended.exception()  # when we stop nobody waits for it


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(
        socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # connections inherit it; without, each answer waits 40 ms for an ACK
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise Unavailable(f"{host}:{port}", str(error)) from error
    return listening


if __name__ == "__main__":
    run("gateway", GatewaySettings, main)
