"""The parts of the stack: what runs, with which command and environment, and how one sees that it is ready and
alive."""

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import PortTaken
from devstack.java import Progress
from devstack.kafka import EmbeddedKafka
from devstack.ports import LOOPBACK, holder, is_listening
from devstack.probe import accepts, redis_answers
from devstack.redis import EmbeddedRedis
from devstack.settings import DevstackSettings, Port
from runtime.probe import http_status

Check = Callable[[], Awaitable[bool]]
PROCESSES = ("gateway", "stream_processor", "producer", "trainer", "dashboard")


@dataclass(frozen=True)
class Part:
    """One supervised process. `live` is asked only while it is ready."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    port: int
    url: str
    ready: Check
    live: Check | None = None


def build_parts(settings: DevstackSettings, progress: Progress | None = None) -> list[Part]:
    """All parts in start order. Downloads and formats Kafka when needed. Raises `DownloadFailed`, `PartFailed`."""
    parts = []
    if settings.own_kafka:
        parts.append(_kafka(settings, progress))
    if settings.own_redis:
        parts.append(_redis(settings))
    return parts + [_process(settings, name) for name in processes(settings)]


def check_ports(settings: DevstackSettings) -> None:
    """Raise one `PortTaken` that names every port of the stack that something else listens on."""
    taken = [
        f"port {port.number} for {name.replace('_', ' ')} is taken by {holder(port.number)}; choose another with"
        f" {port.setting}=<port>"
        for name, port in ports(settings).items()
        if is_listening(port.number)
    ]
    if taken:
        taken.append("DEVSTACK_PORT_OFFSET=100 moves every port of this stack at once")
        raise PortTaken("\n".join(taken))


def ports(settings: DevstackSettings) -> dict[str, Port]:
    """Every port that the stack is going to listen on."""
    names = processes(settings)
    if settings.own_kafka:
        names += ["kafka", "kafka_controller"]
    if settings.own_redis:
        names += ["redis"]
    return {name: settings.port(name) for name in names}


def processes(settings: DevstackSettings) -> list[str]:
    """The processes that run here, in start order."""
    return [name for name in PROCESSES if name not in settings.left_out]


def _kafka(settings: DevstackSettings, progress: Progress | None) -> Part:
    port = settings.port("kafka").number
    kafka = EmbeddedKafka(
        settings.folder / "kafka", port=port, controller_port=settings.port("kafka_controller").number
    )
    return Part(
        "kafka",
        kafka.prepare(progress),
        dict(os.environ),
        settings.logs / "kafka.log",
        port,
        kafka.bootstrap,
        lambda: accepts(port),
    )


def _redis(settings: DevstackSettings) -> Part:
    port = settings.port("redis").number
    redis = EmbeddedRedis(settings.folder / "redis", port=port, appendonly=settings.redis_appendonly)
    return Part(
        "redis",
        redis.prepare(),
        dict(os.environ),
        settings.logs / "redis.log",
        port,
        redis.url,
        lambda: redis_answers(port),
    )


def _process(settings: DevstackSettings, name: str) -> Part:
    port = settings.port(name).number

    async def ready() -> bool:
        return await http_status(port, "/ready") == 200

    async def live() -> bool:
        path = "/health" if name == "gateway" else "/live"
        return await http_status(port, path, timeout_seconds=5.0) == 200

    command = [
        sys.executable,
        "-P",
        "-m",
        name,
    ]  # not from the folder it is started in: that may hold a folder `storage` of its own
    return Part(
        name,
        command,
        environment(settings),
        settings.logs / f"{name}.log",
        port,
        f"http://{LOOPBACK}:{port}",
        ready,
        live,
    )


def environment(settings: DevstackSettings) -> dict[str, str]:
    """The environment of every process: ours, and where the parts of this stack are."""
    own = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap,
        "REDIS_URL": settings.redis,
        "STORAGE_URL": settings.storage,
        "DATA_PARTITIONS": str(settings.data_partitions),
        "CONTROL_PARTITIONS": str(settings.control_partitions),
        "INTELLIINSPECT_URL": settings.gateway_url,
        "PYTHONUNBUFFERED": "1",
        **{port.setting: str(port.number) for name in PROCESSES if (port := settings.port(name))},
    }
    return {**os.environ, **own}
