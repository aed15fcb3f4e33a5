"""What the broker knows of the system: groups and their members, offsets, topics with their sizes, and how long the
newest rows took.

Whoever asks while an answer is young gets that one, so any number of pages costs one look a second. Connections are
opened at the first look and dropped after a failure. Belongs to no group and writes nothing.
"""

import asyncio
import re
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError

from runtime.kafka.aiokafka_patches import ask, fetch_cluster
from runtime.kafka.broker_requests import DescribeGroups, DescribeLogDirs
from runtime.kafka.clients import administrator, lone_consumer
from runtime.kafka.errors import answered
from runtime.tasks import stop_client
from schemas.bounds import Count, UtcTime
from schemas.decoding import reader
from schemas.ids import position_key
from schemas.topics import APP_ID, INLETS, PREDICTIONS, STATS_CHANGELOG, TOPICS

KEPT_SECONDS = 1.0
SAMPLED_OFFSETS = 60
"""How far from the end of each partition of `predictions.v1` the newest predictions are looked for; markers take
offsets, too."""
SAMPLED_ROWS = 30
TAIL_OFFSETS = 6
"""Within so many offsets of its end a partition of the changelog has its newest position."""
SAMPLE_SECONDS = 1.5
POSITION = re.compile(rb"[0-9]{1,15}")
Duration = tuple[datetime, float]
"""When a row was scored, and how many seconds after its record entered its topic."""
OF_ROWS = tuple(topic.name for topic in INLETS)


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group that has members."""

    name: str
    state: str
    members: int
    topics: frozenset[str]


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """One look. Keys are partitions, or names of topics; `at` is in seconds of a clock that never goes back."""

    at: float
    groups: Sequence[Group]
    first: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    positions: Mapping[TopicPartition, int]
    configs: Mapping[str, Mapping[str, str]]
    sizes: Mapping[str, int]
    durations: Sequence[Duration]
    brokers: int
    stable: Mapping[TopicPartition, int] = field(default_factory=dict)
    """How far each partition of the topics of rows can be read: less than its end while a transaction is open."""


class _Scored(msgspec.Struct):
    class SourcePlace(msgspec.Struct):
        topic: str
        partition: Count
        offset: Count

    scored_at: UtcTime
    source: SourcePlace


_scored = reader(_Scored)


@dataclass(slots=True)
class _Open:
    admin: AIOKafkaAdminClient
    consumer: AIOKafkaConsumer
    uncommitted: AIOKafkaConsumer
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    tails: dict[TopicPartition, int] = field(default_factory=dict)
    sampled: Mapping[TopicPartition, int] = field(default_factory=dict)
    durations: Sequence[Duration] = ()


class Cluster:
    """Asks the broker; safe to share between requests."""

    def __init__(self, kafka: dict[str, Any], *, timeout_seconds: float) -> None:
        self._kafka = kafka
        self._timeout_seconds = timeout_seconds
        self._one_at_a_time = asyncio.Lock()
        self._open: _Open | None = None
        self._last: BrokerStatus | None = None

    async def look(self) -> BrokerStatus:
        """Return a picture that is at most a second old. Raises `Unavailable`."""
        async with answered("looking at the broker", self._timeout_seconds), self._one_at_a_time:
            if self._last is None or time.monotonic() - self._last.at > KEPT_SECONDS:
                self._last = await self._look()
            return self._last

    async def close(self) -> None:
        """Let the connections go."""
        former, self._open = self._open, None
        if former is not None:
            with suppress(KafkaError, OSError):
                await asyncio.gather(
                    stop_client(former.consumer), stop_client(former.uncommitted), former.admin.close()
                )

    async def _look(self) -> BrokerStatus:
        try:
            if self._open is None:
                self._open = await self._connect()
            return await self._ask(self._open)
        except BaseException:
            await asyncio.shield(self.close())
            raise

    async def _connect(self) -> _Open:
        admin = administrator(self._kafka, request_timeout_ms=int(1000 * self._timeout_seconds))
        consumer = lone_consumer(self._kafka, fetch_max_wait_ms=50, max_partition_fetch_bytes=1 << 20)
        uncommitted = lone_consumer(self._kafka, isolation_level="read_uncommitted")
        try:
            await asyncio.gather(admin.start(), consumer.start(), uncommitted.start())
        except BaseException:
            stopping = (stop_client(consumer), stop_client(uncommitted), admin.close())
            await asyncio.shield(asyncio.gather(*stopping, return_exceptions=True))
            raise
        return _Open(admin, consumer, uncommitted)

    async def _ask(self, to: _Open) -> BrokerStatus:
        names = [topic.name for topic in TOPICS]
        cluster = await fetch_cluster(to.consumer)
        partitions = [
            TopicPartition(name, number)
            for name in names
            for number in sorted(cluster.partitions_for_topic(name) or ())
        ]
        rows = [tp for tp in partitions if tp.topic in OF_ROWS]
        high = (
            await to.uncommitted.end_offsets(rows) if rows else {}
        )  # before the ends for readers of committed records
        first, ends, groups, positions, configs, sizes = await asyncio.gather(
            to.consumer.beginning_offsets(partitions),
            to.consumer.end_offsets(partitions),
            _groups(to.admin),
            to.admin.list_consumer_group_offsets(APP_ID),
            _configs(to.admin, {tp.topic for tp in partitions}),
            _sizes(to.admin, [broker.nodeId for broker in cluster.brokers()]),
        )
        with suppress(TimeoutError):  # the figures are worth having without it
            async with asyncio.timeout(SAMPLE_SECONDS):
                await _scored_up_to(to, first, ends)
                await _sample(to, first, ends)
        stable = {tp: ends[tp] for tp in rows}
        ends |= {tp: max(high[tp], ends[tp]) for tp in rows}
        reported = {tp: place.offset for tp, place in positions.items() if tp.topic in OF_ROWS and place.offset >= 0}
        return BrokerStatus(
            at=time.monotonic(),
            groups=groups,
            first=first,
            ends=ends,
            positions={tp: max(offset, to.positions.get(tp, 0)) for tp, offset in reported.items()},
            configs=configs,
            sizes=sizes,
            durations=to.durations,
            brokers=len(cluster.brokers()),
            stable=stable,
        )


async def _groups(admin: AIOKafkaAdminClient) -> list[Group]:
    """The groups of consumers that have members, by their coordinators."""
    names = [name for name, kind in await admin.list_consumer_groups() if kind == "consumer"]
    coordinators: dict[int, list[str]] = {}
    for name in names:
        coordinators.setdefault(await admin.find_coordinator(name), []).append(name)
    answers = await asyncio.gather(*(ask(admin, node, DescribeGroups(asked)) for node, asked in coordinators.items()))
    found = [(name, state, members) for answer in answers for _, name, state, _, _, members in answer.groups]
    return [Group(name, state, len(members), _subscribed(members)) for name, state, members in found if members]


def _subscribed(members: Sequence[tuple[Any, ...]]) -> frozenset[str]:
    """The topics that the members ask for; nothing while the group is being put together."""
    return frozenset(
        topic
        for *_, metadata, _ in members
        if metadata
        for topic in ConsumerProtocolMemberMetadata.decode(metadata).subscription
    )


async def _configs(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, dict[str, str]]:
    wanted = {"retention.ms": None, "cleanup.policy": None}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in names])
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }


async def _sizes(admin: AIOKafkaAdminClient, brokers: Sequence[int]) -> dict[str, int]:
    """Bytes on disk, replicas included."""
    found: dict[str, int] = {}
    for answer in await asyncio.gather(*(ask(admin, node, DescribeLogDirs()) for node in brokers)):
        for _, _, topics in answer.results:
            for name, partitions in topics:
                found[name] = found.get(name, 0) + sum(size for _, size, *_ in partitions)
    return found


async def _scored_up_to(to: _Open, first: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
    """The position that each transaction writes last; what the processor reports to the broker is up to a second
    old."""
    moved = {
        tp: end
        for tp, end in ends.items()
        if tp.topic == STATS_CHANGELOG.name and end > first[tp] and end != to.tails.get(tp)
    }
    for record in await _read(
        to.consumer, {tp: (max(first[tp], end - TAIL_OFFSETS), end) for tp, end in moved.items()}
    ):
        for topic in OF_ROWS:
            if record.key == position_key(record.partition, topic) and POSITION.fullmatch(record.value or b""):
                to.positions[TopicPartition(topic, record.partition)] = int(record.value) + 1
    to.tails |= moved


async def _sample(to: _Open, first: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
    """How long the newest rows took; looked at again only when there are new ones."""
    tails = {tp: end for tp, end in ends.items() if tp.topic == PREDICTIONS.name and end > first[tp]}
    if tails == to.sampled:
        return
    records = await _read(to.consumer, {tp: (max(first[tp], end - SAMPLED_OFFSETS), end) for tp, end in tails.items()})
    scored = [
        one for record in records if isinstance(one := _scored(record.value), _Scored)
    ]  # others are the projector's to report
    newest = sorted(scored, key=lambda one: one.scored_at.timestamp())[-SAMPLED_ROWS:]
    spans: dict[TopicPartition, tuple[int, int]] = {}
    for one in newest:
        tp = TopicPartition(one.source.topic, one.source.partition)
        if first.get(tp, 0) <= one.source.offset < ends.get(tp, 0):
            low, high = spans.get(tp, (one.source.offset, 0))
            spans[tp] = (min(low, one.source.offset), max(high, one.source.offset + 1))
    entered = {
        (record.topic, record.partition, record.offset): record.timestamp / 1000
        for record in await _read(to.consumer, spans)
    }
    to.durations = [
        (one.scored_at, max(one.scored_at.timestamp() - at, 0.0))
        for one in newest
        if (at := entered.get((one.source.topic, one.source.partition, one.source.offset))) is not None
    ]
    to.sampled = tails


async def _read(consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]]) -> list[ConsumerRecord]:
    """The records of `[from, to)` of each partition."""
    if not spans:
        return []
    consumer.assign(list(spans))
    for tp, (start, _) in spans.items():
        consumer.seek(tp, start)
    found: list[ConsumerRecord] = []
    waiting = set(spans)
    while waiting:
        for tp, records in (await consumer.getmany(*waiting, timeout_ms=100)).items():
            found += [record for record in records if record.offset < spans[tp][1]]
        waiting = {tp for tp in waiting if await consumer.position(tp) < spans[tp][1]}
    return found
