"""A control partition and its transactional owner (ADR 6): what is written through it is written by the only owner,
whole or not at all.

Opening the transactional producer `group-p` fences the former owner and ends what it left open. aiokafka sends no group
generation with transactional offsets, so it is the producer's epoch, not the group's, that keeps a stale owner from
committing a command. Pass one on only to work that belongs to the partition; after it is lost every transaction raises
`Fenced`."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from runtime.errors import Fenced, Unavailable
from runtime.kafka.clients import owning_producer
from runtime.kafka.errors import classify
from runtime.tasks import cancel_all, stop_client
from schemas.topics import Topic

log = structlog.get_logger()

T = TypeVar("T")
Record = tuple[Topic, bytes, bytes | None]
"""Topic, key, value; a value of None is a tombstone."""
Places = dict[TopicPartition, OffsetAndMetadata]

ANSWER_TIMEOUT_SECONDS = 60.0
"""How long the broker may be silent, a restart included, before the process gives up."""
TRANSACTION_TIMEOUT_MS = 30_000
"""Readers wait behind a transaction that a crash left open: until the next owner ends it, or this long."""


class Partition:
    """One owned control partition."""

    def __init__(
        self, kafka: dict[str, object], group: str, number: int, on_failure: Callable[[Exception], None]
    ) -> None:
        self.number = number
        self.lost = False
        """Another process may own it: nothing can be written any more."""
        self.committed = -1
        """Offset of the last command whose handling is committed."""
        self._kafka, self._group, self._on_failure = kafka, group, on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self._producer: AIOKafkaProducer | None = None
        self._failure: Exception | None = None
        self._one_at_a_time = asyncio.Lock()
        self._settled = asyncio.Event()
        self._settled.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run work in the background that belongs to this partition: cancelled when it is given up; an exception in it
        ends the process."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and not self.lost:
            self._on_failure(error)

    async def begin(self, command: ConsumerRecord, tries: int) -> None:
        """Write down that a command is begun for this many times and not done yet: a crash in it will be remembered."""
        await self.transaction([], command=command, tries=tries)

    async def transaction(
        self, records: Sequence[Record], *, command: ConsumerRecord | None = None, tries: int = 0
    ) -> list[int]:
        """Write the records (default partitioner) and, when given, commit the command's offset for the group, in one
        Kafka transaction.

        With `tries` the group stays at the command, with the number beside it.

        Returns the offset of each record. Calls are serialised; one that is cancelled is carried out all the same.
        While the group rebalances, calls wait. Raises `Fenced`, `Unavailable`.
        """
        await in_time(self._settled.wait(), "kafka", "the group does not settle")
        return await asyncio.shield(asyncio.ensure_future(self._transact(records, command, tries)))

    async def reach(self, topic: str, offset: int, *, still: Callable[[], bool]) -> None:
        """Have the group stand at `offset`, before which there is no command that is not handled, if `still` says so
        when it is our turn.

        In a transaction, for a plain commit knows no owner: one that is sent again after a rebalance would take the
        group back. Raises as `transaction`.
        """
        await in_time(self._settled.wait(), "kafka", "the group does not settle")
        await asyncio.shield(
            asyncio.ensure_future(
                self._reach({TopicPartition(topic, self.number): OffsetAndMetadata(offset, "")}, still)
            )
        )

    async def _reach(self, place: Places, still: Callable[[], bool]) -> None:
        async with self._one_at_a_time:
            if still() and all(found.offset > self.committed + 1 for found in place.values()):
                await self._commit([], place)

    async def _transact(self, records: Sequence[Record], command: ConsumerRecord | None, tries: int) -> list[int]:
        place: Places = {}
        if command is not None:
            found = (
                OffsetAndMetadata(command.offset, str(tries)) if tries else OffsetAndMetadata(command.offset + 1, "")
            )
            place[TopicPartition(command.topic, command.partition)] = found
        async with self._one_at_a_time:
            offsets = await self._commit(records, place)
            if command is not None and not tries:
                self.committed = command.offset
            return offsets

    async def _commit(self, records: Sequence[Record], place: Places) -> list[int]:
        if self.lost or self._producer is None:
            raise Fenced(f"partition {self.number} of {self._group} is given up")
        if self._failure is not None:
            raise self._failure
        try:
            return await in_time(self._write(self._producer, records, place), "kafka", "a transaction does not end")
        except Exception as error:  # whatever it was, the transaction stays open: only the next owner can end it
            self._failure = classify(error, f"writing to partition {self.number} of {self._group}")
            raise self._failure from error

    async def _write(self, producer: AIOKafkaProducer, records: Sequence[Record], place: Places) -> list[int]:
        await producer.begin_transaction()
        futures = [await producer.send(topic.name, value, key=key) for topic, key, value in records]
        written = await asyncio.gather(
            *futures
        )  # before the commit: aiokafka would commit without a record that failed
        if place:
            await producer.send_offsets_to_transaction(place, self._group)
        await producer.commit_transaction()
        return [metadata.offset for metadata in written]

    async def open(self) -> None:
        """Become the owner: from here on the former one is fenced, and what it left open is aborted. Never during a
        rebalance."""
        await in_time(self._settled.wait(), "kafka", "the group does not settle")
        async with self._one_at_a_time:
            if self.lost:  # opening now would fence the rightful owner
                raise Fenced(f"partition {self.number} of {self._group} is given up")
            self._producer = await self._opened()

    async def _opened(self) -> AIOKafkaProducer:
        producer = owning_producer(
            self._kafka, f"{self._group}-{self.number}", TRANSACTION_TIMEOUT_MS, max_request_size=4 << 20
        )
        started = False
        try:
            await in_time(producer.start(), "kafka", "the transactional producer does not start")
        except Exception as error:
            raise classify(error, f"taking partition {self.number} of {self._group}") from error
        else:
            started = True
        finally:
            if not started:  # cancelled, too
                await _stopped(producer)
        return producer

    def suspend(self) -> None:
        """A rebalance begins: hold new transactions back until it is known whose the partition is."""
        self._settled.clear()

    async def idle(self) -> None:
        """Wait for the transaction in flight."""
        async with self._one_at_a_time:
            pass

    def resume(self) -> None:
        """The partition stays ours."""
        self._settled.set()

    def lose(self) -> None:
        """The partition is another's now: whoever waits to write learns it."""
        self.lost = True
        self._settled.set()

    async def cancel_tasks(self) -> None:
        """Cancel the background work and wait for its end."""
        await cancel_all(*self._tasks)

    async def close(self) -> None:
        """Let the producer go. Nothing is written afterwards."""
        self.lose()
        if self._producer is not None:
            await _stopped(self._producer)


async def in_time(answer: Awaitable[T], part: str, detail: str, timeout_seconds: float = ANSWER_TIMEOUT_SECONDS) -> T:
    """Await with a bound; raise `Unavailable` beyond it."""
    try:
        async with asyncio.timeout(timeout_seconds):  # not wait_for: in Python 3.11 it can swallow a cancellation
            return await answer
    except TimeoutError as error:
        raise Unavailable(part, f"{detail} (waited {timeout_seconds:.0f} s)") from error


async def _stopped(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(5):
            await stop_client(producer)
    except Exception as error:  # a producer that was fenced, or whose broker is gone, has nothing left to save
        log.warning("a producer did not close cleanly", error=repr(error))
