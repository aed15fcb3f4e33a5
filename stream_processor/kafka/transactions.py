"""The owner of a partition: the one transactional producer that may write what is derived from its rows.

Opening it fences the former owner and aborts what that one left open. A frozen worker that wakes up gets `Fenced`.
Nothing is retried here beyond what aiokafka does within `transaction_timeout_seconds`: a failed commit ends the
process, the next owner aborts."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition

from runtime.kafka.aiokafka_patches import touch
from runtime.kafka.clients import owning_producer, plain_producer, started
from runtime.kafka.errors import classify
from runtime.tasks import stop_client
from schemas.topics import (
    APP_ID,
    CONTENT_TYPE_HEADER,
    DEAD_LETTERS,
    JSON,
    MARK_TYPE,
    MAX_MESSAGE_BYTES,
    PREDICTIONS,
    RUN_COMMANDS,
    SCHEMA_VERSION,
    SCHEMA_VERSION_HEADER,
    STATS_CHANGELOG,
    TYPE_HEADER,
    Topic,
)

Headers = list[tuple[str, bytes]]
HEADERS: Headers = [(CONTENT_TYPE_HEADER, JSON), (SCHEMA_VERSION_HEADER, SCHEMA_VERSION)]
MARK_HEADERS: Headers = [*HEADERS, (TYPE_HEADER, MARK_TYPE)]
OWNER_KEY, END_KEY = b"__owner__", b"__end__"
PRODUCER_BATCH_BYTES = 1 << 20

Records = Sequence[tuple[bytes | None, bytes]]
NOTHING: Mapping[int, Headers] = {}


class Written(Protocol):
    """What one transaction writes, as (key, value)."""

    @property
    def predictions(self) -> Records: ...
    @property
    def forwarded(self) -> Mapping[int, Headers]: ...
    @property
    def dead_letters(self) -> Records: ...
    @property
    def marks(self) -> Records: ...
    @property
    def commands(self) -> Records: ...
    @property
    def states(self) -> Records: ...


class PartitionTransactions:
    """Writes for one partition. Use `take`; call `stop` in the end."""

    def __init__(self, producer: AIOKafkaProducer, partition: int, timeout_seconds: float) -> None:
        self.partition = partition
        self._producer = producer
        self._timeout_seconds = timeout_seconds

    @classmethod
    async def take(cls, kafka: dict[str, object], partition: int, *, timeout_seconds: float) -> "PartitionTransactions":
        """Become the owner and be ready to commit quickly.

        The first transaction is slow on every topic it touches (75–120 ms were seen), so one is made here, over all of
        them, and aborted. It writes a record on the changelog only: those who read uncommitted find none on the others.
        Raises `Unavailable`, `Fenced`."""
        timeout_ms = int(timeout_seconds * 1000)
        producer = owning_producer(
            kafka,
            f"{APP_ID}-{partition}",
            timeout_ms,
            request_timeout_ms=timeout_ms,
            max_batch_size=PRODUCER_BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
        )
        owner = cls(producer, partition, timeout_seconds)
        try:
            async with asyncio.timeout(timeout_seconds):
                await producer.start()
                await owner._warm_up()
        except BaseException as error:
            await owner.stop()
            raise classify(error, f"taking partition {partition}") from error
        return owner

    async def _warm_up(self) -> None:
        await self._producer.begin_transaction()
        for topic in (PREDICTIONS, DEAD_LETTERS):
            await self._producer.partitions_for(topic.name)  # where its leader is
            touch(self._producer, TopicPartition(topic.name, self.partition))
        await (await self._send(STATS_CHANGELOG, [(OWNER_KEY, b"")]))
        await self._producer.abort_transaction()

    async def commit(self, written: Written) -> None:
        """Write it all in one transaction, or raise: `Fenced` when another worker owns the partition now,
        `Unavailable`."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._producer.begin_transaction()
                sent = [
                    *await self._batches(PREDICTIONS, written.predictions, more=written.forwarded),
                    *await self._batches(DEAD_LETTERS, written.dead_letters),
                    *await self._batches(DEAD_LETTERS, written.marks, MARK_HEADERS),
                    *await self._batches(STATS_CHANGELOG, written.states),
                    *[await self._producer.send(RUN_COMMANDS.name, order, key=key) for key, order in written.commands],
                ]
                await asyncio.gather(*sent)
                await self._producer.commit_transaction()
        except Exception as error:
            raise classify(error, f"committing a batch of partition {self.partition}") from error

    async def _batches(
        self, topic: Topic, records: Records, headers: Headers = HEADERS, more: Mapping[int, Headers] = NOTHING
    ) -> list[Any]:
        """Send in batches; `more`: further headers of some of the records, by their place."""
        sent, start = [], 0
        for part in _parts(records, more):
            sent.append(
                await self._send(
                    topic, part, headers, {place - start: more[place] for place in more} if more else NOTHING
                )
            )
            start += len(part)
        return sent

    async def _send(
        self, topic: Topic, records: Records, headers: Headers = HEADERS, more: Mapping[int, Headers] = NOTHING
    ) -> Any:
        batch = self._producer.create_batch()
        for place, (key, value) in enumerate(records):
            batch.append(
                timestamp=None,
                key=key,
                value=value,
                headers=[*headers, *more[place]] if more and place in more else headers,
            )
        return await self._producer.send_batch(batch, topic.name, partition=self.partition)

    async def stop(self) -> None:
        """Close the connections; an open transaction is left to the next owner. Never raises, never waits long."""
        with suppress(Exception):  # a producer that failed says so once more when it is stopped
            async with asyncio.timeout(2):
                await stop_client(self._producer)


def _parts(records: Records, more: Mapping[int, Headers] = NOTHING) -> list[Records]:
    """Cut so that each part fits into a batch; a record that is larger goes alone."""
    cuts, room = [0], PRODUCER_BATCH_BYTES - 128
    for number, (key, value) in enumerate(records):
        size = len(value) + len(key or b"") + 128  # headers and the record's own fields
        if more and number in more:
            size += sum(4 * len(name) + len(said) + 16 for name, said in more[number])
        if size > room and number > cuts[-1]:
            cuts.append(number)
            room = PRODUCER_BATCH_BYTES - 128
        room -= size
    return [records[start:end] for start, end in pairwise([*cuts, len(records)])] if records else []


class EndWriter:
    """Writes the plain records behind the last transaction marker of the changelog. Connects when first used."""

    def __init__(self, kafka: dict[str, object]) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None

    async def mark(self, partition: int) -> int:
        """Write one and return its offset. Raises `Unavailable`."""
        try:
            if self._producer is None:
                self._producer = await started(plain_producer(self._kafka))
            return int(
                (await self._producer.send_and_wait(STATS_CHANGELOG.name, b"", key=END_KEY, partition=partition)).offset
            )
        except BaseException as error:
            raise classify(error, "writing to the changelog") from error

    async def stop(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            await stop_client(self._producer)
