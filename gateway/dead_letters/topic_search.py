"""Dead letters that the view does not list any more, read from `dead-letters.v1`, with what became of them.

An id names the record of `rows.v1` or `ingress.rows.v1`. The letters of either topic stand in its partition in the
order of their records, since each batch is one transaction; so a letter is found by halving, in some twenty small
reads. Its marks stand anywhere behind it: to know its state, all that follows is read (as exact as the view, and as
slow as there are letters behind it). Belongs to no group."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from runtime.kafka.clients import open_reader
from runtime.kafka.errors import answered
from runtime.kafka.reading import partitions_of
from schemas.decoding import Unreadable, reader
from schemas.messages import DeadLetterMark
from schemas.topics import DEAD_LETTERS, INGRESS, ROWS
from storage.view.dead_letters import Found
from storage.view.operations import Letter, Mark
from storage.view.projection import KeptLetter, Projected, project

READERS = 2
"""Searches at once; others wait."""
CLOSE = 200
"""Offsets that are read one after the other rather than halved once more."""
ID = re.compile(r"(i?)(\d{1,9})-(\d{1,18})(?:-\d{1,9})?", re.ASCII)


class RecordPlace(NamedTuple):
    """The record of a topic of rows that an id names."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def of(cls, name: str) -> "RecordPlace | None":
        """Null when the text is no id of a letter."""
        found = ID.fullmatch(name)
        return cls(INGRESS.name if found[1] else ROWS.name, int(found[2]), int(found[3])) if found else None


class _Head(msgspec.Struct):
    """Which letter a record is or marks; `topic` and `offset` are those of a letter's record of rows."""

    dead_letter_id: str
    mark: str | None = None
    topic: str = ""
    offset: int = -1


_head = reader(_Head)
_kept = msgspec.json.Decoder(KeptLetter).decode
_mark = msgspec.json.Decoder(DeadLetterMark).decode


@dataclass(slots=True)
class Search:
    """What was found. `first`: by topic and partition the lowest record that still has a letter, where retention has
    removed others."""

    letters: dict[str, Found] = field(default_factory=dict)
    first: dict[tuple[str, int], int] = field(default_factory=dict)


class OldLetters:
    """Searches of one gateway process; safe to share between requests."""

    def __init__(self, kafka: dict[str, object], *, timeout_seconds: float = 30.0) -> None:
        self._kafka, self._timeout_seconds = kafka, timeout_seconds
        self._free = asyncio.Semaphore(READERS)

    async def find(self, names: Collection[str]) -> Search:
        """Return the letters of these ids that are on the topic. Raises `Unavailable`, also when there was no time to
        read all."""
        wanted: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        for name in names:
            if (place := RecordPlace.of(name)) is not None:
                wanted[place.topic, place.partition][name] = place.offset
        search = Search()
        if wanted:
            async with self._reading() as consumer:
                there = await partitions_of(consumer, DEAD_LETTERS.name)
                for topic, number in sorted(wanted):
                    if number in there:
                        await _search(consumer, topic, number, wanted[topic, number], search)
        return search

    async def again(self, found: Found) -> Found:
        """A letter that was found here, as it is now."""
        letters = {found.letter.dead_letter_id: found}
        async with self._reading() as consumer:
            tp = TopicPartition(DEAD_LETTERS.name, found.partition)
            consumer.assign([tp])
            end = (await consumer.end_offsets([tp]))[tp]
            async for record in _records(consumer, tp, found.marks_read_to or 0, end):
                _take(record, letters, letters.keys(), found.letter.topic)
        return letters[found.letter.dead_letter_id]._replace(marks_read_to=end)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AIOKafkaConsumer]:
        reading = answered("reading letters", self._timeout_seconds)
        async with reading, self._free, open_reader(self._kafka, fetch_max_wait_ms=50) as consumer:
            yield consumer


async def _search(
    consumer: AIOKafkaConsumer, topic: str, partition: int, wanted: dict[str, int], search: Search
) -> None:
    """Find letters of one partition of a topic: halve the way to the first of them, then read on."""
    tp = TopicPartition(DEAD_LETTERS.name, partition)
    consumer.assign([tp])
    begin, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
    if begin > 0 and (first := await _next_letter(consumer, tp, begin, end, topic)) is not None:
        search.first[topic, partition] = first[1]
    low, high, lowest = begin, end, min(wanted.values())
    while high - low > CLOSE:
        middle = (low + high) // 2
        found = await _next_letter(consumer, tp, middle, high, topic)
        if found is not None and found[1] < lowest:
            low = found[0] + 1
        else:
            high = middle
    letters: dict[str, Found] = {}
    async for record in _records(consumer, tp, low, end):
        passed = _take(record, letters, wanted.keys(), topic)
        if not letters and passed > max(wanted.values()):
            return
    search.letters |= {name: found._replace(marks_read_to=end) for name, found in letters.items()}


def _take(record: ConsumerRecord, letters: dict[str, Found], wanted: Collection[str], topic: str) -> int:
    """Keep what a record says of a wanted letter, as the view would; return the offset on the topic of a letter's
    record, else -1."""
    head = _head_of(record)
    if head is None or head.dead_letter_id not in wanted:
        return -1 if head is None or head.topic != topic else head.offset
    projected = project(record.topic, record.partition, record.offset, record.key, record.value)
    for operation in projected.operations if isinstance(projected, Projected) else ():
        known = letters.get(head.dead_letter_id)
        if isinstance(operation, Letter):
            kept = _kept(operation.value)
            letters.setdefault(head.dead_letter_id, Found(kept.letter, None, kept.partition, kept.offset, kept.whole))
        elif isinstance(operation, Mark) and known is not None and not (known.mark and known.mark.mark == "purged"):
            letters[head.dead_letter_id] = known._replace(mark=_mark(operation.value))
    return head.offset


async def _next_letter(
    consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int, topic: str
) -> tuple[int, int] | None:
    """The first letter of the topic at or behind an offset, before `end`: its own offset and that of its record."""
    async for record in _records(consumer, tp, start, end):
        head = _head_of(record)
        if head is not None and head.mark is None and head.topic == topic:
            return record.offset, head.offset
    return None


async def _records(
    consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int
) -> AsyncIterator[ConsumerRecord]:
    consumer.seek(tp, start)
    while await consumer.position(tp) < end:
        batch: Iterable[ConsumerRecord] = (await consumer.getmany(tp, timeout_ms=200)).get(tp, ())
        for record in batch:
            if record.offset < end:
                yield record


def _head_of(record: ConsumerRecord) -> _Head | None:
    head = _head(record.value)
    return None if isinstance(head, Unreadable) else head
