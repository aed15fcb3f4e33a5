"""What tests of the stream processor talk to `fresh_kafka` with."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from tests.integration.stream_processor_kit import Committed
from tests.support.brokers import Broker


@pytest.fixture
async def log(fresh_kafka: Broker) -> AsyncIterator[Committed]:
    """Reads what was committed, from the beginning."""
    async with Committed(fresh_kafka) as reader:
        yield reader


@pytest.fixture
async def producer(fresh_kafka: Broker) -> AsyncIterator[AIOKafkaProducer]:
    """Sends as another system would."""
    async with AIOKafkaProducer(**fresh_kafka.kwargs, enable_idempotence=True) as client:
        yield client
