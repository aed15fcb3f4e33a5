"""Which attempt and epoch of a run are known: what claims a higher one is not from a producer of ours.

The offset of an ownership record on `run-positions.v1` is a run's epoch from then on, and it stands there before the
first row under it is sent (`producer.run_owner`). So a record is believed when it lies where its key belongs and claims
no epoch above its own offset; whoever then shows an epoch that is not known after `catch_up` has made it up. Read with
what is not committed yet: a transaction that somebody leaves open holds nobody's rows up, and the owner of a run sends
none before its own is committed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from runtime.errors import Unavailable
from runtime.kafka.clients import open_reader
from runtime.kafka.reading import partition_for
from runtime.run_owners import Owners
from schemas.decoding import Unreadable, reader
from schemas.messages import TERMINAL
from schemas.tasks import Marks, RunPosition, TaskState
from schemas.topics import RUN_POSITIONS

log = structlog.get_logger()

RETRY_SECONDS = 0.5
_AWAY = (KafkaError, OSError, TimeoutError, Unavailable)
_position = reader(RunPosition)


Rejected = Callable[[ConsumerRecord, str], Awaitable[None]]


class Known(NamedTuple):
    """The highest attempt of a run and the highest epoch of its producers."""

    attempt: int
    epoch: int


class NewestAttempt(NamedTuple):
    """Where the newest attempt of a run is, by its newest position: as `RunPosition`. The broker has all rows before
    `acknowledged`."""

    attempt: int
    epoch: int
    acknowledged: tuple[int, ...]
    ended: bool
    failed: bool


class RunEpochs:
    """`run` follows the topic until cancelled; `known` is what is known by now."""

    def __init__(
        self,
        kafka: dict[str, object],
        *,
        partitions: int,
        timeout_seconds: float = 5.0,
        rejected: Rejected | None = None,
    ) -> None:
        """`rejected` hears of the records that are not believed, and why."""
        self._kafka = kafka
        self._partitions = [TopicPartition(RUN_POSITIONS.name, partition) for partition in range(partitions)]
        self._timeout_seconds = timeout_seconds
        self._rejected = rejected
        self._known: dict[str, Known] = {}
        self._places: dict[str, NewestAttempt] = {}
        self._moved: set[str] = set()
        self._owners: dict[str, Owners] = {}
        self._next: dict[TopicPartition, int] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._read = asyncio.Condition()

    def known(self, run_id: str) -> Known | None:
        """The highest attempt and epoch that a producer of ours has had; null for a run that none ever had."""
        return self._known.get(run_id)

    def place(self, run_id: str) -> NewestAttempt | None:
        """Where the run is; null when no position of it is there any more."""
        return self._places.get(run_id)

    def lanes(self, run_id: str) -> int | None:
        """How many lanes the run has; null when no position of it is there any more."""
        place = self._places.get(run_id)
        return len(place.acknowledged) if place else None

    def runs(self) -> set[str]:
        """The runs whose place is known."""
        return set(self._places)

    def moved(self) -> set[str]:
        """The runs of which there were positions since the last call."""
        moved, self._moved = self._moved, set()
        return moved

    def counts(self, run_id: str, attempt: int, epoch: int) -> bool:
        """Whether this attempt and epoch can be those of a producer of ours, as far as is known."""
        known = self._known.get(run_id)
        return known is not None and attempt <= known.attempt and epoch <= known.epoch

    def vouches(self, task: TaskState) -> bool:
        """Whether a task's state can be from a process of ours, as far as is known.

        Only runs have epochs. Of a run that ended under producers which left nothing of it here, its end is believed,
        if it stays below what its partition can have given out.
        """
        if task.kind != "run" or task.attempt == 0:
            return task.epoch == 0
        if task.task_id not in self._known and task.status in TERMINAL:
            home = TopicPartition(RUN_POSITIONS.name, partition_for(task.task_id.encode(), len(self._partitions)))
            return task.epoch <= self._next.get(home, 0)
        return self.counts(task.task_id, task.attempt, task.epoch)

    def sends(self, run_id: str, attempt: int, epoch: int) -> bool:
        """As `counts`, for what is sent on `rows.v1`: only what a producer had, if it is not older than all that is
        known."""
        owners = self._owners.get(run_id)
        return self.counts(run_id, attempt, epoch) and (owners is None or owners.had(attempt, epoch))

    def marks(self, run_id: str, epoch: int) -> Marks | None:
        """What the producer of this epoch said of its markers before it sent them; null when it said nothing or is not
        known."""
        owners = self._owners.get(run_id)
        return owners.marks(epoch) if owners else None

    async def admits(self, run_id: str, attempt: int, epoch: int) -> bool:
        """As `counts`, but what is not known is looked for before it is refused. Raises `Unavailable`."""
        if not self.counts(run_id, attempt, epoch):
            await self.catch_up()
        return self.counts(run_id, attempt, epoch)

    async def run(self) -> None:
        """Follow the topic until cancelled; waits for a Kafka that is away."""
        while True:
            try:
                await self._follow()
            except _AWAY as error:
                log.warning("run positions are not followed", error=str(error) or repr(error))
            finally:
                self._consumer = None
            await asyncio.sleep(RETRY_SECONDS)

    async def catch_up(self) -> None:
        """Wait until everything that is on the topic now has been read: one request when nothing is new. Raises
        `Unavailable`."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                async with self._read:
                    await self._read.wait_for(lambda: self._consumer is not None)
                consumer = self._consumer
                assert consumer is not None
                ends = await consumer.end_offsets(self._partitions)
                async with self._read:
                    await self._read.wait_for(lambda: all(self._next.get(tp, 0) >= end for tp, end in ends.items()))
        except _AWAY as error:
            raise Unavailable("kafka", f"run positions cannot be read to their end: {error!r}") from error

    async def _follow(self) -> None:
        async with open_reader(self._kafka, isolation_level="read_uncommitted") as consumer:
            consumer.assign(self._partitions)
            await self._place(consumer)
            self._consumer = consumer
            while True:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        if (reason := self.take(record)) is not None:
                            log.error(
                                "a position is not believed",
                                partition=record.partition,
                                offset=record.offset,
                                reason=reason,
                            )
                            await self._tell(record, reason)
                for tp in self._partitions:
                    self._next[tp] = await consumer.position(tp)
                async with self._read:
                    self._read.notify_all()

    async def _tell(self, record: ConsumerRecord, reason: str) -> None:
        if self._rejected is None:
            return
        try:
            await self._rejected(record, reason)
        except BaseException:  # it is met again
            self._next[TopicPartition(record.topic, record.partition)] = record.offset
            raise

    async def _place(self, consumer: AIOKafkaConsumer) -> None:
        """Go on where the last consumer stood; a topic that is shorter than that is another one."""
        first, ends = await consumer.beginning_offsets(self._partitions), await consumer.end_offsets(self._partitions)
        if any(self._next.get(tp, 0) > ends[tp] for tp in self._partitions):
            self._known.clear()
            self._places.clear()
            self._owners.clear()
            self._next.clear()
        for tp in self._partitions:
            consumer.seek(tp, max(self._next.get(tp, 0), first[tp]))

    def take(self, record: ConsumerRecord) -> str | None:
        """Learn from one record; one that cannot be what it says teaches nothing: say why."""
        run_id = (record.key or b"").decode("utf-8", "replace")
        self._next[TopicPartition(RUN_POSITIONS.name, record.partition)] = record.offset + 1
        if record.partition != (home := partition_for(record.key or b"", len(self._partitions))):
            return f"its key belongs into partition {home}"
        if (
            record.value is None
        ):  # written at the end of a run by producers before `RunPosition.ended`: all its epochs lie below
            attempt = self._known[run_id].attempt if run_id in self._known else record.offset
            self._note(run_id, Known(attempt, record.offset - 1))
            self._owners.pop(run_id, None)
            return None
        position = _position(record.value)
        if isinstance(position, Unreadable):
            return position.reason
        if position.run_id != run_id:
            return f"the key {run_id!r:.80} is not that of run {position.run_id}"
        if max(position.attempt - 1, position.epoch) > record.offset:
            return (
                f"attempt {position.attempt}, epoch {position.epoch} at offset {record.offset}: so many were never"
                " begun"
            )
        epoch = record.offset if position.kind == "ownership" else position.epoch
        begins = position.epoch == 0 if run_id not in self._known else position.attempt > self._known[run_id].attempt
        self._owners.setdefault(run_id, Owners()).note(position, epoch, begins=begins and position.kind == "ownership")
        self._note(run_id, Known(position.attempt, epoch))
        former = self._places.get(run_id)
        if former is None or (former.attempt, former.epoch) <= (position.attempt, epoch):
            self._places[run_id] = NewestAttempt(
                position.attempt, epoch, tuple(position.acknowledged), position.ended, bool(position.failure)
            )
            self._moved.add(run_id)
        return None

    def _note(self, run_id: str, found: Known) -> None:
        known = self._known.get(run_id, found)
        self._known[run_id] = Known(max(known.attempt, found.attempt), max(known.epoch, found.epoch))
