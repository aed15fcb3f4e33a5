"""Every client of aiokafka is made here, so that what all must share is said once.

`kafka` is what `ProcessSettings.kafka` gives: where the broker is and how to reach it. Whoever makes a client stops it,
with `runtime.tasks.stop_client`.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from aiokafka import AIOKafkaClient, AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from runtime.tasks import Stoppable, stop_client

Kafka = Mapping[str, object]
METADATA_MAX_AGE_MS = 5_000
"""How old a group member's idea of the topics may be. Right after its start a broker may not name all of them; whoever
deals the partitions out then leaves some to nobody, and nothing asks again before this is over (seen: five minutes,
aiokafka's default)."""


class KafkaClient(Stoppable, Protocol):
    """A consumer or a producer."""

    def start(self) -> Awaitable[None]:
        """Connect."""


C = TypeVar("C", bound=KafkaClient)


def lone_consumer(kafka: Kafka, **options: Any) -> AIOKafkaConsumer:
    """A consumer of committed records that belongs to no group and commits nothing."""
    shared = {"enable_auto_commit": False, "auto_offset_reset": "earliest", "isolation_level": "read_committed"}
    return AIOKafkaConsumer(**(dict(kafka) | shared | options))


def group_consumer(
    kafka: Kafka, group: str, session_timeout_ms: int, *, heartbeats: int, sticky: bool = False, **options: Any
) -> AIOKafkaConsumer:
    """A consumer of committed records in a group, which it tells itself where it is. `heartbeats` in a session;
    `sticky`: who has a partition keeps it."""
    if sticky:  # a class of its own, because this assignor keeps its memory in the class
        options["partition_assignment_strategy"] = (type("Sticky", (StickyPartitionAssignor,), {}),)
    return lone_consumer(
        kafka,
        group_id=group,
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=session_timeout_ms // heartbeats,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        **options,
    )


def owning_producer(
    kafka: Kafka, transactional_id: str, transaction_timeout_ms: int, **options: Any
) -> AIOKafkaProducer:
    """The transactional producer of an owner: its start fences the former one, and ends what that one left open.

    Readers wait behind a transaction that a crash left open: until the next owner ends it, or for
    `transaction_timeout_ms`."""
    return AIOKafkaProducer(
        **kafka,
        transactional_id=transactional_id,
        transaction_timeout_ms=transaction_timeout_ms,
        linger_ms=0,
        **options,
    )


def idempotent_producer(kafka: Kafka, **options: Any) -> AIOKafkaProducer:
    """Writes each record once and in order, as long as it lives."""
    return AIOKafkaProducer(**kafka, enable_idempotence=True, acks="all", linger_ms=0, **options)


def plain_producer(kafka: Kafka, **options: Any) -> AIOKafkaProducer:
    """Writes each record at least once. An idempotent one can fail for good: not for what counts once however often it
    is written."""
    return AIOKafkaProducer(**kafka, acks="all", linger_ms=0, **options)


def administrator(kafka: Kafka, **options: Any) -> AIOKafkaAdminClient:
    """Asks the broker about topics and groups."""
    return AIOKafkaAdminClient(**kafka, **options)


def bare_client(kafka: Kafka) -> AIOKafkaClient:
    """A connection, to see whether there is one."""
    return AIOKafkaClient(**kafka)


async def started(client: C) -> C:
    """Start a client and return it; one that does not start is stopped, also when the caller is cancelled."""
    try:
        await client.start()
    except BaseException:
        await stop_client(client)
        raise
    return client


@asynccontextmanager
async def open_reader(kafka: Kafka, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started `lone_consumer`; it is stopped at the end of the block."""
    consumer = lone_consumer(kafka, **options)
    try:
        await consumer.start()
        yield consumer
    finally:
        await stop_client(consumer)


@asynccontextmanager
async def open_administrator(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started `administrator`; it is closed at the end of the block."""
    admin = administrator(kafka)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()
