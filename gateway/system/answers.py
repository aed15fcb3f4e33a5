"""The whole system in one answer: what each part says, put together. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from aiokafka import TopicPartition

from gateway.system.broker_status import BrokerStatus, Duration
from schemas.http.system import EndToEndLatency, PartitionLag, RedisView, SystemPart, TopicView
from schemas.topics import APP_ID, INLETS, RUN_COMMANDS, TOPICS, TRAINING_COMMANDS

Name = Literal["gateway", "kafka", "redis", "view", "storage", "producer", "stream_processor", "trainer"]
MEANINGS: Final[dict[Name, str]] = {
    "gateway": "nothing can be seen or ordered; runs and trainings go on",
    "kafka": (
        "rows are neither sent nor scored, and nothing can be ordered; uploads work, and what was stored can be read"
    ),
    "redis": "nothing can be read; rows are still scored, and no figure is lost",
    "view": "figures are being rebuilt from Kafka; nothing is lost",
    "storage": "uploads, splits and trainings fail; runs under way go on until they need a model or more rows",
    "producer": "runs send no rows and take no orders; they go on where they stopped once one is back",
    "stream_processor": "rows wait in Kafka and are scored once one is back; none is lost",
    "trainer": "trainings and feature rankings wait; an upload cannot be split before its features are ranked",
}
SAMPLES_SECONDS: Final = 10.0
OK: Final = ""


def parts(
    problems: Mapping[str, str], storage: str, picture: BrokerStatus | None, redis: RedisView | None = None
) -> list[SystemPart]:
    """Every part. `problems` names what is wrong with Kafka, Redis and the view; `storage` is empty when it answers."""
    advice = {"redis": _advice(redis)}
    servers = {name: problems.get(name, OK) for name in ("kafka", "redis", "view")} | {"storage": storage}
    if "redis" in problems:
        servers["view"] = "redis is down"
    found = [SystemPart(name="gateway", state="up", processes=1, meaning=MEANINGS["gateway"])]
    for name in ("kafka", "redis", "view", "storage"):
        problem = servers[name]
        found.append(
            SystemPart(
                name=name, state="down" if problem else "up", detail=problem or advice.get(name), meaning=MEANINGS[name]
            )
        )
    return [*found, *(_process(name, picture) for name in ("producer", "stream_processor", "trainer"))]


def _advice(redis: RedisView | None) -> str | None:
    """What is to be set in a Redis that removes keys to make room: one that does cannot keep the view."""
    if redis is None or redis.policy in (None, "noeviction"):
        return None
    removed = f", and has removed {redis.evicted_keys:,}" if redis.evicted_keys else ""
    return f"removes keys when it is full ({redis.policy}){removed}: set maxmemory-policy noeviction"


def _process(name: Literal["producer", "stream_processor", "trainer"], picture: BrokerStatus | None) -> SystemPart:
    """A process is up when it is a member of the group that does its work."""
    if picture is None:
        return SystemPart(
            name=name, state="unknown", detail="Kafka could tell, but does not answer", meaning=MEANINGS[name]
        )
    if name == "stream_processor":
        groups = [group for group in picture.groups if group.name == APP_ID]
    else:
        commands = RUN_COMMANDS.name if name == "producer" else TRAINING_COMMANDS.name
        groups = [group for group in picture.groups if commands in group.topics]
    count = sum(group.members for group in groups)
    settling = any(group.state != "Stable" for group in groups)
    detail = "sharing the work out anew" if settling else None if count else "no process has joined"
    if name == "stream_processor" and detail is None and (blocked := blocked_partitions(picture)):
        detail = f"{', '.join(blocked)} waits behind an open transaction of another system"
    return SystemPart(
        name=name, state="up" if count else "down", processes=count, detail=detail, meaning=MEANINGS[name]
    )


def blocked_partitions(picture: BrokerStatus) -> list[str]:
    """Partitions of which all is scored that can be read, but not all there is."""
    stable, ends, at = picture.stable, picture.ends, picture.positions
    return [
        f"partition {tp.partition} of {tp.topic}"
        for tp in sorted(stable)
        if at.get(tp, 0) >= stable[tp] < ends.get(tp, stable[tp])
    ]


def lag(picture: BrokerStatus | None) -> list[PartitionLag]:
    """Each partition of the topics of rows."""
    if picture is None:
        return []
    found = []
    for topic, number in [
        (topic.name, tp.partition) for topic in INLETS for tp in sorted(picture.ends) if tp.topic == topic.name
    ]:
        tp = TopicPartition(topic, number)
        position, end, first = picture.positions.get(tp), picture.ends[tp], picture.first[tp]
        behind = None if position is None else max(end - max(position, first), 0)
        found.append(
            PartitionLag(
                topic=topic, partition=number, first_offset=first, end_offset=end, position=position, lag=behind
            )
        )
    return found


def total_lag(partitions: Sequence[PartitionLag]) -> int | None:
    """Null unless every partition's is known."""
    known = [one.lag for one in partitions if one.lag is not None]
    return sum(known) if known and len(known) == len(partitions) else None


def topics(picture: BrokerStatus | None) -> list[TopicView]:
    """Each topic that exists."""
    if picture is None:
        return []
    found = []
    for topic in TOPICS:
        partitions = [tp for tp in picture.ends if tp.topic == topic.name]
        config = picture.configs.get(topic.name, {})
        cleanup, kept = config.get("cleanup.policy"), int(config.get("retention.ms") or -1)
        found.append(
            TopicView(
                name=topic.name,
                partitions=len(partitions),
                cleanup=cleanup,
                retention_seconds=kept / 1000 if kept >= 0 and cleanup != "compact" else None,
                offsets=sum(picture.ends[tp] - picture.first[tp] for tp in partitions),
                size_bytes=picture.sizes.get(topic.name),
            )
        )
    return [topic for topic in found if topic.partitions]


def latency(durations: Sequence[Duration]) -> EndToEndLatency | None:
    """Of the newest rows."""
    if not durations:
        return None
    seconds = sorted(took for _, took in durations)
    newest: datetime = max(at for at, _ in durations)
    return EndToEndLatency(
        rows=len(seconds),
        median_seconds=round(seconds[len(seconds) // 2], 4),
        p95_seconds=round(seconds[int(0.95 * (len(seconds) - 1))], 4),
        max_seconds=round(seconds[-1], 4),
        newest_scored_at=newest,
    )


class Throughput:
    """Records handled per second, between two looks at most `SAMPLES_SECONDS` apart."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, Mapping[TopicPartition, int]]] = []

    def add(self, picture: BrokerStatus) -> float | None:
        """Take a look in; null while there is no other to compare it with."""
        if not self._samples or picture.at > self._samples[-1][0]:
            self._samples.append((picture.at, picture.positions))
        self._samples = [sample for sample in self._samples if picture.at - sample[0] <= SAMPLES_SECONDS]
        at, positions = self._samples[0]
        if picture.at - at < 0.5:
            return None
        moved = sum(max(offset - positions[p], 0) for p, offset in picture.positions.items() if p in positions)
        return round(moved / (picture.at - at), 2)
