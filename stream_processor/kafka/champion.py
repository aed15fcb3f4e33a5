"""What `models.v1` says, kept current: which model version scores rows that name none (`champion@default`, else
`latest@default`), and the digest of each model version's manifest as it was registered.

A groupless reader; the topic is read to its end before the first row is scored.
"""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from models.bundle import note_registered
from runtime.kafka.clients import open_reader
from runtime.kafka.errors import classify
from schemas.decoding import Unreadable, reader
from schemas.ids import alias_key
from schemas.messages import Alias
from schemas.topics import MODELS

WORKSPACE = "default"
CHAMPION, LATEST = alias_key("champion", WORKSPACE).encode(), alias_key("latest", WORKSPACE).encode()

log = structlog.get_logger()
_alias = reader(Alias)


class Registry:
    """`run` follows the topic until cancelled; `champion` is what is known by now."""

    def __init__(self, kafka: dict[str, object], *, partitions: int, timeout_seconds: float) -> None:
        self._kafka = kafka
        self._partitions = [TopicPartition(MODELS.name, partition) for partition in range(partitions)]
        self._timeout_seconds = timeout_seconds
        self._digests: dict[str, str] = {}
        self._aliases: dict[bytes, str] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._read = asyncio.Condition()

    @property
    def champion(self) -> str | None:
        """The model version for rows that name none, null when there is none."""
        return self._aliases.get(CHAMPION) or self._aliases.get(LATEST)

    @property
    def named(self) -> set[str]:
        """The model versions that an alias names: likely to be asked for next."""
        return set(self._aliases.values())

    def digest(self, version: str) -> str | None:
        """The digest of a model version's manifest, as far as it is known by now."""
        return self._digests.get(version)

    async def registered(self, version: str) -> str | None:
        """The digest of a model version's manifest; null when it has no record by now. Raises `Unavailable`."""
        if version not in self._digests:
            await self.catch_up()
        return self._digests.get(version)

    async def read_on(self) -> None:
        """Wait until the topic has been looked at once more."""
        async with self._read:
            await self._read.wait()

    async def run(self) -> None:
        """Follow the topic. Raises `Unavailable`."""
        try:
            async with open_reader(self._kafka) as consumer:
                consumer.assign(self._partitions)
                await consumer.seek_to_beginning(*self._partitions)
                self._consumer = consumer
                while True:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        for record in records:
                            self._apply(record)
                    async with self._read:
                        self._read.notify_all()
        except Exception as error:
            raise classify(error, "following models.v1") from error

    async def catch_up(self) -> None:
        """Wait until everything that is on the topic now has been read. Raises `Unavailable` after the bound."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                async with self._read:
                    await self._read.wait_for(lambda: self._consumer is not None)
                assert self._consumer is not None
                ends = await self._consumer.end_offsets(self._partitions)
                for tp, end in ends.items():
                    while await self._consumer.position(tp) < end:
                        await self.read_on()
        except Exception as error:
            raise classify(error, "reading models.v1 to its end") from error

    def _apply(self, record: ConsumerRecord) -> None:
        if b"@" not in (record.key or b"@"):
            self._register(record)
        if record.key not in (CHAMPION, LATEST):
            return
        if record.value is None:
            self._aliases.pop(record.key, None)
            return
        alias = _alias(record.value)
        if isinstance(alias, Unreadable) or alias_key(alias.alias, alias.workspace).encode() != record.key:
            reason = alias.reason if isinstance(alias, Unreadable) else "it is not the one that its key names"
            log.error("an alias is passed over", key=record.key.decode(), offset=record.offset, reason=reason)
            return
        self._aliases[record.key] = alias.model_version
        log.info("rows without a model version are scored by", model_version=self.champion)

    def _register(self, record: ConsumerRecord) -> None:
        version = record.key.decode("utf-8", "replace")
        if (reason := note_registered(self._digests, version, record.value)) is not None:
            log.error(
                "the record of a model version is passed over",
                model_version=version,
                offset=record.offset,
                reason=reason,
            )
