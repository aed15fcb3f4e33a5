"""What `/v1/quarantine` shows and does. It reads Kafka itself, so it answers while Redis is away or the view is being
built."""

import asyncio
import base64
import re
from collections import Counter
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from gateway.errors import ObjectNotFound, StateConflict
from runtime.kafka.clients import open_reader
from runtime.kafka.errors import answered
from runtime.kafka.reading import partitions_of
from runtime.quarantine import Quarantine, read_quarantine
from schemas.http.quarantine import QuarantineList, QuarantineSummary, QuarantineView
from schemas.tasks import Quarantined
from schemas.topics import RUN_COMMANDS, TRAINING_COMMANDS

PLACE = re.compile(r"([a-z0-9.-]{1,100}):(0|[1-9][0-9]{0,4}):(0|[1-9][0-9]{0,14})", re.ASCII)
SKIPPABLE = (RUN_COMMANDS.name, TRAINING_COMMANDS.name)
"""Only orders are begun again after a crash; readers of the other topics pass over by themselves."""
READ_SECONDS = 15.0


class Poison:
    """Reads of one gateway process, one at a time: each reads the topic's end."""

    def __init__(self, kafka: dict[str, object]) -> None:
        self._kafka = kafka
        self._quarantine = Quarantine(kafka, "gateway")
        self._one_at_a_time = asyncio.Lock()

    async def all(self, whole: str | None = None) -> list[Quarantined]:
        """The records in quarantine, newest first, with the bytes of the one at the place `whole`. Raises
        `Unavailable`."""
        async with answered("reading the quarantine", READ_SECONDS), self._one_at_a_time:
            return await read_quarantine(self._kafka, lambda one: one.place == whole)

    async def find(self, place: str) -> Quarantined:
        """One of them. Raises `ObjectNotFound`, `Unavailable`."""
        found = (
            next((one for one in await self.all(place) if one.place == place), None) if PLACE.fullmatch(place) else None
        )
        if found is None:
            raise ObjectNotFound("record in quarantine", place)
        return found

    async def skip(self, place: str) -> Quarantined:
        """Have an order passed over that ends its process again and again. Raises `ObjectNotFound`, `StateConflict`,
        `Unavailable`."""
        named = PLACE.fullmatch(place)
        if named is None:
            raise ObjectNotFound("record", place)
        if named[1] not in SKIPPABLE:
            detail = (
                f"Readers of {named[1]} pass over what they cannot read by themselves; only orders"
                f" ({', '.join(SKIPPABLE)}) are skipped."
            )
            raise StateConflict(detail, "not_skippable")
        record = await self._record(TopicPartition(named[1], int(named[2])), int(named[3]))
        if record is None:
            raise ObjectNotFound("record", place)
        await self._quarantine.put([(record, "a person asked to pass it over")], by_hand=True)
        return await self.find(place)

    async def _record(self, place: TopicPartition, offset: int) -> ConsumerRecord | None:
        reading = answered("reading a record", READ_SECONDS)
        async with reading, open_reader(self._kafka, auto_offset_reset="none") as consumer:
            if place.partition not in await partitions_of(consumer, place.topic):
                return None
            consumer.assign([place])
            first, end = (
                (await consumer.beginning_offsets([place]))[place],
                (await consumer.end_offsets([place]))[place],
            )
            if not first <= offset < end:
                return None
            consumer.seek(place, offset)
            while await consumer.position(place) <= offset:
                for record in (await consumer.getmany(place, timeout_ms=200, max_records=1)).get(place, []):
                    return record if record.offset == offset else None
            return None

    async def close(self) -> None:
        """Close the connection."""
        await self._quarantine.close()


def listed(found: list[Quarantined], topic: str | None, limit: int) -> QuarantineList:
    """The newest of those of a topic, or of all."""
    wanted = [one for one in found if topic is None or one.topic == topic]
    items = [QuarantineSummary.model_validate(_summary(one)) for one in wanted[:limit]]
    return QuarantineList(
        items=items, total=len(wanted), by_topic=dict(sorted(Counter(one.topic for one in wanted).items()))
    )


def answer(one: Quarantined) -> QuarantineView:
    """A record with its bytes."""
    return QuarantineView(
        **_summary(one),
        key_text=_text(one.key),
        key_base64=_base64(one.key),
        value_text=_text(one.value),
        value_base64=_base64(one.value),
        value_bytes=one.value_bytes,
    )


def _summary(one: Quarantined) -> dict[str, Any]:
    names = ("place", "topic", "partition", "offset", "reason", "reader", "quarantined_at", "by_hand")
    return {name: getattr(one, name) for name in names}


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
