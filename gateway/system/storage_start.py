"""The first start of a storage, told from one that is not mounted: a root without a sentinel is made a storage only
when Kafka, which has the record of every dataset and model, knows of none, or when the root holds one of those that it
knows (made before there were sentinels).

Anything else is an empty place where there should be data: it is left alone, said, and looked at again (ADR 30).
"""

import asyncio
import random
from contextlib import suppress

import structlog
from aiokafka.errors import KafkaError

from runtime.errors import Unavailable
from runtime.kafka.reading import read_to_end, wait_for_kafka
from schemas.manifests import DatasetManifest, ModelManifest
from schemas.topics import DATASETS, MODELS
from storage.errors import StorageUnavailable
from storage.objects.files import Storage

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 10.0
"""Between two looks. Whoever needs the storage finds it by itself as soon as it is there."""
KAFKA_SECONDS = 5.0
READ_SECONDS = 30.0

log = structlog.get_logger()


async def settle(storage: Storage, kafka: dict[str, object]) -> None:
    """Return once the storage is there; make it one where it is new. Waits for Kafka, and for a storage that is
    away."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            await asyncio.to_thread(storage.check)
            log.info("the storage is there", storage_id=storage.id)
            return
        except StorageUnavailable as error:
            log.warning("the storage is not there", error=str(error))
        try:
            if await may_be_made(storage, kafka):
                await asyncio.to_thread(storage.initialise)
                log.info("the storage is initialised", storage_id=storage.id)
                return
        except (StorageUnavailable, Unavailable, KafkaError, OSError, TimeoutError) as error:
            log.warning("the storage cannot be initialised yet", error=str(error) or repr(error))
        await asyncio.sleep(random.uniform(0.5, 1.5) * pause)
        pause = min(LONGEST_PAUSE_SECONDS, 1.5 * pause)


async def may_be_made(storage: Storage, kafka: dict[str, object]) -> bool:
    """Whether this is a new storage, or an old one without a sentinel. Raises `Unavailable` and errors of Kafka."""
    known = await _known(kafka)
    if not known or await asyncio.to_thread(lambda: any(map(storage.holds, known))):
        return True
    log.error(
        "the storage holds none of the datasets and models that Kafka knows: mount it, or see the runbook",
        known=len(known),
    )
    return False


async def _known(kafka: dict[str, object]) -> list[str]:
    """Where the manifests of all datasets and models would be."""
    found: dict[bytes, str] = {}
    async with asyncio.timeout(READ_SECONDS):
        for topic in (DATASETS, MODELS):
            await wait_for_kafka(kafka, topic.name, timeout_seconds=KAFKA_SECONDS)
            async for record in read_to_end(kafka, topic.name, wait_for_open_transactions=True):
                found.pop(record.key, None)
                if (path := _path(record.value)) is not None:
                    found[record.key] = path
    return [*found.values()]


def _path(value: bytes | None) -> str | None:
    """Of a dataset's or model's manifest; null for every other record, splits and aliases and what nobody can read
    included."""
    if value is None:
        return None
    with suppress(ValueError):
        return f"datasets/{DatasetManifest.model_validate_json(value).dataset_id}/manifest.json"
    with suppress(ValueError):
        return f"models/{ModelManifest.model_validate_json(value).model_version}/manifest.json"
    return None
