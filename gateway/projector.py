"""The projector: keeps the view in Redis up with Kafka.

The consumer group only says which gateway projects which partition; where to read is in Redis, moved in the same step
as the data. So a batch applied twice, a frozen projector that wakes up, or a flushed Redis do no harm: a position that
is missing or has gone back is found at the next write, or within `CHECK_SECONDS`, and the view is not shown until it is
whole again. So it is with keys that are missing; then all of the view is built again (ADR 29).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from gateway import metrics
from gateway.caretaker import Caretaker
from gateway.unassigned import Idle
from runtime.errors import Unavailable
from runtime.kafka.aiokafka_patches import fetch_cluster
from runtime.kafka.clients import group_consumer
from runtime.kafka.reading import partition_for
from runtime.quarantine import Quarantine
from runtime.run_epochs import RunEpochs
from runtime.tasks import cancel_all, stop_client
from schemas.decoding import reader
from schemas.tasks import TaskState
from schemas.topics import DEAD_LETTERS, RUN_POSITIONS, TASKS
from storage.view.operations import Older, Operation, fold
from storage.view.projection import PROJECTED, project_all
from storage.view.redis_store import Advance, RedisStore, RedisUnavailable, RedisUnfit, ViewRebuilding

log = structlog.get_logger()

GROUP = "gateway-projector"
POLL_MS = 250
BATCH_RECORDS = 2000
CHECK_SECONDS = 0.5
RETRY_SECONDS = 0.5
KAFKA_TIMEOUT_SECONDS = 20.0
STOP_TIMEOUT_SECONDS = 5.0
PATIENCE = 5
"""How often a position beyond the end of the topic is looked at again before it is believed."""
_task = reader(TaskState)
_CONTROL = {topic.name for topic in PROJECTED if topic.family == "control"}
_COMPACTED = {topic.name for topic in PROJECTED if topic.cleanup == "compact"}


class Projector(ConsumerRebalanceListener):  # type: ignore[misc]
    """One member of the group of projectors."""

    def __init__(
        self,
        kafka: dict[str, object],
        store: RedisStore,
        *,
        group: str = GROUP,
        rebuild_records: int = 5000,
        session_timeout_ms: int = 6000,
        show_waiting: Callable[[], Awaitable[None]] | None = None,
        guard_epochs: bool = False,
    ) -> None:
        """`rebuild_records`: how far back per partition a new or flushed Redis is filled from topics that are not
        compacted.

        `show_waiting` puts into the view what no topic holds yet; it comes first, so that what meanwhile reaches a
        topic is found there. Records that are not believed go to quarantine before the position moves; with
        `guard_epochs` states of runs under epochs that nobody had are among them.
        """
        self._kafka = kafka
        self._store = store
        self._group = group
        self._rebuild_records = rebuild_records
        self._session_timeout_ms = session_timeout_ms
        self._show_waiting = show_waiting
        self._next: dict[TopicPartition, int] = {}
        self._placed: set[TopicPartition] = set()
        self._reported: dict[TopicPartition, int] = {}
        self._generation = 0
        self._idle = Idle(store)
        self._quarantine = Quarantine(kafka, "gateway")
        self._guard_epochs = guard_epochs
        self._epochs: RunEpochs | None = None
        self._following: asyncio.Task[None] | None = None
        self._counts: dict[str, int] = {}
        self._caretaker = Caretaker(store)
        self.problem: str | None = "not started"
        """Why the view is not kept up at the moment; None when it is."""

    async def run(self) -> None:
        """Project until cancelled. Waits for a Kafka or a Redis that is away or takes no writes, and for a view that
        another clears away.

        Raises `RedisUnfit`; any other exception is a bug and ends the process.
        """
        try:
            while True:
                try:
                    await self._follow()
                except RedisUnfit:
                    raise
                except (RedisUnavailable, ViewRebuilding) as error:
                    self._waits(error)
                    await self._caretaker.hold_back(error)
                except (KafkaError, OSError, TimeoutError, Unavailable) as error:
                    self._waits(error)
                    await self._caretaker.let_go()
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            if self._following is not None:
                await cancel_all(self._following)
            await self._quarantine.close()

    def _waits(self, error: Exception) -> None:
        self.problem = str(error) or repr(error)
        log.warning("the projector waits", error=self.problem)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """A rebalance begins: every partition is placed anew behind it."""
        self._placed.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing is read here: a Redis that is away must not hold the group up."""
        self._placed.clear()
        self._generation += 1

    async def _follow(self) -> None:
        consumer = group_consumer(
            self._kafka, self._group, self._session_timeout_ms, heartbeats=4, max_partition_fetch_bytes=4 << 20
        )
        try:
            async with asyncio.timeout(KAFKA_TIMEOUT_SECONDS):
                await consumer.start()
                expected = await self._partitions(consumer)
            if self._guard_epochs and self._following is None:
                self._epochs = RunEpochs(self._kafka, partitions=self._counts[TASKS.name], rejected=self._disbelieved)
                self._following = asyncio.create_task(self._epochs.run())
            consumer.subscribe([topic.name for topic in PROJECTED], listener=self)
            await self._loop(consumer, expected)
        finally:
            self._placed.clear()
            with contextlib.suppress(
                TimeoutError, KafkaError
            ):  # must not hide why we are here, a cancellation above all
                async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                    await stop_client(consumer)

    async def _partitions(self, consumer: AIOKafkaConsumer) -> int:
        """Number of partitions that must be projected before the view may be shown; waits for topics that do not exist
        yet."""
        cluster = await fetch_cluster(consumer)
        counts = self._counts = {topic.name: len(cluster.partitions_for_topic(topic.name) or ()) for topic in PROJECTED}
        if missing := [name for name, count in counts.items() if not count]:
            raise TimeoutError(f"topics do not exist: {missing}")
        return sum(counts.values())

    async def _loop(self, consumer: AIOKafkaConsumer, expected: int) -> None:
        loop = asyncio.get_running_loop()
        checked_at = loop.time()
        while True:
            if unplaced := consumer.assignment() - self._placed:
                try:
                    await self._place(consumer, sorted(unplaced), expected)
                except IllegalStateError:  # taken away meanwhile: look at the assignment again
                    self._placed.clear()
            placed = tuple(self._placed)
            if not placed:
                await self._wait_for_partitions(consumer)
                if loop.time() - checked_at > CHECK_SECONDS:
                    checked_at = loop.time()
                    await self._check(expected)
                if self._idle.due(loop.time()):
                    self.problem = await self._idle.look(consumer, [topic.name for topic in PROJECTED], loop.time())
                continue
            self._idle.over()
            batch = await consumer.getmany(*placed, timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
            await self._apply(consumer, batch, expected)
            if loop.time() - checked_at > CHECK_SECONDS:
                checked_at = loop.time()
                owned = self._placed & consumer.assignment()
                metrics.PROJECTOR_LAG.set(sum(max((consumer.highwater(tp) or 0) - self._next[tp], 0) for tp in owned))
                await self._check(expected)
                await self._report(consumer)

    async def _wait_for_partitions(self, consumer: AIOKafkaConsumer) -> None:
        """Poll, which says what is wrong with the group; what it may return is read again once its partition is
        placed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await consumer.getmany(timeout_ms=50)

    async def _place(self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], expected: int) -> None:
        """Read each partition from its position in Redis on; without one, build its part of the view again."""
        consumer.pause(*partitions)  # requests would wait behind a fetch, and it would fetch what is not wanted
        await self._caretaker.clear()
        if self._show_waiting is not None:
            await self._show_waiting()
        async with asyncio.timeout(KAFKA_TIMEOUT_SECONDS):
            first, ends = await consumer.beginning_offsets(partitions), await self._ends(consumer, partitions)
        if None in (await self._store.check([name(tp) for tp in partitions], expected)).positions:
            # nothing here says how far a topic goes, and a broker that was killed may name, for a moment, an end of
            # some seconds before
            await asyncio.sleep(RETRY_SECONDS)
            async with asyncio.timeout(KAFKA_TIMEOUT_SECONDS):
                ends = {tp: max(ends[tp], end) for tp, end in (await self._ends(consumer, partitions)).items()}
        generation = self._generation
        positions: dict[TopicPartition, int] = {}
        for tp in partitions:
            end = ends[tp]
            start = first[tp] if tp.topic in _COMPACTED else max(first[tp], end - self._rebuild_records)
            former = min(self._next.get(tp, 0), end)
            positions[tp] = await self._store.begin(name(tp), start=start, target=end, expected=expected, former=former)
            if tp.topic == DEAD_LETTERS.name and first[tp] < start == positions[tp]:
                await self._store.apply([Older()], [])
            if positions[tp] > end and await self._is_foreign(consumer, tp, positions[tp]):
                return
        if generation != self._generation:  # the group has settled anew meanwhile, which undoes a seek
            return
        for tp, position in positions.items():
            consumer.seek(tp, position)
        self._next |= positions
        consumer.resume(*partitions)
        self._placed.update(partitions)
        self.problem = None
        log.info("projecting", partitions=len(self._placed))

    async def _ends(
        self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Where the partitions end. A broker that has just started may name an end that lies before what was read from
        it: the view would be called whole without what stands behind."""
        for _ in range(PATIENCE):
            ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
            if all(self._next.get(tp, 0) <= ends[tp] for tp in partitions):
                break
            await asyncio.sleep(RETRY_SECONDS)
        return ends

    async def _is_foreign(self, consumer: AIOKafkaConsumer, tp: TopicPartition, position: int) -> bool:
        """Whether the view was built from other topics than these (they were deleted): then it is dropped."""
        end = -1
        for _ in range(PATIENCE):  # a broker that has just started may not know its end yet
            await asyncio.sleep(RETRY_SECONDS)
            async with asyncio.timeout(KAFKA_TIMEOUT_SECONDS):
                end = (await consumer.end_offsets([tp]))[tp]
            if position <= end:
                return False
        log.error("the view is of other topics than these: dropped", partition=name(tp), position=position, end=end)
        await self._store.condemn("it was of other topics than these")
        self._next.clear()
        self._placed.clear()
        return True

    async def _apply(
        self, consumer: AIOKafkaConsumer, batch: dict[TopicPartition, list[ConsumerRecord]], expected: int
    ) -> None:
        operations: list[Operation] = []
        touched: set[str] = set()
        for tp, records in batch.items():
            metrics.PROJECTED.labels(tp.topic).inc(len(records))
            believed, refused = await self._believed(tp, records)
            read = ((record.offset, record.key, record.value) for record in believed)
            projected = project_all(tp.topic, tp.partition, read, self._store.limits)
            await self._pass_over(tp, records, {**refused, **dict(projected.rejected)})
            operations += projected.operations
            touched |= projected.touched
            await asyncio.sleep(0)  # requests get their turn
        advances = await self._advances(consumer)
        if advances is None or not self._placed.issuperset(batch):
            self._placed.clear()  # what was read is not applied, so it must be read again
            return
        if not advances:
            return
        with metrics.APPLY_SECONDS.time():
            lost = await self._store.apply(
                fold(operations, self._store.limits), touched, advances=tuple(advances.values()), expected=expected
            )
        if lost:
            self._lost(lost)
            return
        self._next |= {tp: advance.next for tp, advance in advances.items()}

    async def _believed(
        self, tp: TopicPartition, records: list[ConsumerRecord]
    ) -> tuple[list[ConsumerRecord], dict[int, str]]:
        """The records that can be from a process of ours, and why others cannot, by offset."""
        if tp.topic not in _CONTROL:
            return records, {}
        refused: dict[int, str] = {}
        for record in records:
            home = partition_for(record.key or b"", self._counts[tp.topic])
            if home != tp.partition:
                refused[record.offset] = f"its key belongs into partition {home}"
            elif tp.topic == TASKS.name and record.value and self._epochs is not None:
                task = _task(record.value)
                if isinstance(task, TaskState) and not await self._vouched(task):
                    refused[record.offset] = (
                        f"attempt {task.attempt}, epoch {task.epoch} is not known to {RUN_POSITIONS.name}"
                    )
        return [record for record in records if record.offset not in refused], refused

    async def _vouched(self, task: TaskState) -> bool:
        """Whether the state of a run is of an attempt that has begun; what is not known yet is looked for. Raises
        `Unavailable`."""
        assert self._epochs is not None
        if not self._epochs.vouches(task):
            await self._epochs.catch_up()
        return self._epochs.vouches(task)

    async def _pass_over(self, tp: TopicPartition, records: list[ConsumerRecord], reasons: dict[int, str]) -> None:
        for offset, reason in reasons.items():
            metrics.REJECTED.labels(tp.topic).inc()
            log.error("record passed over", place=f"{name(tp)}:{offset}", reason=reason)
        await self._quarantine.put((record, reasons[record.offset]) for record in records if record.offset in reasons)

    async def _disbelieved(self, record: ConsumerRecord, reason: str) -> None:
        await self._quarantine.put([(record, reason)])

    async def _advances(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, Advance] | None:
        """How far each partition was read, transaction markers included; None when that is not known for all."""
        reached: dict[TopicPartition, int] = {}
        try:
            async with asyncio.timeout(1.0):
                for tp in tuple(self._placed):
                    reached[tp] = await consumer.position(tp)
        except (IllegalStateError, TimeoutError):
            return None
        return {
            tp: Advance(name(tp), self._next[tp], position)
            for tp, position in reached.items()
            if position > self._next[tp]
        }

    async def _check(self, expected: int) -> None:
        """Find out that Redis was emptied, went back, or misses something, also while there is nothing to write."""
        placed = sorted(self._placed)
        stored = await self._caretaker.look([name(tp) for tp in placed], expected)
        if lost := [
            name(tp)
            for tp, position in zip(placed, stored, strict=True)
            if position is None or position < self._next[tp]
        ]:
            self._lost(lost)

    async def _report(self, consumer: AIOKafkaConsumer) -> None:
        """Store how far the view is, for whoever asks the group for its lag; where to read is in Redis."""
        owned = self._placed & consumer.assignment()
        moved = {tp: self._next[tp] for tp in owned if self._next[tp] != self._reported.get(tp)}
        if moved:
            with contextlib.suppress(KafkaError):  # the group settles anew
                await consumer.commit(moved)
                self._reported |= moved

    def _lost(self, partitions: list[str]) -> None:
        metrics.REBUILDS.inc()
        log.warning("the view is built again: its positions are gone from Redis", partitions=partitions)
        self._placed.clear()


def name(tp: TopicPartition) -> str:
    """A partition as it is called in Redis."""
    return f"{tp.topic}:{tp.partition}"
