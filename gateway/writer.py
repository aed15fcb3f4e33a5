"""What the gateway writes to Kafka: accepted tasks, orders to their owners, registry records.

Each write is one Kafka transaction and is applied to Redis as well before it returns, so that a client reads its own
write. A write that Kafka does not confirm in time raises `Unavailable("kafka")`. Once Kafka has it, it stands: if Redis
fails then, the projector catches up."""

import asyncio
import os
import socket
import uuid
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaError
from aiokafka.structs import RecordMetadata

from gateway import metrics
from runtime.errors import Unavailable
from runtime.kafka.aiokafka_patches import drop
from runtime.kafka.clients import bare_client, owning_producer
from runtime.tasks import stop_client
from schemas.messages import encode
from schemas.tasks import Command, FeatureSelectionSpec, RunSpec, TaskKind, TaskState, TrainingSpec
from schemas.topics import MAX_MESSAGE_BYTES, TASKS, Topic
from schemas.transitions import RunOrder
from storage.view.operations import Operation
from storage.view.projection import PROJECTED, Projected, project
from storage.view.redis_store import RedisStore, RedisUnavailable, ViewRebuilding

log = structlog.get_logger()

TRANSACTION_TIMEOUT_MS = 10_000
"""A transaction left open by a crash holds back readers of the same partitions for this long at most."""
CLOSE_TIMEOUT_SECONDS = 5.0
_PROJECTED = {topic.name for topic in PROJECTED}


def pending(
    task_id: str,
    kind: TaskKind,
    workspace: str,
    spec: RunSpec | TrainingSpec | FeatureSelectionSpec,
    *,
    accepted_at: datetime | None = None,
) -> TaskState:
    """A task as the gateway accepts it, now unless said otherwise, before any worker has it."""
    now = accepted_at or datetime.now(UTC)
    return TaskState(
        task_id=task_id,
        kind=kind,
        workspace=workspace,
        status="PENDING",
        attempt=0,
        epoch=0,
        created_at=now,
        updated_at=now,
        spec=msgspec.to_builtins(spec),
    )


Order = RunOrder | Literal["cancel"]


class OutgoingRecord(NamedTuple):
    """One record to write; value None deletes the key."""

    topic: Topic
    key: str
    value: bytes | None


def acceptance(task: TaskState, commands: Topic) -> tuple[OutgoingRecord, OutgoingRecord]:
    """The PENDING task, and its start command for the topic `commands`."""
    start = Command(command="start", task_id=task.task_id, issued_at=task.created_at, task=task)
    return OutgoingRecord(TASKS, task.task_id, encode(task)), OutgoingRecord(commands, task.task_id, encode(start))


def projected(
    records: Sequence[OutgoingRecord], places: Iterable[tuple[int, int]]
) -> tuple[list[Operation], list[str]]:
    """What records of our own do to the view, each at its (partition, offset), and whose readers must hear of it."""
    operations: list[Operation] = []
    touched: list[str] = []
    for record, (partition, offset) in zip(records, places, strict=True):
        if record.topic.name not in _PROJECTED:
            continue
        found = project(record.topic.name, partition, offset, record.key.encode(), record.value)
        if not isinstance(found, Projected):
            raise ValueError(f"a record of our own cannot be projected: {found.reason}")
        operations += found.operations
        touched += [found.touched] if found.touched else []
    return operations, touched


class Commands:
    """A writer to Kafka. Its writes follow one another: a transactional producer has one transaction at a time."""

    def __init__(
        self,
        kafka: dict[str, object],
        store: RedisStore,
        *,
        timeout_seconds: float = 5.0,
        transactional_id: str | None = None,
    ) -> None:
        """`timeout_seconds` bounds a write, the wait for those before it included. `transactional_id` is that of this
        process alone by default; writers that share one fence each other."""
        self._kafka = kafka
        self._store = store
        self._timeout_seconds = timeout_seconds
        self._transactional_id = (
            transactional_id or f"gateway-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        )
        self._producer: AIOKafkaProducer | None = None
        self._one_at_a_time = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Have a producer: from here on who had the same transactional id is fenced, and what it left open is
        aborted."""
        await self._write([])

    async def accept(self, task: TaskState, commands: Topic) -> None:
        """Write the PENDING task and its start command to the topic `commands`, both or neither."""
        await self.record(*acceptance(task, commands))

    async def order(
        self, commands: Topic, task_id: str, command: Order, arguments: dict[str, Any] | None = None
    ) -> None:
        """Send a command to the owner of the task."""
        order = Command(command=command, task_id=task_id, issued_at=datetime.now(UTC), arguments=arguments or {})
        await self.record(OutgoingRecord(commands, task_id, encode(order)))

    async def record(self, *records: OutgoingRecord) -> None:
        """Write records, all or nothing; what is projected can be read when this returns."""
        writing = asyncio.ensure_future(
            self._write(records)
        )  # goes on when the client leaves: half a transaction helps nobody
        written = await asyncio.shield(writing)
        await self._apply(records, written)

    async def problem(self) -> str | None:
        """Why nothing can be written; None when Kafka answers. Bounded."""
        client = bare_client(self._kafka)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await client.bootstrap()
        except (TimeoutError, OSError, KafkaError) as error:
            return str(error) or "does not answer"
        finally:
            await client.close()
        return None

    async def close(self) -> None:
        """Let the producer go; the next write would start another."""
        async with self._one_at_a_time:
            producer, self._producer = self._producer, None
            if producer is not None:
                await _tried(stop_client(producer))
        if self._closing:
            await asyncio.wait(self._closing)

    async def _write(self, records: Sequence[OutgoingRecord]) -> list[RecordMetadata]:
        try:
            async with asyncio.timeout(self._timeout_seconds), self._one_at_a_time:
                try:
                    with metrics.WRITE_SECONDS.time():
                        return await self._transact(records)
                except BaseException:
                    self._discard()  # its transaction may be open: the next producer, of the same id, ends it
                    raise
        except TimeoutError as error:
            raise Unavailable("kafka", f"a write was not confirmed within {self._timeout_seconds:.0f} s") from error
        except (
            OSError,
            KafkaError,
            IllegalOperation,
            AssertionError,
        ) as error:  # the last two: fenced, it is in no transaction any more
            raise Unavailable("kafka", repr(error)) from error
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            raise Unavailable("kafka", "the producer ended in the middle of a write") from error

    async def _transact(self, records: Sequence[OutgoingRecord]) -> list[RecordMetadata]:
        producer = self._producer or await self._start()
        await producer.begin_transaction()
        sent = [await producer.send(record.topic.name, record.value, record.key.encode()) for record in records]
        written: list[RecordMetadata] = await asyncio.gather(*sent)
        await producer.commit_transaction()
        return written

    async def _start(self) -> AIOKafkaProducer:
        self._producer = owning_producer(
            self._kafka, self._transactional_id, TRANSACTION_TIMEOUT_MS, max_request_size=MAX_MESSAGE_BYTES
        )
        await self._producer.start()
        return self._producer

    def _discard(self) -> None:
        """Drop the producer without its goodbyes, which wait for a broker that is away, and without its retries: they
        would carry a write out after it was said to have failed."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        drop(producer)
        task = asyncio.create_task(_tried(producer.client.close()))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _apply(self, records: Sequence[OutgoingRecord], written: Sequence[RecordMetadata]) -> None:
        operations, touched = projected(records, ((place.partition, place.offset) for place in written))
        if not operations:
            return
        try:
            await self._store.apply(operations, touched)
        except (RedisUnavailable, ViewRebuilding) as error:
            log.warning("written to Kafka but not yet to Redis", error=str(error))


async def _tried(closing: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await closing
    except Exception as error:
        log.warning("a producer did not close cleanly", error=repr(error))
