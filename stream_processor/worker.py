"""The worker behind the Faust app: owners, lanes, models and the one scoring thread. It decides nothing about a row;
that is `score`.

Whatever goes wrong ends up in `failure`: the process then stops without acknowledging, and the next owner takes over
from the changelog."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from rows.identity import PartitionOf
from runtime.errors import Unavailable
from runtime.kafka.reading import partition_for
from runtime.process import settled
from runtime.run_epochs import RunEpochs
from schemas.ids import is_external_key, position_key
from schemas.topics import INLETS
from storage.objects.files import Storage
from storage.objects.presence import Presence
from stream_processor.batch.answers import Reasons
from stream_processor.batch.count import DeadLetterLimits
from stream_processor.batch.counting import BatchOutcome
from stream_processor.batch.score import Needs, handle
from stream_processor.faust.app import FaustApp, build
from stream_processor.kafka.champion import Registry
from stream_processor.kafka.log_queries import Broker
from stream_processor.kafka.transactions import EndWriter, PartitionTransactions
from stream_processor.metrics import BLOCKED_SECONDS, LAG, OWNED_PARTITIONS, SCORING_SECONDS
from stream_processor.models import ModelCache
from stream_processor.partition_worker import PartitionWorker
from stream_processor.settings import StreamProcessorSettings

STORAGE_SECONDS = 2.0
"""How long a load tries before the lane that wants it looks whether it is still open."""

log = structlog.get_logger()


class ScoringWorker:
    """Scores the partitions that Faust assigns. `failure` is set once, by the first thing that goes wrong."""

    def __init__(self, settings: StreamProcessorSettings) -> None:
        self.started = False
        self.lanes: dict[int, PartitionWorker] = {}
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.app: FaustApp = build(settings, self, self._dispatch)
        self.broker = Broker(settings.kafka(), timeout_seconds=settings.unavailable_after_seconds)
        self.registry = Registry(
            settings.kafka(), partitions=settings.control_partitions, timeout_seconds=settings.unavailable_after_seconds
        )
        self.epochs = RunEpochs(
            settings.kafka(), partitions=settings.control_partitions, timeout_seconds=settings.unavailable_after_seconds
        )
        self._settings = settings
        self._scoring = ThreadPoolExecutor(1, "scoring")
        self._loading = ThreadPoolExecutor(2, "loading")
        self.presence = Presence(storage := Storage(settings.storage_url))
        self._models = ModelCache(
            storage,
            self._loading,
            most=settings.models_max,
            timeout_seconds=min(STORAGE_SECONDS, settings.unavailable_after_seconds),
            records=self.registry,
        )
        self._reasons = Reasons(
            settings.exact_reasons_max_rows, settings.approximate_reasons_max_rows, settings.top_features
        )
        self._limits = DeadLetterLimits(settings.max_consecutive_dead_letters, settings.max_dead_letter_share)
        self.partition_of = PartitionOf(
            settings.data_partitions, partition_for, foreign_on_rows=settings.foreign_rows_on_rows
        )
        self._forward = frozenset(
            name.strip().lower() for name in settings.forwarded_headers.split(",") if name.strip()
        )
        self._table: MutableMapping[bytes, bytes] = self.app.stats
        self._owners: dict[int, PartitionTransactions] = {}
        self._external_runs: Counter[int] = Counter()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._end = EndWriter(settings.kafka())

    # --- what Faust calls (faust_edge.Hooks)

    async def own(self, partitions: Collection[int]) -> None:
        """Become the only writer of exactly these partitions."""
        former, self._owners = list(self._owners.values()), {}
        await asyncio.gather(*[owner.stop() for owner in former])
        started = time.monotonic()
        take = partial(
            PartitionTransactions.take,
            self._settings.kafka(),
            timeout_seconds=self._settings.transaction_timeout_seconds,
        )
        for owner in await asyncio.gather(*[take(partition) for partition in sorted(partitions)]):
            self._owners[owner.partition] = owner
        log.info("partitions taken", partitions=sorted(partitions), seconds=round(time.monotonic() - started, 3))

    async def mark_end(self, partition: int) -> int:
        """Write a plain record to the changelog; return its offset."""
        return await self._end.mark(partition)

    def open(self, partitions: Collection[int]) -> dict[TopicPartition, int]:
        """Start a lane for each partition that has none; return where each of its topics is to be read from."""
        for partition in partitions:
            if partition not in self.lanes:
                stored = {topic.name: self._table.get(position_key(partition, topic.name)) for topic in INLETS}
                begins = {name: int(at) + 1 if at else 0 for name, at in stored.items()}
                batch_rows, batch_bytes = self._settings.batch_rows, self._settings.batch_bytes
                lane = PartitionWorker(
                    self, self._owners[partition], begins, batch_rows=batch_rows, batch_bytes=batch_bytes
                )
                self.lanes[partition] = lane
                self._external_runs[partition] = sum(self._is_external(key, partition) for key in list(self._table))
                self._tasks[partition] = task = asyncio.create_task(lane.run(), name=f"lane-{partition}")
                task.add_done_callback(self._ended)
        OWNED_PARTITIONS.set(len(self.lanes))
        return {
            inlet.tp: inlet.next_offset for partition in partitions for inlet in self.lanes[partition].inlets.values()
        }

    async def close(self, partitions: Collection[int]) -> None:
        """Let the lanes finish the batch in hand."""
        lanes = [lane for partition in partitions if (lane := self.lanes.pop(partition, None))]
        tasks = [self._tasks.pop(lane.partition) for lane in lanes]
        for lane in lanes:
            lane.close()
            for gauge in (LAG, BLOCKED_SECONDS):
                for topic in lane.inlets:
                    with suppress(KeyError):
                        gauge.remove(topic, str(lane.partition))
        OWNED_PARTITIONS.set(len(self.lanes))
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=self._settings.transaction_timeout_seconds)
            if unfinished:
                self.fail(Unavailable("kafka", f"partitions {sorted(partitions)} could not be given back"))

    def offer(self, partition: int, records: list[ConsumerRecord]) -> None:
        """Queue records; those of a partition that is not open are read again once it is."""
        if lane := self.lanes.get(partition):
            lane.offer(records)

    # --- what lanes need (lane.Surroundings)

    async def scored(self, records: list[ConsumerRecord]) -> BatchOutcome:
        """Score a batch in the scoring thread, fetching the models it needs."""
        models = self._models.at_hand()
        champion: str | Literal[False] | None = self.registry.champion
        caught_up = False
        while True:
            score = partial(
                handle,
                records,
                state=self.state,
                models=models,
                champion=champion,
                partition_of=self.partition_of,
                epochs=self.epochs,
                caught_up=caught_up,
                room=self._settings.external_runs_max - self._external_runs[records[0].partition],
                now=datetime.now(UTC),
                reasons=self._reasons,
                limits=self._limits,
                forward=self._forward,
            )
            with SCORING_SECONDS.time():
                outcome = await asyncio.get_running_loop().run_in_executor(self._scoring, score)
            if not isinstance(outcome, Needs):
                self._models.used(outcome.models_used)
                return outcome
            for version in outcome.versions:
                models[version] = await self._models.get(version)
            if outcome.epochs:
                await self.epochs.catch_up()
                caught_up = True
            if outcome.champion:
                await self.registry.catch_up()
                champion = self.registry.champion or False

    def state(self, key: bytes) -> bytes | None:
        """What the table has."""
        return self._table.get(key)

    def store(self, outcome: BatchOutcome) -> None:
        """Put the committed states into the table."""
        for key, value in outcome.states:
            if self._table.get(key) is None:
                self._external_runs.update(partition for partition in self.lanes if self._is_external(key, partition))
            self._table[key] = value

    async def first_offset(self, tp: TopicPartition, wanted: int) -> int | None:
        """Ask the broker."""
        return await self.broker.first_offset(tp, wanted)

    async def log_start(self, tp: TopicPartition) -> int:
        """Ask the broker."""
        return await self.broker.log_start(tp)

    async def rewind(self, tp: TopicPartition, offset: int) -> None:
        """Have the partition read again."""
        await self.app.rewind(tp, offset)

    def hold(self, tp: TopicPartition) -> None:
        """Leave the partition out of the fetch."""
        self.app.hold(tp)

    def release(self, tp: TopicPartition) -> None:
        """Fetch the partition again."""
        self.app.release(tp)

    # --- life

    def fail(self, error: BaseException) -> None:
        """Note what went wrong; only the first counts."""
        if not self.failure.done():
            self.failure.set_result(error)

    async def warm_up(self) -> None:
        """Load the library that scores, and each model version that an alias names, before a row needs it. Never
        ends."""
        await asyncio.get_running_loop().run_in_executor(self._loading, self._models.warm)
        settled()
        done: set[str] = set()
        while True:
            for version in self.registry.named - done:
                try:
                    await self._models.get(version)
                except Unavailable as error:
                    if error.part != "storage":  # a row that needs it waits
                        raise
                else:
                    done.add(version)
            await self.registry.read_on()

    async def stop(self) -> None:
        """Finish the batches in hand, leave the group, close what is open."""
        await self.close(list(self.lanes))
        await self.app.stop()
        await asyncio.gather(*[owner.stop() for owner in self._owners.values()], self.broker.stop(), self._end.stop())
        self._models.close()
        self._scoring.shutdown(wait=False)
        self._loading.shutdown(wait=False)

    def _is_external(self, key: bytes, partition: int) -> bool:
        return is_external_key(key, partition, self._settings.data_partitions)

    async def _dispatch(self, stream: object) -> None:
        """Hand each fetched batch to its partition's lane; the agent's whole work."""
        stream.enable_acks = False  # type: ignore[attr-defined]
        async for event in stream.events():  # type: ignore[attr-defined]
            self.offer(event.message.partition, event.value)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.fail(error)
