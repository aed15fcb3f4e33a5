"""Datasets are announced to Kafka: at once, or, while it is away, as soon as it answers (ADR 22).

What could not be announced lies in the storage's outbox and is in the view already, below every offset, so that Kafka's
own record takes its place. Whatever crashes, each dataset that was answered for is announced once: the gateways send
what waits through one transactional id, which fences all but the newest of them, and only what is not on the topic yet.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterable

import structlog
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from gateway import metrics
from gateway.errors import Invalid, problem
from gateway.writer import Commands, OutgoingRecord, acceptance, pending, projected
from runtime.errors import Unavailable
from runtime.kafka.reading import read_to_end
from schemas import ids, topics
from schemas.manifests import DatasetManifest
from schemas.tasks import FeatureSelectionSpec
from storage.errors import StorageUnavailable
from storage.objects import outbox
from storage.objects.files import Storage
from storage.view.redis_store import RedisStore, RedisUnavailable, ViewRebuilding

log = structlog.get_logger()

TRANSACTIONAL_ID = "gateway-outbox"
UNSENT = (0, -1)
"""The place of a record that Kafka does not have: any offset is above it."""
RETRY_SECONDS = (1.0, 3.0)
"""Between two looks at what waits; at random, so that gateways do not go on fencing each other."""
LOOK_SECONDS = 5.0
"""Longest time that a storage which hangs holds the projector up."""
READ_SECONDS = 30.0
"""Longest wait for a transaction that a crash left open on the topic."""
LARGEST_MANIFEST = topics.MAX_MESSAGE_BYTES - 4096


def announcement(manifest: DatasetManifest) -> tuple[OutgoingRecord, ...]:
    """The records that tell of a dataset and order its feature selection: all or none. Always the same ones."""
    task = pending(
        ids.feature_selection_id(manifest.dataset_id),
        "feature_selection",
        manifest.workspace,
        FeatureSelectionSpec(dataset_id=manifest.dataset_id),
        accepted_at=manifest.created_at,
    )
    record = OutgoingRecord(topics.DATASETS, manifest.dataset_id, manifest.model_dump_json().encode())
    return record, *acceptance(task, topics.TRAINING_COMMANDS)


class Outbox:
    """The announcements of one gateway; several gateways may share a storage."""

    def __init__(
        self,
        commands: Commands,
        kafka: dict[str, object],
        store: RedisStore,
        storage: Storage,
        *,
        timeout_seconds: float = 5.0,
    ) -> None:
        """`commands` writes while Kafka answers; `timeout_seconds` bounds each write of what waits."""
        self._commands, self._kafka, self._store, self._storage = commands, kafka, store, storage
        self._sender = Commands(kafka, store, timeout_seconds=timeout_seconds, transactional_id=TRANSACTIONAL_ID)
        self._shown: set[str] = set()

    async def announce(self, manifest: DatasetManifest) -> None:
        """Record a stored dataset and order its feature selection, now or later; it can be read when this returns.
        Bounded.

        Raises `StorageUnavailable` when neither Kafka nor the storage takes it, `Invalid` when it is too large for
        both."""
        records = announcement(manifest)
        if len(records[0].value or b"") > LARGEST_MANIFEST:
            text = f"{manifest.column_count} columns are too many to be described in a message of Kafka."
            raise Invalid([problem(("body", "file"), text, "value_error.columns_too_many")])
        if await self._commands.problem() is None:
            try:
                await self._commands.record(*records)
            except Unavailable as error:  # Kafka may have it all the same: that is found out before it is sent again
                log.warning("an upload is announced later", dataset_id=manifest.dataset_id, error=str(error))
            else:
                return
        await asyncio.to_thread(outbox.put, self._storage, manifest.dataset_id)
        await self._show([manifest])

    async def find(self, dataset_id: str) -> DatasetManifest | None:
        """A dataset that waits; None when there is no such one. Raises `StorageUnavailable`."""
        waiting = await asyncio.to_thread(outbox.waiting, self._storage)
        return await asyncio.to_thread(outbox.manifest, self._storage, dataset_id) if dataset_id in waiting else None

    async def show_again(self) -> None:
        """Put all that waits into the view, which may be empty. A part that is away is not waited for."""
        self._shown.clear()
        with contextlib.suppress(StorageUnavailable, TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._show_new()

    async def run(self) -> None:
        """Show and send what waits, until cancelled. Waits for a part that is away; any other exception is a bug and
        ends the process."""
        while True:
            try:
                if await self._show_new():
                    await self._send()
            except (Unavailable, StorageUnavailable, KafkaError, OSError, TimeoutError) as error:
                log.warning("the outbox waits", error=str(error) or repr(error))
            await asyncio.sleep(random.uniform(*RETRY_SECONDS))

    async def _show_new(self) -> bool:
        """Whether anything waits."""
        waiting = await asyncio.to_thread(outbox.waiting, self._storage)
        metrics.UPLOADS_WAITING.set(len(waiting))
        self._shown &= {*waiting}
        await self._show(await self._manifests(name for name in waiting if name not in self._shown))
        return bool(waiting)

    async def _show(self, manifests: Iterable[DatasetManifest]) -> None:
        for manifest in manifests:
            records = announcement(manifest)
            try:
                if not await self._store.apply(*projected(records, [UNSENT] * len(records))):
                    self._shown.add(manifest.dataset_id)
            except (RedisUnavailable, ViewRebuilding) as error:
                log.warning("an upload is not shown yet", dataset_id=manifest.dataset_id, error=str(error))

    async def _send(self) -> None:
        """Send what waits and is not on the topic: the order of the steps is what keeps it from being sent twice."""
        waiting = await asyncio.to_thread(outbox.waiting, self._storage)  # whoever tried before has given up on these
        try:
            await (
                self._sender.open()
            )  # nobody else sends them from here on, and what was sent is on the topic or never will be
            announced = await self._announced()
            for manifest in await self._manifests(waiting):
                if manifest.dataset_id not in announced:
                    await self._sender.record(*announcement(manifest))
                    log.info("an upload is announced", dataset_id=manifest.dataset_id)
                await asyncio.to_thread(outbox.remove, self._storage, manifest.dataset_id)
        finally:
            await self._sender.close()

    async def _announced(self) -> set[str]:
        """Ids of the datasets that Kafka has; a transaction whose end is not known is waited for."""
        async with asyncio.timeout(READ_SECONDS):
            records = read_to_end(self._kafka, topics.DATASETS.name, wait_for_open_transactions=True)
            return {record.key.decode("utf-8", "replace") async for record in records if record.key}

    async def _manifests(self, waiting: Iterable[str]) -> list[DatasetManifest]:
        """Their manifests; what cannot be announced is passed over."""
        found = []
        for dataset_id in waiting:
            try:
                manifest = await asyncio.to_thread(outbox.manifest, self._storage, dataset_id)
            except ValidationError as error:
                log.error("a manifest that waits cannot be read", dataset_id=dataset_id, error=str(error))
                continue
            if manifest is None:  # its upload failed after all
                await asyncio.to_thread(outbox.remove, self._storage, dataset_id)
            else:
                found.append(manifest)
        return found
