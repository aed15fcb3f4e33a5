"""Records that their readers pass over, on `quarantine.v1`: so that one bad record holds up nothing behind it, and
nothing is lost unseen.

A record is written there before its reader goes on. It may be written more than once (a reader that starts anew,
several readers); its place names it, and whoever lists them shows each once.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from runtime.errors import Unavailable
from runtime.kafka.clients import idempotent_producer, open_reader, started
from runtime.kafka.reading import partitions_of, read_to_end
from runtime.kafka.transactions import Record
from runtime.tasks import stop_client
from schemas.decoding import Unreadable, reader
from schemas.messages import encode
from schemas.tasks import Quarantined
from schemas.topics import QUARANTINE

log = structlog.get_logger()

KEPT_BYTES = 64 << 10
"""Of a larger record the beginning is kept; the whole stands where it stood."""
NEWEST_RECORDS = 500
"""How far back each partition of the topic is read."""
REMEMBERED = 10_000
_quarantined = reader(Quarantined)


def entry(record: ConsumerRecord, reason: str, by: str, *, by_hand: bool = False) -> Record:
    """The record of `quarantine.v1` about a record of another topic."""
    value, key = record.value, record.key
    said = Quarantined(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        reader=by,
        quarantined_at=datetime.now(UTC),
        key=None if key is None else key[:KEPT_BYTES],
        value=None if value is None else value[:KEPT_BYTES],
        value_bytes=len(value or b""),
        by_hand=by_hand,
    )
    return QUARANTINE, said.place.encode(), encode(said)


async def read_quarantine(
    kafka: dict[str, object], whole: Callable[[Quarantined], bool] = lambda _: True
) -> list[Quarantined]:
    """The newest records in quarantine, each once, newest first, with the bytes of those that are wanted `whole`.
    Raises `KafkaError`."""
    async with open_reader(kafka) as consumer:
        starts = await _tails(consumer)
    found: dict[str, Quarantined] = {}
    if starts:
        async for record in read_to_end(kafka, QUARANTINE.name, from_offsets=starts):
            said = _quarantined(record.value)
            if isinstance(said, Unreadable) or said.place.encode() != record.key:
                continue
            known = found.get(said.place)
            if known is None or (said.by_hand and not known.by_hand):
                found[said.place] = said if whole(said) else msgspec.structs.replace(said, key=None, value=None)
    return sorted(found.values(), key=lambda one: (one.quarantined_at, one.place), reverse=True)


async def _tails(consumer: AIOKafkaConsumer) -> dict[int, int]:
    partitions = [TopicPartition(QUARANTINE.name, number) for number in await partitions_of(consumer, QUARANTINE.name)]
    ends = await consumer.end_offsets(partitions) if partitions else {}
    return {tp.partition: max(end - NEWEST_RECORDS, 0) for tp, end in ends.items()}


class Quarantine:
    """Writes for one process. Connects when first used."""

    def __init__(self, kafka: dict[str, object], by: str, *, timeout_seconds: float = 10.0) -> None:
        self._kafka, self._by, self._timeout_seconds = kafka, by, timeout_seconds
        self._producer: AIOKafkaProducer | None = None
        self._known: dict[str, None] = {}
        self._one_at_a_time = asyncio.Lock()

    async def put(self, records: Iterable[tuple[ConsumerRecord, str]], *, by_hand: bool = False) -> None:
        """Write records, each with the reason, unless this process has. Raises `Unavailable`."""
        new = [entry(record, reason, self._by, by_hand=by_hand) for record, reason in records]
        new = [one for one in new if one[1].decode() not in self._known]
        if not new:
            return
        try:
            async with asyncio.timeout(self._timeout_seconds), self._one_at_a_time:
                producer = await self._opened()
                await asyncio.gather(*[await producer.send(topic.name, value, key=key) for topic, key, value in new])
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable("kafka", f"a record cannot be put into quarantine: {error!r}") from error
        self._known |= {key.decode(): None for _, key, _ in new}
        for place in [*self._known][:-REMEMBERED]:
            del self._known[place]
        for _, key, _ in new:
            log.error("a record is in quarantine", place=key.decode())

    async def _opened(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = await started(idempotent_producer(self._kafka, max_request_size=2 << 20))
        return self._producer

    async def close(self) -> None:
        """Close the connection."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_client(producer)
