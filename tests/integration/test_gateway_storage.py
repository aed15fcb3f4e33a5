"""A gateway whose storage goes away, is not mounted at its start, or is full; and how a first start is told from a lost
mount."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from gateway.system.storage_start import may_be_made
from runtime.kafka.reading import read_to_end
from schemas.topics import DATASETS
from storage.objects.files import Storage
from tests.support.brokers import Broker
from tests.support.contract_help import table
from tests.support.full_disk import small_disk
from tests.support.gateway_process import gateway
from tests.support.storage_away import bring_back, take_away
from tests.support.waiting import eventually


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
async def client(fresh_kafka: Broker, fresh_redis_url: str, root: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(fresh_kafka, fresh_redis_url, root, projector_group=f"g-{root.parent.name}") as found:
        yield found


async def upload(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    return await client.post("/v1/datasets", files={"file": ("rows.csv", content)})


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_while_the_storage_is_away_it_is_named_and_nothing_is_written_and_afterwards_all_goes_on(
    client: httpx.AsyncClient, root: Path
) -> None:
    first = (await upload(client, table(50))).json()["dataset_id"]
    before = files(root)
    take_away(f"file://{root}")
    for answer in (await upload(client, table(60)), await client.get(f"/v1/datasets/{first}/preview")):
        assert (answer.status_code, answer.json()["detail"]) == (503, "storage is unavailable; try again.")
        assert "retry-after" in answer.headers

    async def named() -> bool:
        found = await client.get("/ready")
        return found.status_code == 503 and "storage.json" in found.json()["dependencies"]["storage"]

    await eventually(named)
    assert (await client.get(f"/v1/datasets/{first}")).status_code == 200  # that is in Redis
    bring_back(f"file://{root}")
    assert files(root) == before
    assert (await upload(client, table(60))).status_code == 201
    assert (await client.get(f"/v1/datasets/{first}/preview")).status_code == 200


async def test_an_upload_under_way_when_the_storage_goes_is_answered_503_and_leaves_nothing(
    client: httpx.AsyncClient, root: Path
) -> None:
    content = table(4000)

    async def body() -> AsyncIterator[bytes]:
        yield b'--XX\r\nContent-Disposition: form-data; name="file"; filename="rows.csv"\r\n\r\n' + content[:1000]
        await eventually(lambda: [*root.glob(".scratch/*/*")])
        take_away(f"file://{root}")
        yield content[1000:] + b"\r\n--XX--\r\n"

    answer = await client.post(
        "/v1/datasets", content=body(), headers={"Content-Type": "multipart/form-data; boundary=XX"}
    )
    assert (answer.status_code, answer.json()["detail"]) == (503, "storage is unavailable; try again.")
    bring_back(f"file://{root}")
    assert files(root) == ["storage.json"]


async def test_a_file_that_is_gone_from_a_storage_that_is_there_is_named(client: httpx.AsyncClient, root: Path) -> None:
    made = (await upload(client, table(50))).json()
    shutil.rmtree(root / "files")
    answer = await client.get(f"/v1/datasets/{made['dataset_id']}/preview")
    assert (answer.status_code, answer.json()["code"]) == (404, "stored_file_missing")
    assert "data.parquet" in answer.json()["detail"]


async def test_an_empty_root_is_made_a_storage_only_while_kafka_knows_of_no_dataset(
    fresh_kafka: Broker, tmp_path: Path
) -> None:
    """`fresh_kafka` knows the datasets of the tests before."""
    known = [
        record.key.decode()
        async for record in read_to_end(fresh_kafka.kwargs, DATASETS.name)
        if record.key.startswith(b"ds-")
    ]
    assert known
    storage = Storage(f"file://{tmp_path}/root")
    assert not await may_be_made(storage, fresh_kafka.kwargs)
    old = tmp_path / "root" / "datasets" / known[0]
    await asyncio.to_thread(old.mkdir, parents=True)
    assert not await may_be_made(storage, fresh_kafka.kwargs)
    await asyncio.to_thread((old / "manifest.json").write_text, "{}")
    assert await may_be_made(storage, fresh_kafka.kwargs)  # a storage from before there were sentinels
    async with AIOKafkaProducer(**fresh_kafka.kwargs) as sender:
        for key in known:
            await sender.send_and_wait(DATASETS.name, None, key=key.encode())
    assert await may_be_made(Storage(f"file://{tmp_path}/other"), fresh_kafka.kwargs)


async def test_an_upload_that_has_no_room_says_how_much_there_is_and_leaves_nothing(
    fresh_kafka: Broker, fresh_redis_url: str, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", 1 << 20) as folder:
        async with gateway(fresh_kafka, fresh_redis_url, folder, projector_group="g-small") as client:
            large = await upload(client, table(60_000))
            assert (large.status_code, large.json()["code"]) == (507, "storage_full")
            assert "bytes are free, at least" in large.json()["detail"]
            assert files(folder) == ["storage.json"]
            assert (await upload(client, table(50))).status_code == 201
            assert (await client.get("/ready")).status_code == 200
