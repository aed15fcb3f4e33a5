"""A split and the feature selection it needs: waited for, named when it takes too long, refused with its reason when it
failed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.messages import Status, encode
from schemas.topics import TASKS
from tests.support.brokers import Broker
from tests.support.contract_help import ok, split_body, store_async, table
from tests.support.gateway_process import gateway
from tests.support.topic_writer import Writer, writer
from tests.support.view_records import task
from tests.support.waiting import eventually

WAIT_SECONDS = 3


@pytest.fixture(scope="module")
async def client(
    kafka: Broker, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    folder: Path = tmp_path_factory.mktemp("waiting")
    settings = {
        "feature_selection_wait_seconds": WAIT_SECONDS,
        "ml_dialect": "celery",
        "projector_group": "gateway-waiting",
    }
    async with gateway(kafka, redis_url, folder, **settings) as found:
        yield found


@pytest.fixture
async def trainer(kafka: Broker) -> AsyncIterator[Writer]:
    """Writes states of tasks as the trainer does; there is no trainer here."""
    async with writer(kafka.kwargs) as found:
        yield found


async def uploaded(client: httpx.AsyncClient, workspace: str) -> str:
    client.headers["X-Workspace"] = workspace
    return str(ok(await store_async(client, table()), 202)["task_id"])


async def ends(trainer: Writer, task_id: str, status: Status, **changes: Any) -> None:
    await trainer.write(
        TASKS, task_id, encode(task(task_id, kind="feature_selection", status=status, attempt=1, **changes))
    )


async def test_a_split_waits_for_a_running_feature_selection(client: httpx.AsyncClient, trainer: Writer) -> None:
    task_id = await uploaded(client, "waiting-completed")
    splitting = asyncio.create_task(client.post("/process/split-data", json=split_body()))
    await asyncio.wait([splitting], timeout=0.5)
    assert not splitting.done()
    await ends(trainer, task_id, "COMPLETED")
    assert ok(await splitting)["train_set_rows"] == 300


@pytest.mark.parametrize("route", ["/process/split-data", "/api/Dataset/split-data"])
async def test_one_that_takes_too_long_is_named(client: httpx.AsyncClient, route: str) -> None:
    task_id = await uploaded(client, "waiting-long")
    body = {name.replace("_date", ""): value for name, value in split_body().items()}
    camel = {
        first + second.capitalize(): value
        for (first, _, second), value in ((name.partition("_"), v) for name, v in body.items())
    }
    if route.startswith("/api"):
        refused = await client.post(route, json=camel)
        assert (refused.status_code, task_id in refused.text) == (409, True)
    else:
        answer = ok(await client.post(route, json=split_body()), 409)
        assert (answer["code"], answer["task_id"]) == ("feature_selection_running", task_id)
        assert task_id in answer["detail"]


async def test_a_failed_one_is_said_with_its_reason(client: httpx.AsyncClient, trainer: Writer) -> None:
    task_id = await uploaded(client, "waiting-failed")
    await ends(trainer, task_id, "FAILED", error="The moon is full.")
    answer = ok(await client.post("/process/split-data", json=split_body()), 409)
    assert (answer["code"], answer["task_id"]) == ("feature_selection_failed", task_id)
    assert "The moon is full." in answer["detail"]


async def test_celery_dialect_is_for_old_clients(client: httpx.AsyncClient, trainer: Writer) -> None:
    task_id = await uploaded(client, "waiting-celery")

    async def shown() -> str:
        return str(ok(await client.get(f"/process/task/status/{task_id}"))["status"])

    assert await shown() == "PENDING"
    for status, word in (("IN_PROGRESS", "PROGRESS"), ("STOPPED", "REVOKED")):
        await ends(trainer, task_id, status)  # type: ignore[arg-type]
        assert await eventually(lambda word=word: _is(shown, word))  # type: ignore[misc]
    assert ok(await client.get(f"/v1/tasks/{task_id}"))["status"] == "STOPPED"


async def _is(shown: Any, word: str) -> bool:
    return bool(await shown() == word)
