"""Create every topic of `schemas.topics` with its settings; say which existing ones differ. Idempotent.

Partition counts are never changed here: the key of a record decides its partition, so a changed count breaks what has been written.
"""

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from devstack.errors import PartFailed, TopicsDiffer
from schemas.topics import TOPICS, Topic

MAX_REPLICATION = 3
"""Copies of each partition, or as many as there are brokers."""


async def create_topics(
    kafka: Mapping[str, object],
    *,
    data_partitions: int,
    control_partitions: int,
    topics: Iterable[Topic] = TOPICS,
    timeout_seconds: float = 60.0,
) -> list[str]:
    """Create what is missing and return its names; wait until the broker leads every partition.

    Raises `TopicsDiffer` when existing topics have other partition counts, `PartFailed` when the broker does not answer in time.
    """
    wanted = {topic.name: (topic, data_partitions if topic.family == "data" else control_partitions) for topic in topics}
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    while True:
        admin = AIOKafkaAdminClient(**kafka)
        try:
            await admin.start()
            return await _create(admin, wanted, deadline)
        except (KafkaError, OSError) as error:
            hopeless = isinstance(error, KafkaError) and not error.retriable
            if hopeless or asyncio.get_running_loop().time() > deadline:
                raise PartFailed(f"kafka at {kafka.get('bootstrap_servers')} does not create topics: {error!r}") from error
            await asyncio.sleep(0.1)
        finally:
            await admin.close()


async def _create(admin: AIOKafkaAdminClient, wanted: dict[str, tuple[Topic, int]], deadline: float) -> list[str]:
    existing = await partition_counts(admin)
    differing = [
        f"{name} has {existing[name]} partitions, wanted {count}"
        for name, (_, count) in wanted.items()
        if existing.get(name, count) != count
    ]
    if differing:
        raise TopicsDiffer(
            "; ".join(differing)
            + "\nSet DATA_PARTITIONS and CONTROL_PARTITIONS to what the broker has, or delete these topics with all their records"
        )
    missing = [name for name in wanted if name not in existing]
    if missing:
        replication = min(MAX_REPLICATION, len((await admin.describe_cluster())["brokers"]))
        new = [NewTopic(name, wanted[name][1], replication, topic_configs=wanted[name][0].config()) for name in missing]
        for name, code, *rest in (await admin.create_topics(new)).topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:  # another init step may run at the same time
                raise error(f"{name}: {rest[0] if rest else ''}")
    while not set(wanted) <= set(await partition_counts(admin)):
        if asyncio.get_running_loop().time() > deadline:
            raise PartFailed(f"kafka did not make these topics ready in time: {sorted(set(wanted) - set(await partition_counts(admin)))}")
        await asyncio.sleep(0.05)
    return missing


async def partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Partition count of each topic whose partitions all have a leader."""
    described = await admin.describe_topics()
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if topic["partitions"] and all(partition["leader"] >= 0 for partition in topic["partitions"])
    }
