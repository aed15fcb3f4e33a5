"""Every failure has one form; nothing that a client sends is a server error."""

import asyncio
import errno
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiokafka.errors import KafkaConnectionError
from fastapi import FastAPI

from gateway import errors
from gateway.metrics import REQUEST_SECONDS
from gateway.web.middleware import BodyLimit, RequestTimes
from runtime.errors import Unavailable
from schemas.http.dotnet import RangesRequest
from schemas.http.v1 import SplitCreate, TrainingOptions
from storage.errors import StorageUnavailable
from storage.view.redis_store import RedisRefuses, RedisUnavailable, ViewRebuilding

RAISED: dict[str, tuple[Exception, int, dict[str, Any]]] = {
    "/invalid": (
        errors.unknown_task(),
        422,
        {"detail": [{"loc": ["path", "task_id"], "msg": "Task ID not found", "type": "value_error.task_id"}]},
    ),
    "/ill-formed": (
        errors.ill_formed_task_id(),
        422,
        {"detail": [{"loc": ["path", "task_id"], "msg": "Invalid task ID format.", "type": "value_error"}]},
    ),
    "/not-found": (
        errors.ObjectNotFound("dataset", "ds-1"),
        404,
        {"detail": "There is no dataset 'ds-1'.", "code": "dataset_not_found", "task_id": None},
    ),
    "/no-status": (
        errors.NoStatus("No status found for task ID: x"),
        404,
        {"message": "No status found for task ID: x"},
    ),
    "/conflict": (
        errors.StateConflict("running", "busy", "task-1"),
        409,
        {"detail": "running", "code": "busy", "task_id": "task-1"},
    ),
    "/too-large": (
        errors.TooLarge(5),
        413,
        {"detail": "The request is larger than the limit of 5 bytes.", "code": "too_large", "task_id": None},
    ),
    "/full": (
        errors.NotEnoughRoom(),
        507,
        {"detail": "The storage is full; nothing was kept.", "code": "storage_full", "task_id": None},
    ),
}
UNAVAILABLE: dict[str, tuple[Exception, str]] = {
    "/kafka": (Unavailable("kafka", "gone"), "kafka is unavailable; try again."),
    "/kafka-too": (KafkaConnectionError("gone"), "kafka is unavailable; try again."),
    "/redis": (RedisUnavailable("gone"), "redis is unavailable; try again."),
    "/redis-full": (RedisRefuses("Redis is full"), "redis is unavailable: Redis is full; try again."),
    "/storage": (StorageUnavailable("gone"), "storage is unavailable; try again."),
    "/view": (ViewRebuilding(), "The view is being rebuilt from the topics; try again."),
}
JSON = {"Content-Type": "application/json"}


def raising(error: Exception) -> Any:
    async def route() -> None:
        raise error

    return route


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    errors.install(app)
    app.add_middleware(BodyLimit, limit=1000, without={"/free"}, stall_seconds=0.2)
    app.add_middleware(RequestTimes)
    for path, (error, *_) in (RAISED | UNAVAILABLE).items():
        app.get(path)(raising(error))
    app.get("/bug")(raising(RuntimeError("secret")))

    @app.post("/body")
    @app.post("/api/body")
    @app.post("/free")
    async def body(body: TrainingOptions) -> None: ...

    @app.post("/v1")
    async def v1(body: SplitCreate) -> None: ...

    @app.post("/api/ranges")
    async def ranges(body: RangesRequest) -> None: ...

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize("path", RAISED)
async def test_each_failure_has_its_answer(client: httpx.AsyncClient, path: str) -> None:
    _, status, body = RAISED[path]
    answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (status, body)


@pytest.mark.parametrize("path", UNAVAILABLE)
async def test_what_does_not_answer_is_503_with_retry_after(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["detail"]) == (
        503,
        "5",
        UNAVAILABLE[path][1],
    )


async def test_a_bug_says_nothing_of_itself(client: httpx.AsyncClient) -> None:
    answer = await client.get("/bug")
    assert answer.status_code == 500
    assert "secret" not in answer.text


NONSENSE = [
    b"",
    b"{",
    b"[]",
    b"5",
    b'"x"',
    b"null",
    b"\xff\xfe",
    b'{"seed": "\xff"}',
    b'{"seed": NaN}',
    b"[" * 900,
    b'{"seed": "\\ud800"}',
    b"1" * 900,
]


@pytest.mark.parametrize("body", NONSENSE)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
async def test_a_nonsense_body_is_named_as_such(client: httpx.AsyncClient, body: bytes, content_type: str) -> None:
    answer = await client.post("/body", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 422
    assert all(set(one) == {"loc", "msg", "type"} for one in answer.json()["detail"])


@pytest.mark.parametrize("body", NONSENSE)
async def test_the_net_routes_say_the_same_as_400(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/api/ranges", content=body, headers=JSON)
    if answer.status_code == 200:  # unknown fields are ignored there
        assert b"seed" in body
        return
    assert answer.status_code == 400
    assert answer.json()["status"] == "Invalid"
    assert answer.json()["message"] == answer.json()["errors"][0]


@pytest.mark.parametrize("kind", ["text/plain", "text/json", "application/json5", "application/x-ndjson", "json", ""])
async def test_a_body_of_another_type_says_what_to_send(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post("/body", content=b'{"seed": 5}', headers={"Content-Type": kind})
    assert (
        answer.json()["detail"][0]["msg"] == "The body must be a JSON object, sent with Content-Type: application/json."
    )


async def test_all_problems_come_together(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1",
        content=json.dumps({"seed": -1, "sample_fraction": 2, "train": {"start": "x"}, "nonsense": 1}),
        headers=JSON,
    )
    assert answer.status_code == 422
    found = {tuple(one["loc"]) for one in answer.json()["detail"]}
    assert {("body", "seed"), ("body", "sample_fraction"), ("body", "test"), ("body", "simulation")} <= found


async def test_a_body_above_the_limit_is_413_announced_or_not(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 400

    assert (await client.post("/body", content=b" " * 1001)).status_code == 413
    assert (await client.post("/body", content=chunks(), headers=JSON)).status_code == 413
    assert (await client.post("/free", content=b" " * 1001)).status_code == 422


async def test_a_body_that_stops_coming_is_408(client: httpx.AsyncClient) -> None:
    async def stopping() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    for path in ("/body", "/free"):
        answer = await client.post(path, content=stopping(), headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (408, "stalled")


async def test_a_body_that_trickles_is_408_and_one_that_comes_slowly_is_not(client: httpx.AsyncClient) -> None:
    async def trickling(piece: bytes, pieces: int) -> AsyncIterator[bytes]:
        yield b'{"seed": "'
        for _ in range(pieces):
            yield piece
            await asyncio.sleep(0.05)
        yield b'"}'

    answer = await client.post("/body", content=trickling(b"x", 200), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (408, "stalled")
    assert (await client.post("/body", content=trickling(b"x" * 20, 12), headers=JSON)).status_code == 422


async def test_huge_headers_are_431(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere", headers={"X-Long": "x" * 40_000})).status_code == 431


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/no%00where", 404, "not_found"), ("PUT", "/body", 405, "method_not_allowed")],
)
async def test_unknown_paths_and_methods_have_the_one_form(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_durations_are_kept_by_route_template(client: httpx.AsyncClient) -> None:
    await client.get("/conflict")
    await client.request("NONSENSE", "/somewhere/else")
    samples = [sample for metric in REQUEST_SECONDS.collect() for sample in metric.samples]
    routes = {sample.labels["route"] for sample in samples}
    assert "NONSENSE" not in {sample.labels["method"] for sample in samples}
    assert "/conflict" in routes
    assert "none" in routes
    assert "/somewhere/else" not in routes


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "full"), StorageUnavailable("write failed: No space left on device (os error 28)")],
)
def test_a_full_disk_is_told_from_other_failures(error: Exception) -> None:
    with pytest.raises(errors.NotEnoughRoom), errors.storage_is_full():
        raise error
    with pytest.raises(StorageUnavailable), errors.storage_is_full():
        raise OSError(errno.EIO, "broken")
