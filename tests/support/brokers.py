"""The Kafka and Redis that tests run against: containers when a Docker engine answers, else the embedded ones. Never a
mock.

`TEST_PARTS=embedded` keeps tests off a Docker engine.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from devstack.kafka import EmbeddedKafka
from devstack.ports import LOOPBACK, free_port, is_listening
from devstack.redis import EmbeddedRedis
from devstack.topics import create_topics
from tests.support.waiting import eventually_sync

DATA_PARTITIONS, CONTROL_PARTITIONS = 8, 4
KAFKA_IMAGE, REDIS_IMAGE = "apache/kafka:4.1.1", "redis:6.2-alpine"


class Part(Protocol):
    """What a broker or a Redis must do for tests, whatever runs it."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class Broker:
    """A running Kafka with every topic of the system."""

    def __init__(self, part: Part, bootstrap: str) -> None:
        self._part = part
        self.bootstrap = bootstrap
        self.kwargs: dict[str, Any] = {"bootstrap_servers": bootstrap}
        """Keyword arguments for aiokafka clients."""

    def start(self) -> None:
        """Start (again), and wait until it has all topics."""
        self._part.start()
        create = create_topics(self.kwargs, data_partitions=DATA_PARTITIONS, control_partitions=CONTROL_PARTITIONS)
        with ThreadPoolExecutor(1) as thread:  # the caller may stand in an event loop
            thread.submit(asyncio.run, create).result()

    def kill(self) -> None:
        """kill -9; the data stays."""
        self._part.kill()

    def stop(self) -> None:
        """Stop cleanly; the data stays."""
        self._part.stop()


class Container:
    """A container that keeps its file system over kill and start."""

    def __init__(
        self, image: str, port: int, inside: int, ready: Callable[[], bool], environment: dict[str, str]
    ) -> None:
        from testcontainers.core.container import DockerContainer

        self._container = DockerContainer(image).with_bind_ports(inside, port)
        for name, value in environment.items():
            self._container.with_env(name, value)
        self._ready = ready
        self._started = False

    def start(self) -> None:
        if self._started:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._started = True
        eventually_sync(self._ready, timeout_seconds=60)

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def remove(self) -> None:
        self._container.stop()


@cache
def docker_answers() -> bool:
    """Whether a Docker engine can be used from here."""
    if os.environ.get("TEST_PARTS") == "embedded" or not (
        os.environ.get("DOCKER_HOST") or Path("/var/run/docker.sock").exists()
    ):
        return False
    import docker
    from docker.errors import DockerException

    try:
        docker.from_env(timeout=5).ping()
    except DockerException:
        return False
    return True


def kafka_broker(folder: Path) -> Broker:
    """A broker that is not started yet."""
    port = free_port()
    if not docker_answers():
        return Broker(EmbeddedKafka(folder, port=port), f"{LOOPBACK}:{port}")
    environment = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{LOOPBACK}:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_MESSAGE_MAX_BYTES": str(4 << 20),
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_BROKER_SESSION_TIMEOUT_MS": "6000",
        "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
    }
    return Broker(Container(KAFKA_IMAGE, port, 9092, lambda: is_listening(port), environment), f"{LOOPBACK}:{port}")


def redis_server(folder: Path) -> tuple[Part, str]:
    """A Redis that is not started yet, and its URL."""
    port = free_port()
    if not docker_answers():
        return EmbeddedRedis(folder, port=port), f"redis://{LOOPBACK}:{port}/0"
    return Container(REDIS_IMAGE, port, 6379, lambda: is_listening(port), {}), f"redis://{LOOPBACK}:{port}/0"
