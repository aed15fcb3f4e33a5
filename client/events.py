"""The event stream of a run, kept alive: it reconnects by itself and says `Last-Event-ID`, so nothing is missed and
nothing comes twice.

An event counts once it is complete; a half one is cut off with the connection and asked for again. A connection on
which nothing comes for `SILENCE_SECONDS` (the gateway sends comments more often) is taken for dead: a laptop that slept
finds back."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse, connect_sse
from pydantic import TypeAdapter, ValidationError

from client.errors import GatewayFault, GatewayUnavailable, RequestProblem, from_answer
from client.transport import AsyncTransport, Retries, Transport, failure, no_answer
from schemas.http.runs import PredictionView, Run, RunStatistics, StatusEvent

SILENCE_SECONDS = 45.0
OVER = 204
"""The run is over, and all its rows were received."""
RunEvent = StatusEvent | RunStatistics | PredictionView | Run
"""`Run` is the last one: the run as it ended. A prediction that is `redriven` may come behind rows of a higher
index."""
GONE = "gone"
KINDS: dict[str, TypeAdapter[Any]] = {
    "status": TypeAdapter(StatusEvent),
    "stats": TypeAdapter(RunStatistics),
    "prediction": TypeAdapter(PredictionView),
    "redriven": TypeAdapter(PredictionView),
    "end": TypeAdapter(Run),
}


def read(event: ServerSentEvent) -> RunEvent | None:
    """The typed event; null for a kind that this client does not know. Raises `Gone`, `GatewayFault`."""
    if event.event == GONE:
        raise from_answer(410, event.data.encode(), retry_after=None)
    kind = KINDS.get(event.event)
    if kind is None:
        return None
    try:
        return cast(RunEvent, kind.validate_json(event.data))
    except ValidationError as error:
        raise GatewayFault(
            200, [RequestProblem(f"an event {event.event!r} is not what this client knows: {error}")]
        ) from error


@dataclass(slots=True)
class Position:
    """Where the reader stands, and how long it has been without a connection. Pure: the ends tell it what happened and
    when."""

    last_event_id: str | None
    patience_seconds: float
    retries: Retries
    tries: int = 0
    lost_at: float | None = None
    repaired: set[int] = field(default_factory=set)
    """Redriven rows that came: the gateway tells them again at every connection."""

    def request(self) -> dict[str, Any]:
        headers = {} if self.last_event_id is None else {"Last-Event-ID": self.last_event_id}
        return {"headers": headers, "timeout": httpx.Timeout(SILENCE_SECONDS, connect=5.0)}

    def connected(self) -> None:
        self.lost_at = None

    def take(self, event: ServerSentEvent) -> bool:
        """Whether this is an event for the caller (a comment's blank line is none). Remembers where it stands."""
        if not event.data:
            return False
        self.tries = 0
        if event.id:
            self.last_event_id = event.id
        if event.event != "redriven" and '"redriven":true' not in event.data:
            return True
        known = event.event == "redriven" and hash(event.data) in self.repaired
        self.repaired.add(hash(event.data))
        return not known

    def pause(self, now: float, error: GatewayUnavailable | None = None) -> float:
        """Seconds to wait before connecting again, after an error or a stream that just ended. Raises the error once
        patience is over."""
        self.tries += 1
        self.lost_at = now if self.lost_at is None else self.lost_at
        if error is not None and now - self.lost_at >= self.patience_seconds:
            raise error
        return self.retries.pause(self.tries)


def run_path(path: str) -> str:
    """Where the run is whose events are at `path`; of the same attempt when one is named there."""
    address, _, query = path.partition("?")
    attempt = [one for one in query.split("&") if one.startswith("attempt=")]
    return address.removesuffix("/events") + "".join(f"?{one}" for one in attempt)


def _end(answer: httpx.Response) -> ServerSentEvent:
    """The last event of a run whose stream was cut just before it; raises what stands for an error."""
    if answer.is_error:
        raise failure(answer)
    return ServerSentEvent(event="end", data=answer.text)


def follow(transport: Transport, path: str, position: Position) -> Generator[ServerSentEvent, None, None]:
    """Yield events until the one that ends the run, at which the caller stops."""
    while True:
        error: GatewayUnavailable | None = None
        try:
            with connect_sse(transport.http, "GET", path, **position.request()) as source:
                if source.response.is_error:
                    source.response.read()
                    raise failure(source.response)
                position.connected()
                if source.response.status_code == OVER:
                    yield _end(transport.http.get(run_path(path)))
                    return
                for event in source.iter_sse():
                    if position.take(event):
                        yield event
        except httpx.TransportError as broken:
            error = no_answer(broken, transport.url)
        except GatewayUnavailable as down:
            error = down
        time.sleep(position.pause(time.monotonic(), error))


async def follow_async(
    transport: AsyncTransport, path: str, position: Position
) -> AsyncGenerator[ServerSentEvent, None]:
    """Yield events until the one that ends the run, at which the caller stops."""
    while True:
        error: GatewayUnavailable | None = None
        try:
            async with aconnect_sse(transport.http, "GET", path, **position.request()) as source:
                if source.response.is_error:
                    await source.response.aread()
                    raise failure(source.response)
                position.connected()
                if source.response.status_code == OVER:
                    yield _end(await transport.http.get(run_path(path)))
                    return
                async for event in source.aiter_sse():
                    if position.take(event):
                        yield event
        except httpx.TransportError as broken:
            error = no_answer(broken, transport.url)
        except GatewayUnavailable as down:
            error = down
        await asyncio.sleep(position.pause(time.monotonic(), error))
