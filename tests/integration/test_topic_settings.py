"""What a topic takes is bounded by what it becomes when it is unpacked."""

import secrets

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from devstack.topic_settings import unpack
from schemas.topics import MAX_MESSAGE_BYTES, TOPICS
from tests.support.brokers import Broker


@pytest.mark.parametrize("packing", ["zstd", "gzip", "lz4", "snappy"])
async def test_little_that_becomes_much_is_refused_and_what_fits_is_taken(kafka: Broker, packing: str) -> None:
    async with AIOKafkaProducer(**kafka.kwargs, compression_type=packing, max_request_size=1 << 30) as producer:
        for topic in TOPICS:
            if topic.cleanup == "delete":
                with pytest.raises(MessageSizeTooLargeError):
                    await producer.send_and_wait(topic.name, bytes(MAX_MESSAGE_BYTES + 1), b"large")
        await producer.send_and_wait("task-logs.v1", b"not ours", b"fits")


async def test_a_topic_that_exists_gets_the_setting_and_keeps_its_others(kafka: Broker) -> None:
    name = f"older-{secrets.token_hex(4)}"
    admin = AIOKafkaAdminClient(**kafka.kwargs)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, 1, 1, topic_configs={"retention.ms": "12345000", "max.message.bytes": "1000000"})]
        )
        assert await unpack(admin, [name]) == [name]
        assert await unpack(admin, [name]) == []
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        found = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        assert (found["compression.type"], found["retention.ms"], found["max.message.bytes"]) == (
            "uncompressed",
            "12345000",
            "1000000",
        )
    finally:
        await admin.close()
