"""Clients of Kafka are made in one place, and what they share is said there."""

import ast
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from runtime.kafka.clients import METADATA_MAX_AGE_MS, group_consumer, lone_consumer, started
from stream_processor.faust.app import build
from stream_processor.settings import StreamProcessorSettings

ROOMS = ("runtime", "producer", "stream_processor", "trainer", "gateway", "devstack")
ROOT = Path(__file__).parents[4]
NOWHERE = {"bootstrap_servers": "127.0.0.1:1"}


def makes_clients(path: Path) -> bool:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return any(isinstance(name, ast.Name) and name.id.startswith("AIOKafka") for name in calls)


def test_no_other_module_makes_a_client() -> None:
    made = [
        path.relative_to(ROOT).name for room in ROOMS for path in (ROOT / room).rglob("*.py") if makes_clients(path)
    ]
    assert len(made) == 1, made


async def test_every_member_of_a_group_asks_for_the_topics_again_within_seconds() -> None:
    consumer = group_consumer(NOWHERE, "somebody", 6000, heartbeats=4)
    assert consumer._client._metadata_max_age_ms == METADATA_MAX_AGE_MS <= 10_000
    await consumer.stop()


async def test_a_client_that_does_not_start_is_stopped() -> None:
    consumer = lone_consumer(NOWHERE)
    with pytest.raises(KafkaConnectionError):
        await started(consumer)
    assert consumer._closed


def test_the_stream_processor_asks_for_the_topics_again_too() -> None:
    hooks: Any = None
    assert (
        build(StreamProcessorSettings(), hooks, lambda stream: None).conf.consumer_metadata_max_age_ms
        == METADATA_MAX_AGE_MS
    )
