"""The event stream against a real server that breaks it: nothing is missed, nothing comes twice."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from httpx_sse import ServerSentEvent

from client.errors import GatewayUnavailable, NotFound
from client.events import Position, follow, follow_async, run_path
from client.transport import AsyncTransport, Retries, Transport

Serve = Callable[..., str]
QUICK = Retries(first_seconds=0.001, ceiling_seconds=0.01)
EVENTS = 20


class Breaking:
    """Sends events 0..19 from `Last-Event-ID` on, and cuts the connection after each third one, in the middle of the
    next."""

    def __init__(self, refuse: int = 0) -> None:
        self.asked: list[str | None] = []
        self.refuse = refuse

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append(headers.get("last-event-id"))
        status = 503 if len(self.asked) <= self.refuse else 200
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/event-stream")]}
        )
        if status == 503:
            await send({"type": "http.response.body", "body": b"redis is unavailable"})
            return
        first = int(headers.get("last-event-id", -1)) + 1
        text = ": hello\n\n"
        for number in range(first, min(first + 3, EVENTS)):
            text += f"id: {number}\nevent: prediction\ndata: {number}\n\n: keep-alive\n\n"
        await send(
            {"type": "http.response.body", "body": (text + f"id: {first + 3}\ndata: ha").encode(), "more_body": True}
        )
        raise ConnectionResetError("cut on purpose")


def blocking(url: str, position: Position, count: int) -> list[ServerSentEvent]:
    stream = follow(Transport(url, "default", QUICK), "/events", position)
    return [next(stream) for _ in range(count)]


def in_asyncio(url: str, position: Position, count: int) -> list[ServerSentEvent]:
    async def read() -> list[ServerSentEvent]:
        async with aclosing(follow_async(AsyncTransport(url, "default", QUICK), "/events", position)) as stream:
            return [await anext(stream) for _ in range(count)]

    return asyncio.run(read())


Read = Callable[[str, Position, int], list[ServerSentEvent]]
both_ends = pytest.mark.parametrize("read", [blocking, in_asyncio])


@both_ends
def test_broken_stream_goes_on_behind_the_last_whole_event(read: Read, serve: Serve) -> None:
    app = Breaking()
    events = read(serve(app), Position(None, 5.0, QUICK), EVENTS)
    assert [event.data for event in events] == [str(number) for number in range(EVENTS)]
    assert app.asked[:3] == [None, "2", "5"]


@both_ends
def test_stream_starts_where_the_caller_says(read: Read, serve: Serve) -> None:
    assert read(serve(Breaking()), Position("16", 5.0, QUICK), 1)[0].data == "17"


@both_ends
def test_stream_survives_a_gateway_without_redis(read: Read, serve: Serve) -> None:
    app = Breaking(refuse=4)
    assert read(serve(app), Position(None, 5.0, QUICK), 1)[0].data == "0"
    assert len(app.asked) == 5


@both_ends
def test_patience_ends(read: Read, closed_url: str) -> None:
    with pytest.raises(GatewayUnavailable, match="no answer"):
        read(closed_url, Position(None, 0.02, QUICK), 1)


@both_ends
def test_unknown_run_is_not_asked_for_again(read: Read, serve: Serve) -> None:
    asked = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b'{"detail":"Run not found"}'})

    with pytest.raises(NotFound, match="Run not found"):
        read(serve(app), Position(None, 5.0, QUICK), 1)
    assert asked == ["/events"]


@both_ends
def test_stream_cut_after_the_last_row_ends_with_the_run(read: Read, serve: Serve) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        events = scope["path"].endswith("/events")
        await send({"type": "http.response.start", "status": 204 if events else 200, "headers": []})
        await send({"type": "http.response.body", "body": b"" if events else b'{"run_id":"r"}'})

    (end,) = read(serve(app), Position("19", 5.0, QUICK), 1)
    assert (end.event, end.data) == ("end", '{"run_id":"r"}')


def test_run_of_a_stream_is_that_of_its_attempt() -> None:
    assert run_path("/v1/runs/r/events") == run_path("/v1/runs/r/events?after=3") == "/v1/runs/r"
    assert run_path("/v1/runs/r/events?after=3&attempt=2") == "/v1/runs/r?attempt=2"


def test_redriven_rows_are_told_once_however_often_the_gateway_says_them() -> None:
    position = Position(None, 1.0, QUICK)

    def taken(event: str, data: str) -> bool:
        return position.take(ServerSentEvent(event=event, data=data))

    assert taken("prediction", '{"row_index":3,"redriven":true}')  # in its place
    assert not taken("redriven", '{"row_index":3,"redriven":true}')  # after a reconnection
    assert taken("redriven", '{"row_index":1,"redriven":true}')
    assert not taken("redriven", '{"row_index":1,"redriven":true}')
    assert taken("prediction", '{"row_index":4,"redriven":false}')
