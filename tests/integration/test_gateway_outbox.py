"""What waits in the outbox reaches a real Kafka once: sent by two gateways, after a crash, beside a write whose end is
not known."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from gateway.datasets.outbox import Outbox, announcement
from gateway.projector import Projector
from gateway.writer import Commands
from runtime.kafka.reading import read_to_end
from runtime.tasks import cancel_all
from schemas import topics
from schemas.ids import feature_selection_id
from schemas.manifests import DatasetManifest
from storage.objects import outbox
from storage.objects.files import Storage
from storage.view.redis_store import RedisStore, ViewRebuilding
from storage.view.views import Slice, Views
from tests.support.brokers import Broker
from tests.support.view_records import dataset
from tests.support.waiting import eventually

IN_DOUBT_SECONDS = 3.0


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(f"file://{tmp_path}/storage").initialise()


def kept(storage: Storage) -> DatasetManifest:
    """A dataset in the storage whose record waits."""
    manifest = dataset(f"ds-{secrets.token_hex(6)}", workspace="outbox")
    storage.write_bytes(f"datasets/{manifest.dataset_id}/manifest.json", manifest.model_dump_json().encode())
    outbox.put(storage, manifest.dataset_id)
    return manifest


@asynccontextmanager
async def sending(kafka: Broker, redis_url: str, storage: Storage, *, gateways: int = 1) -> AsyncIterator[None]:
    """So many gateways at work on the outbox."""
    store = RedisStore(redis_url)
    commands = Commands(kafka.kwargs, store)
    works = [asyncio.create_task(Outbox(commands, kafka.kwargs, store, storage).run()) for _ in range(gateways)]
    try:
        yield
        assert not [work for work in works if work.done()]
    finally:
        await cancel_all(*works)
        await commands.close()
        await store.close()


async def all_sent(storage: Storage) -> None:
    await eventually(lambda: not outbox.waiting(storage), timeout_seconds=60, message="the outbox is empty")


async def written(kafka: Broker, manifests: Sequence[DatasetManifest]) -> Counter[str]:
    """How often the dataset, its task and the order of it are on their topics, by topic and key."""
    names = {name for one in manifests for name in (one.dataset_id, feature_selection_id(one.dataset_id))}
    found: Counter[str] = Counter()
    for topic in (topics.DATASETS, topics.TASKS, topics.TRAINING_COMMANDS):
        async for record in read_to_end(kafka.kwargs, topic.name):
            if record.key.decode() in names:
                found[f"{topic.name} {record.key.decode()}"] += 1
    return found


def once(manifests: Sequence[DatasetManifest]) -> Counter[str]:
    return Counter(f"{record.topic.name} {record.key}" for one in manifests for record in announcement(one))


async def test_what_waits_is_sent_once_by_however_many_gateways_and_however_often_it_is_tried(
    kafka: Broker, fresh_redis_url: str, storage: Storage
) -> None:
    manifests = [kept(storage) for _ in range(20)]
    outbox.put(storage, "ds-without-a-manifest")
    async with sending(kafka, fresh_redis_url, storage, gateways=2):
        await all_sent(storage)
        for manifest in manifests[
            :10
        ]:  # as a gateway leaves it that was killed before it could note what Kafka had taken
            outbox.put(storage, manifest.dataset_id)
        await all_sent(storage)
    assert await written(kafka, manifests) == once(manifests)


async def test_a_write_whose_end_is_not_known_is_waited_for(
    kafka: Broker, fresh_redis_url: str, storage: Storage
) -> None:
    manifest = kept(storage)
    async with AIOKafkaProducer(**kafka.kwargs, transactional_id=f"in-doubt-{manifest.dataset_id}") as upload:
        await upload.begin_transaction()
        for record in announcement(manifest):
            await upload.send_and_wait(record.topic.name, record.value, record.key.encode())
        async with sending(kafka, fresh_redis_url, storage):
            with pytest.raises(AssertionError):
                await eventually(lambda: not outbox.waiting(storage), timeout_seconds=IN_DOUBT_SECONDS)
            await upload.commit_transaction()
            await all_sent(storage)
    assert await written(kafka, [manifest]) == once([manifest])


async def test_a_view_built_from_nothing_is_never_shown_without_what_waits(
    kafka: Broker, fresh_redis_url: str, storage: Storage
) -> None:
    manifest = kept(storage)
    store = RedisStore(fresh_redis_url)
    waiting = Outbox(Commands(kafka.kwargs, store), kafka.kwargs, store, storage)  # not at work: Kafka does not get it
    views = Views(store, waiting.find)
    projector = Projector(kafka.kwargs, store, group=f"outbox-{manifest.dataset_id}", show_waiting=waiting.show_again)
    with pytest.raises(ViewRebuilding):
        await views.list_datasets("outbox")
    assert await views.dataset(manifest.dataset_id) == manifest
    with pytest.raises(ViewRebuilding):
        await views.dataset("ds-unknown")
    work = asyncio.create_task(projector.run())
    try:
        page = await eventually(lambda: shown(views))
        assert page is not None
    finally:
        await cancel_all(work)
        await store.close()
    assert manifest in page.items
    assert outbox.waiting(storage) == [manifest.dataset_id]


async def shown(views: Views) -> Slice[DatasetManifest] | None:
    """The first list that is shown."""
    try:
        return await views.list_datasets("outbox")
    except ViewRebuilding:
        return None
