"""The embedded Kafka and Redis: they keep their data over stops and kill -9, and name what holds a taken port."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from devstack.errors import PortTaken, TopicsDiffer
from devstack.kafka import EmbeddedKafka
from devstack.redis import EmbeddedRedis
from devstack.topics import create_topics, partition_counts
from schemas.topics import ROWS, TASKS, TOPICS


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    kafka = EmbeddedKafka(tmp_path_factory.mktemp("broker"))
    kafka.start()
    yield kafka
    kafka.stop()


async def create(kafka: EmbeddedKafka, *, data: int = 8, control: int = 4) -> list[str]:
    return await create_topics({"bootstrap_servers": kafka.bootstrap}, data_partitions=data, control_partitions=control)


async def send(kafka: EmbeddedKafka, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all") as producer:
        await producer.send_and_wait(ROWS.name, value, partition=0)


async def values(kafka: EmbeddedKafka) -> list[bytes]:
    tp = TopicPartition(ROWS.name, 0)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer:
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        consumer.seek(tp, 0)
        return [(await consumer.getone()).value for _ in range(end)]


async def test_topics_are_created_once_with_their_settings(broker: EmbeddedKafka) -> None:
    await create(broker)
    assert await create(broker) == []
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    counts = await partition_counts(admin)
    await admin.close()
    assert {topic.name: counts[topic.name] for topic in TOPICS} == {
        topic.name: 8 if topic.family == "data" else 4 for topic in TOPICS
    }


async def test_topic_with_another_partition_count_is_reported_and_left_alone(broker: EmbeddedKafka) -> None:
    await create(broker)
    with pytest.raises(TopicsDiffer, match=rf"{TASKS.name} has 4 partitions, wanted 6"):
        await create(broker, control=6)
    assert await create(broker) == []


async def test_kafka_keeps_acknowledged_records_over_kill_and_over_stop(broker: EmbeddedKafka) -> None:
    await create(broker)
    await send(broker, b"before the kill")
    broker.kill()
    broker.start()
    await create(broker)
    await send(broker, b"before the stop")
    broker.stop()
    broker.start()
    await create(broker)
    assert await values(broker) == [b"before the kill", b"before the stop"]


def test_redis_with_appendonly_keeps_its_data_and_without_is_empty(tmp_path: Path) -> None:
    for appendonly, kept in ((True, b"1"), (False, None)):
        server = EmbeddedRedis(tmp_path / str(appendonly), appendonly=appendonly)
        server.start()
        with redis.Redis.from_url(server.url) as connection:
            connection.set("key", 1)
        server.stop()
        server.start()
        with redis.Redis.from_url(server.url) as connection:
            assert connection.get("key") == kept
        server.kill()


def test_a_taken_port_is_named_with_the_process_that_holds_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            PortTaken, match=rf"port {port} for redis is taken by process {os.getpid()} .*DEVSTACK_REDIS_PORT"
        ):
            EmbeddedRedis(tmp_path, port=port).start()
        with pytest.raises(
            PortTaken, match=rf"port {port} for kafka is taken by process {os.getpid()} .*DEVSTACK_KAFKA_PORT"
        ):
            EmbeddedKafka(tmp_path, port=port).start()
