"""Uploads at their limits: a client that goes away, too many bytes, a full disk, Kafka away; nothing is left behind."""

import asyncio
import gzip
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.brokers import Broker
from tests.contract_help import table
from tests.gateway_process import gateway
from tests.waiting import eventually

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
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def process_of(client: httpx.AsyncClient) -> psutil.Process:
    found = (c.pid for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr.port == client.base_url.port)
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
    head = f"POST /dataset/store HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE['Content-Type']}\r\nContent-Length: 20000000\r\n\r\n"
    writer.write(head.encode() + START + b"1,2,3\n" * 1_000_000)
    await writer.drain()
    await eventually(lambda: any(path.endswith("upload") for path in kept(folder)))
    writer.transport.abort()
    await eventually(lambda: kept(folder) == before)
    assert (await client.get("/v1/datasets")).json()["items"] == []


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_above_the_limit_is_413_and_leaves_nothing(client: httpx.AsyncClient, folder: Path, announced: bool) -> None:
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
    sending = asyncio.create_task(client.post("/dataset/store", content=pieces(28, b"1" * 1_000_000, 0.005), headers=TYPE))
    while not sending.done():
        started = time.perf_counter()
        assert (await client.get("/health")).status_code == 200
        slowest = max(slowest, time.perf_counter() - started)
        peak = max(peak, process.memory_info().rss)
    assert (await sending).status_code == 422
    assert peak - before < 20_000_000
    assert slowest < 1.0, "the event loop was held up"


async def test_without_kafka_an_upload_is_503_and_leaves_nothing(fresh_kafka: Broker, fresh_redis_url: str, tmp_path: Path) -> None:
    async with gateway(fresh_kafka, fresh_redis_url, tmp_path, dependency_timeout_seconds=2) as client:
        assert (await upload(client, table())).status_code == 202
        before = kept(tmp_path)
        fresh_kafka.kill()
        answer = await upload(client, table(100))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert [path for path in kept(tmp_path) if not path.startswith("files/")] == [
            path for path in before if not path.startswith("files/")
        ]
        assert len((await client.get("/v1/datasets")).json()["items"]) == 1
        fresh_kafka.start()
        assert await eventually(lambda: _stored(client), timeout_seconds=60)


async def _stored(client: httpx.AsyncClient) -> bool:
    return (await upload(client, table(100))).status_code == 202
