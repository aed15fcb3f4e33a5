import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.errors import Unavailable
from storage.objects.files import Storage
from stream_processor.batch.answers import LoadedModel
from stream_processor.batch.score import NoModel
from stream_processor.models import MISSING_SECONDS, ModelCache
from tests.unit.stream_processor.toys import MODEL_A, MODEL_B, come_back, replaceable, store_model


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_model_is_loaded_once_and_the_least_recently_used_is_dropped(
    tmp_path: Path, executor: Executor
) -> None:
    storage = Storage(f"file://{tmp_path}").initialise()
    versions = [f"model-00000000000{i}" for i in range(3)]
    for version in versions:
        store_model(storage, version)
    cache = ModelCache(storage, executor, most=2, timeout_seconds=1)
    first = await cache.get(versions[0])
    assert isinstance(first, LoadedModel)
    assert await cache.get(versions[0]) is first
    await cache.get(versions[1])
    cache.used([versions[0]])
    await cache.get(versions[2])
    assert set(cache.at_hand()) == {versions[0], versions[2]}


async def test_a_missing_or_corrupt_model_is_no_error_and_is_looked_for_again_later(
    tmp_path: Path, executor: Executor
) -> None:
    storage, clock = Storage(f"file://{tmp_path}").initialise(), Clock()
    cache = ModelCache(storage, executor, most=2, timeout_seconds=1, clock=clock)
    assert isinstance(await cache.get(MODEL_A), NoModel)
    assert isinstance(await cache.get("../../etc/passwd"), NoModel)
    store_model(storage, MODEL_A)
    assert isinstance(await cache.get(MODEL_A), NoModel)
    clock.now += MISSING_SECONDS
    assert isinstance(await cache.get(MODEL_A), LoadedModel)
    store_model(storage, MODEL_B)
    storage.write_bytes(f"models/{MODEL_B}/model.ubj", b"broken")
    assert isinstance(await cache.get(MODEL_B), NoModel)


async def test_an_unavailable_storage_is_waited_for_and_given_up_on_after_the_bound(
    tmp_path: Path, executor: Executor
) -> None:
    store_model(Storage(f"file://{tmp_path}/real").initialise(), MODEL_A)
    place = replaceable(tmp_path, tmp_path / "real")
    storage = Storage(f"file://{place}")
    with pytest.raises(Unavailable, match="storage"):
        await ModelCache(storage, executor, most=2, timeout_seconds=0.2).get(MODEL_A)
    waiting = asyncio.create_task(ModelCache(storage, executor, most=2, timeout_seconds=30).get(MODEL_A))
    await asyncio.sleep(0)
    come_back(place)
    assert isinstance(await waiting, LoadedModel)
