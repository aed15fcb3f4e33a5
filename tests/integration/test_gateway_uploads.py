"""Uploads at their limits: a client that goes away, too many bytes, a full disk: nothing is left behind. Kafka away:
they work."""

import asyncio
import gzip
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from runtime.kafka.reading import read_to_end
from schemas import topics
from tests.support.brokers import Broker
from tests.support.contract_help import table
from tests.support.gateway_process import gateway
from tests.support.waiting import eventually

LIMIT = 30_000_000
START = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="rows.csv"\r\n\r\n'
TYPE = {"Content-Type": "multipart/form-data; boundary=XX"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
async def client(kafka: Broker, redis_url: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(kafka, redis_url, folder, max_upload_bytes=LIMIT, projector_group="gateway-uploads") as found:
        found.headers["X-Workspace"] = "uploads"
        yield found


def kept(folder: Path) -> list[str]:
    """What lies in the storage."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "storage.json"
    )


def process_of(client: httpx.AsyncClient) -> psutil.Process:
    found = (
        c.pid
        for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr.port == client.base_url.port
    )
    return psutil.Process(next(pid for pid in found if pid is not None))


async def upload(client: httpx.AsyncClient, content: bytes, name: str = "rows.csv") -> httpx.Response:
    return await client.post("/dataset/store", files={"file": (name, content)})


async def pieces(count: int, piece: bytes, pause_seconds: float = 0.0) -> AsyncIterator[bytes]:
    yield START
    for _ in range(count):
        await asyncio.sleep(pause_seconds)  # lets other requests go between
        yield piece
    yield b"\r\n--XX--\r\n"


async def test_a_client_that_goes_away_half_way_leaves_nothing(client: httpx.AsyncClient, folder: Path) -> None:
    before = kept(folder)
    address = client.base_url
    _, writer = await asyncio.open_connection(address.host, address.port)
    head = (
        f"POST /dataset/store HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE['Content-Type']}\r\nContent-Length:"
        " 20000000\r\n\r\n"
    )
    writer.write(head.encode() + START + b"1,2,3\n" * 1_000_000)
    await writer.drain()
    await eventually(lambda: any(path.endswith("upload") for path in kept(folder)))
    writer.transport.abort()
    await eventually(lambda: kept(folder) == before)
    assert (await client.get("/v1/datasets")).json()["items"] == []


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_above_the_limit_is_413_and_leaves_nothing(
    client: httpx.AsyncClient, folder: Path, announced: bool
) -> None:
    before = kept(folder)
    large = START + b"1,2,3\n" * (LIMIT // 6 + 100_000) + b"\r\n--XX--\r\n"
    body: Any = large if announced else pieces(LIMIT // 1_000_000 + 1, b"1" * 1_000_000)
    answer = await client.post("/dataset/store", content=body, headers=TYPE)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    await eventually(lambda: kept(folder) == before)


async def test_a_gzip_file_that_unpacks_above_the_limit_is_413(client: httpx.AsyncClient, folder: Path) -> None:
    before = kept(folder)
    answer = await upload(client, gzip.compress(b"Id,S1,Response\n" + b"1,2,0\n" * 6_000_000), "bomb.csv.gz")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert kept(folder) == before


@contextmanager
def largest_file(process: psutil.Process, size: int) -> Iterator[None]:
    """The process can write no file larger than this: the system's answer is that of a full disk or quota."""
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("packed", [False, True], ids=["while it is received", "while it is unpacked"])
async def test_a_full_disk_is_507_and_leaves_nothing(client: httpx.AsyncClient, folder: Path, packed: bool) -> None:
    before = kept(folder)
    content = gzip.compress(table(30_000)) if packed else table(30_000)
    name = "rows.csv.gz" if packed else "rows.csv"
    with largest_file(process_of(client), len(content) + 1000 if packed else 100_000):
        answer = await upload(client, content, name)
    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    assert kept(folder) == before
    assert (await upload(client, content, name)).status_code == 202


async def test_memory_stays_flat_and_others_are_answered_during_an_upload(client: httpx.AsyncClient) -> None:
    process = process_of(client)
    before, peak, slowest = process.memory_info().rss, 0, 0.0
    sending = asyncio.create_task(
        client.post("/dataset/store", content=pieces(28, b"1" * 1_000_000, 0.005), headers=TYPE)
    )
    while not sending.done():
        started = time.perf_counter()
        assert (await client.get("/health")).status_code == 200
        slowest = max(slowest, time.perf_counter() - started)
        peak = max(peak, process.memory_info().rss)
    assert (await sending).status_code == 422
    assert peak - before < 20_000_000
    assert slowest < 1.0, "the event loop was held up"


async def test_without_kafka_uploads_are_kept_and_shown_and_announced_once_it_is_back(
    fresh_kafka: Broker, fresh_redis_url: str, tmp_path: Path
) -> None:
    headers = {"X-Workspace": "without-kafka"}
    async with gateway(fresh_kafka, fresh_redis_url, tmp_path, dependency_timeout_seconds=2) as client:
        client.headers.update(headers)
        first = (await upload(client, table())).json()["dataset_id"]
        fresh_kafka.kill()
        began = time.monotonic()
        answer = await upload(client, table(100))
        assert time.monotonic() - began < 2 * 2 + 8
        assert answer.status_code == 202
        second = answer.json()["dataset_id"]
        assert await listed(client) == [second, first]
        for path in ("", "/columns", "/preview", "/timeline"):
            assert (await client.get(f"/v1/datasets/{second}{path}")).status_code == 200
        assert (await client.get(f"/process/task/status/{answer.json()['task_id']}")).json()["status"] == "PENDING"
        suggested = (await client.post(f"/v1/datasets/{second}/suggest-split")).json()
        refused = await client.post("/v1/splits", json=suggested)
        assert (refused.status_code, refused.json()["detail"]) == (503, "kafka is unavailable; try again.")
        assert "retry-after" in refused.headers
        assert (await client.get("/ready")).json()["dependencies"]["kafka"] != "ok"
        with redis.Redis.from_url(fresh_redis_url) as server:
            server.flushall()
        third = (await client.post("/v1/datasets", files={"file": ("rows.csv", table(50))})).json()["dataset_id"]
        for waiting in (second, third):
            assert (await client.get(f"/v1/datasets/{waiting}/preview")).status_code == 200
        assert (await client.get(f"/v1/datasets/{first}")).status_code == 503  # only Kafka knows of it
        assert (await client.get("/v1/datasets")).status_code == 503
        assert names_in(tmp_path / "outbox") == {second, third}
        fresh_kafka.start()
        await eventually(lambda: is_listed(client, [third, second, first]), timeout_seconds=60)
        await eventually(lambda: not names_in(tmp_path / "outbox"), timeout_seconds=60)
        assert await listed(client) == [third, second, first]
    records = [record async for record in read_to_end(fresh_kafka.kwargs, topics.DATASETS.name)]
    assert Counter(record.key.decode() for record in records) == dict.fromkeys((first, second, third), 1)


async def listed(client: httpx.AsyncClient) -> list[str]:
    return [one["dataset_id"] for one in (await client.get("/v1/datasets")).json()["items"]]


async def is_listed(client: httpx.AsyncClient, wanted: list[str]) -> bool:
    """The list is there, and whole from the first moment on."""
    answer = await client.get("/v1/datasets")
    if answer.status_code != 200:
        return False
    if [one["dataset_id"] for one in answer.json()["items"]] != wanted:
        raise RuntimeError(f"a list that is not whole was shown: {answer.text}")
    return True


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
