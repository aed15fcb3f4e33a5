"""Create every topic of `schemas.topics` with its settings; say which existing ones differ. Idempotent.

Partition counts are never changed here: the key of a record decides its partition, so a changed count breaks what has
been written."""

import asyncio
from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from devstack.errors import PartFailed, TopicsDiffer
from devstack.topic_settings import unpack
from runtime.kafka.clients import open_administrator
from schemas.topics import TOPICS, Topic

MAX_REPLICATION = 3
"""Copies of each partition, or as many as there are brokers."""
RETRY_SECONDS = 0.1

Kafka = Mapping[str, object]
Wanted = dict[str, tuple[Topic, int]]


async def create_topics(
    kafka: Kafka, *, data_partitions: int, control_partitions: int, timeout_seconds: float = 60.0
) -> list[str]:
    """Create what is missing and return its names; wait for the broker, and until it leads every partition.

    Raises `TopicsDiffer` when existing topics have other partition counts, `PartFailed` when the broker does not answer
    in time."""
    wanted = _wanted(data_partitions, control_partitions)
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    while True:
        try:
            async with open_administrator(kafka) as admin:
                created = await _create(admin, wanted)
                await unpack(admin, set(wanted) - set(created))
                await _wait_for_leaders(admin, wanted, deadline)
                return created
        except (KafkaError, OSError) as error:
            hopeless = isinstance(error, KafkaError) and not error.retriable
            if hopeless or asyncio.get_running_loop().time() > deadline:
                raise PartFailed(f"kafka at {kafka['bootstrap_servers']} does not create topics: {error!r}") from error
            await asyncio.sleep(RETRY_SECONDS)


async def differences(kafka: Kafka, *, data_partitions: int, control_partitions: int) -> list[str]:
    """What is missing or has another partition count. Raises `PartFailed` when the broker does not answer."""
    wanted = _wanted(data_partitions, control_partitions)
    try:
        async with open_administrator(kafka) as admin:
            existing = await partition_counts(admin)
    except (KafkaError, OSError) as error:
        raise PartFailed(f"kafka at {kafka['bootstrap_servers']} does not answer: {error!r}") from error
    return [f"{name} does not exist" for name in wanted if name not in existing] + _wrong_counts(existing, wanted)


async def partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Partition count of each topic whose partitions all have a leader."""
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["partitions"] and all(partition["leader"] >= 0 for partition in topic["partitions"])
    }


async def _create(admin: AIOKafkaAdminClient, wanted: Wanted) -> list[str]:
    existing = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    if wrong := _wrong_counts(existing, wanted):
        raise TopicsDiffer(
            "; ".join(wrong)
            + "\nSet DATA_PARTITIONS and CONTROL_PARTITIONS to what the broker has, or delete these topics with their"
            " records"
        )
    missing = [name for name in wanted if name not in existing]
    if missing:
        replication = min(MAX_REPLICATION, len((await admin.describe_cluster())["brokers"]))
        new = [NewTopic(name, wanted[name][1], replication, topic_configs=wanted[name][0].config()) for name in missing]
        for name, code, *rest in (await admin.create_topics(new)).topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:  # another init step may run at the same time
                raise error(f"{name}: {rest[0] if rest else ''}")
    return missing


async def _wait_for_leaders(admin: AIOKafkaAdminClient, wanted: Wanted, deadline: float) -> None:
    while not_ready := sorted(set(wanted) - set(await partition_counts(admin))):
        if asyncio.get_running_loop().time() > deadline:
            raise PartFailed(f"kafka did not make these topics ready in time: {', '.join(not_ready)}")
        await asyncio.sleep(RETRY_SECONDS / 2)


def _wanted(data_partitions: int, control_partitions: int) -> Wanted:
    return {topic.name: (topic, data_partitions if topic.family == "data" else control_partitions) for topic in TOPICS}


def _wrong_counts(existing: Mapping[str, int], wanted: Wanted) -> list[str]:
    return [
        f"{name} has {existing[name]} partitions, wanted {count}"
        for name, (_, count) in wanted.items()
        if existing.get(name, count) != count
    ]
