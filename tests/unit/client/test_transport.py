"""Calls against a real server: what is repeated, what is not, and what an error tells."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from client.errors import Conflict, GatewayFault, GatewayUnavailable, NotFound, Refused, RequestProblem
from client.transport import AsyncTransport, Call, Retries, Transport

Serve = Callable[..., str]
QUICK = Retries(attempts=4, first_seconds=0.001, ceiling_seconds=0.01)


def answering(*answers: Response) -> tuple[Starlette, list[Request]]:
    """An application that gives these answers one after the other, the last one again and again, and the requests it
    saw."""
    seen: list[Request] = []

    async def answer(request: Request) -> Response:
        await request.body()
        seen.append(request)
        return answers[min(len(seen), len(answers)) - 1]

    return Starlette(routes=[Route("/thing", answer, methods=["GET", "POST"])]), seen


def call(method: str = "GET") -> Call[Any]:
    return Call(method, "/thing", read=lambda content: content)


def blocking(url: str, made: Call[Any], retries: Retries = QUICK) -> Any:
    return Transport(url, "mine", retries).send(made)


def in_asyncio(url: str, made: Call[Any], retries: Retries = QUICK) -> Any:
    async def send() -> Any:
        return await AsyncTransport(url, "mine", retries).send(made)

    return asyncio.run(send())


Send = Callable[..., Any]
both_ends = pytest.mark.parametrize("send", [blocking, in_asyncio])


@both_ends
def test_read_is_repeated_while_the_gateway_is_unavailable(send: Send, serve: Serve) -> None:
    down = JSONResponse({"detail": "redis is unavailable"}, 503, headers={"Retry-After": "0"})
    app, seen = answering(down, down, JSONResponse({"answer": 42}))
    assert send(serve(app), call()) == {"answer": 42}
    assert len(seen) == 3


@both_ends
def test_command_is_not_repeated_after_503(send: Send, serve: Serve) -> None:
    app, seen = answering(JSONResponse({"detail": "kafka is unavailable"}, 503, headers={"Retry-After": "7"}))
    with pytest.raises(GatewayUnavailable) as caught:
        send(serve(app), call("POST"))
    assert len(seen) == 1
    assert caught.value.retry_after == 7.0
    assert caught.value.problems == [RequestProblem("kafka is unavailable")]


@both_ends
def test_repeats_are_bounded(send: Send, serve: Serve) -> None:
    app, seen = answering(JSONResponse({"detail": "redis is unavailable"}, 503))
    with pytest.raises(GatewayUnavailable):
        send(serve(app), call())
    assert len(seen) == QUICK.attempts


@both_ends
def test_nobody_at_the_address_is_unavailable_and_names_it(send: Send, closed_url: str) -> None:
    with pytest.raises(GatewayUnavailable, match=closed_url) as caught:
        send(closed_url, call())
    assert caught.value.status is None


@both_ends
def test_command_is_repeated_until_somebody_listens(send: Send, serve: Serve) -> None:
    app, seen = answering(JSONResponse({"answer": 1}))
    with socket.socket() as reserved:  # bound, not listening: connections are refused
        reserved.bind(("127.0.0.1", 0))

        class Starting(Retries):
            def pause(self, attempt: int) -> float:
                serve(app, reserved.dup())
                return 0.001

        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        assert send(url, call("POST"), Starting()) == {"answer": 1}
    assert len(seen) == 1


@both_ends
def test_every_problem_of_a_refusal_is_kept_with_its_field(send: Send, serve: Serve) -> None:
    detail = [
        {
            "loc": ["body", "train_end_date"],
            "msg": "Train end date cannot be before train start date.",
            "type": "value_error.date.ordering",
        },
        {"loc": ["body", "test_start_date"], "msg": "Field required", "type": "missing"},
    ]
    app, _ = answering(JSONResponse({"detail": detail}, 422))
    with pytest.raises(Refused) as caught:
        send(serve(app), call("POST"))
    assert caught.value.problems == [
        RequestProblem(
            "Train end date cannot be before train start date.", "body.train_end_date", "value_error.date.ordering"
        ),
        RequestProblem("Field required", "body.test_start_date", "missing"),
    ]


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (JSONResponse({"detail": "Run not found"}, 404), NotFound, "Run not found"),
        (JSONResponse({"detail": "the run has ended"}, 409), Conflict, "the run has ended"),
        (PlainTextResponse("CSV is empty.", 400), Refused, "CSV is empty."),
        (JSONResponse({"status": "Invalid", "message": "a", "errors": ["a", "b"]}, 400), Refused, "a; b"),
        (PlainTextResponse("Internal Server Error", 500), GatewayFault, "Internal Server Error"),
        (Response(b"", 502), GatewayFault, "HTTP 502 without a reason"),
        (PlainTextResponse("<html>"), GatewayFault, "another version"),
    ],
)
def test_each_answer_has_its_error(answer: Response, kind: type[Exception], message: str, serve: Serve) -> None:
    app, _ = answering(answer)
    with pytest.raises(kind, match=message):
        blocking(serve(app), call("POST"))


@both_ends
def test_workspace_travels_with_each_call(send: Send, serve: Serve) -> None:
    app, seen = answering(JSONResponse({}))
    send(serve(app), call())
    assert seen[0].headers["X-Workspace"] == "mine"


def test_waiting_grows_to_a_ceiling_and_never_beyond_what_is_asked() -> None:
    retries = Retries(attempts=9, first_seconds=0.5, ceiling_seconds=3.0)
    assert [retries.pause(attempt) for attempt in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_parameters_without_a_value_are_left_out() -> None:
    made: Call[Any] = Call("GET", "/thing", read=json.loads, params={"after": None, "limit": 5})
    assert made.arguments() == {"method": "GET", "url": "/thing", "params": {"limit": 5}}
