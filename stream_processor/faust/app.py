"""The Faust app and its table, bent to docs/design/architecture.md; its consumer is `faust_consumer`.

Acknowledgements are off (`acks=False`): what is done stands in the table. `commit_positions` only serves lag displays
and the pace of a producer at full speed.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import faust
import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.serializers.codecs import Codec, register
from faust.tables.manager import TableManager
from faust.types import TP

from runtime.kafka.clients import METADATA_MAX_AGE_MS
from schemas.topics import APP_ID, INLETS, STATS_CHANGELOG
from stream_processor.changelog import problem
from stream_processor.faust.consumer import BatchScheduler, BatchTransport
from stream_processor.metrics import SET_ASIDE
from stream_processor.settings import StreamProcessorSettings

log = structlog.get_logger()


class Hooks(Protocol):
    """What the Faust side calls. Partitions are those of `rows.v1`, `ingress.rows.v1` and the changelog alike."""

    async def own(self, partitions: Collection[int]) -> None:
        """Become the only writer of exactly these partitions."""

    async def mark_end(self, partition: int) -> int:
        """Write a plain record to the changelog; return its offset."""

    def open(self, partitions: Collection[int]) -> dict[TopicPartition, int]:
        """Start scoring the partitions, whose table is recovered; return the offset that each topic's is to be read
        from."""

    async def close(self, partitions: Collection[int]) -> None:
        """Finish the batch in hand of each partition and start no other."""

    def offer(self, partition: int, records: list[ConsumerRecord]) -> None:
        """Take fetched records, consecutive and in order."""


class Change(NamedTuple):
    """What the table needs of an event of its changelog."""

    key: bytes
    value: bytes | None
    message: ConsumerRecord


class StatsTable(faust.Table[bytes, bytes]):
    """Recovered by Faust from its changelog; written to the changelog by the owner's transaction, not by Faust."""

    app: Any

    def partition_for_key(self, key: bytes) -> int:
        return 0  # unused: Faust sends nothing

    def on_key_set(self, key: bytes, value: bytes) -> None:
        pass

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        super().apply_changelog_batch([change for event in batch for change in believed(event.message.value)])

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        await super().on_recovery_completed(active_tps, standby_tps)
        self.app.recovered.update(tp.partition for tp in active_tps)


def believed(records: Iterable[ConsumerRecord]) -> list[Any]:
    """The changes that are the processor's own; the others are set aside and named."""
    changes: list[Any] = []
    for record in records:
        wrong = problem(record.partition, record.key, record.value)
        if wrong is None:
            changes.append(Change(record.key, record.value, record))
            continue
        SET_ASIDE.inc()
        named = (record.key or b"")[:100].decode("utf-8", "replace")
        log.error(
            "a record of the changelog is set aside",
            partition=record.partition,
            offset=record.offset,
            key=named,
            reason=wrong,
        )
    return changes


class QuickTables(TableManager):
    """Does without the second in which tables may still be added: ours are there before the start."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class Untouched(Codec):
    """Passes a batch through Faust's decoding as it is."""

    def _loads(self, value: Any) -> Any:
        return value

    def _dumps(self, value: Any) -> Any:
        return value


register("untouched", Untouched())
logging.getLogger(__name__).setLevel(
    logging.WARNING
)  # Faust logs the life of each of its services under the name of its module


class FaustApp(faust.App):
    """The Faust app. `recovered` holds the partitions whose part of the table `stats` is complete."""

    hooks: Hooks
    recovered: set[int]
    stats: StatsTable

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self, loop=self.loop)

    def _create_directories(self) -> None:
        """Keep no files: the store is in memory."""

    def hold(self, tp: TopicPartition) -> None:
        """Fetch no more of the partition for now."""
        self.consumer.on_buffer_full(TP(*tp))

    def release(self, tp: TopicPartition) -> None:
        """Fetch the partition again."""
        self.consumer.on_buffer_drop(TP(*tp))

    async def rewind(self, tp: TopicPartition, offset: int) -> None:
        """Read the partition again from this offset on."""
        consumer: Any = self.consumer
        await consumer.rewind({tp: offset})

    async def commit_positions(self, positions: Mapping[TopicPartition, int]) -> bool:
        """Store the offsets for those who ask how far scoring has come; say whether it worked. No number depends on
        them."""
        consumer: Any = self.consumer
        thread = consumer._thread
        offsets = {tp: OffsetAndMetadata(offset, "") for tp, offset in positions.items()}
        try:
            await thread.call_thread(thread._ensure_consumer().commit, offsets)
        except KafkaError:
            return False
        return True

    async def wait_for_crash(self) -> BaseException:
        """Wait until Faust gives up; return why."""
        await self._crashed.wait()
        reason: BaseException = self.crash_reason or RuntimeError("Faust crashed")
        return reason


def build(settings: StreamProcessorSettings, hooks: Hooks, agent: Callable[[Any], Any]) -> FaustApp:
    """Return the app, with `agent` on the topics of rows. Opens no connection."""
    app = FaustApp(
        APP_ID,
        broker=[f"kafka://{server.strip()}" for server in settings.kafka_bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        topic_partitions=settings.data_partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        env_prefix="FAUST_",
        broker_max_poll_records=4000,
        consumer_max_fetch_size=4 << 20,
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 5,
        broker_request_timeout=max(90.0, settings.session_timeout_seconds),
        broker_rebalance_timeout=60.0,
        broker_max_poll_interval=300.0,
        producer_acks=-1,
        web_enabled=False,
        ConsumerScheduler=BatchScheduler,
        TableManager=QuickTables,
    )
    app.hooks, app.recovered = hooks, set()
    app.stats = StatsTable(app, name="stats", key_type=bytes, value_type=bytes, partitions=settings.data_partitions)
    assert app.stats.changelog_topic_name == STATS_CHANGELOG.name
    app.tables.add(app.stats)
    app.agent(
        app.topic(*[topic.name for topic in INLETS], key_serializer="raw", value_serializer="untouched", acks=False)
    )(agent)
    return app


def _credentials(settings: StreamProcessorSettings) -> Any:
    arguments: dict[str, Any] = settings.kafka()
    ssl_context = arguments.get("ssl_context")
    if settings.kafka_security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=arguments["sasl_plain_username"],
            password=arguments["sasl_plain_password"],
            mechanism=arguments["sasl_mechanism"],
            ssl_context=ssl_context,
        )
    return faust.SSLCredentials(ssl_context) if ssl_context else None
