"""Dead letters: shown whole, sent again, purged.

What is ordered goes as a plain record to `rows.v1`, into the partition of the letter, where the stream processor
carries it out in the order of the log and writes the letter's mark: so two gateways, a crash in between, or an order
given twice change nothing (ADR 17)."""

import asyncio
import base64
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from aiokafka import TopicPartition

from gateway import metrics
from gateway.dead_letters.topic_search import OldLetters, RecordPlace
from gateway.errors import Invalid, ObjectNotFound, RowsGone, problem
from runtime.kafka.clients import open_reader
from runtime.kafka.errors import answered
from schemas.decoding import reader
from schemas.http.dead_letters import DeadLetterPage, DeadLetterSummary, DeadLetterView, LetterHeader, Outcome
from schemas.messages import DeadLetter, DeadLetterMark
from schemas.topics import DEAD_LETTERS
from storage.view.dead_letters import DeadLetters, Found, Selection, state
from storage.view.redis_store import RedisUnavailable, ViewRebuilding

READ_SECONDS = 10.0
MEASURE_SECONDS = 10.0
_letter = reader(DeadLetter)


class Letters:
    """Finds letters; safe to share between requests."""

    def __init__(self, view: DeadLetters, kafka: dict[str, object]) -> None:
        self.view = view
        self._kafka = kafka
        self._old = OldLetters(kafka)

    async def find(self, name: str) -> Found:
        """The letter as the view keeps it, or as it is on the topic; raises `ObjectNotFound`, `RowsGone`,
        `Unavailable`."""
        if found := await self.view.named([name]):
            return found[0]
        search = await self._old.find([name])
        place = RecordPlace.of(name)
        first = search.first.get((place.topic, place.partition), 0) if place is not None else 0
        if name not in search.letters and place is not None and place.offset < first:
            raise RowsGone(first, place.partition)
        if name not in search.letters:
            raise ObjectNotFound("dead letter", name)
        return search.letters[name]

    async def named(self, names: Sequence[str]) -> dict[str, Found]:
        """The letters of these ids, those that there are, in the view or on the topic. Raises `Unavailable`."""
        known = {found.letter.dead_letter_id: found for found in await self.view.named(names)}
        missing = [name for name in names if name not in known]
        return known | (await self._old.find(missing)).letters

    async def again(self, found: Found) -> Found:
        """A letter that was found, as it is now."""
        return await (
            self._old.again(found) if found.marks_read_to is not None else self.find(found.letter.dead_letter_id)
        )

    async def whole(self, found: Found) -> Found:
        """The letter with all its bytes, from Kafka when the view holds only the beginning. When it is gone there: as
        it is."""
        if found.whole:
            return found
        letter = await self._read(found.partition, found.offset)
        return found._replace(letter=letter, whole=True) if letter else found

    async def measure(self) -> None:
        """Keep the metric of open letters up, until cancelled."""
        while True:
            with suppress(RedisUnavailable, ViewRebuilding):  # others say so; the figures stay as they were
                counts = await self.view.open_by_reason()
                metrics.OPEN_DEAD_LETTERS.clear()
                for reason, count in counts.items():
                    metrics.OPEN_DEAD_LETTERS.labels(reason).set(count)
            await asyncio.sleep(MEASURE_SECONDS)

    async def _read(self, partition: int, offset: int) -> DeadLetter | None:
        place = TopicPartition(DEAD_LETTERS.name, partition)
        reading = answered("reading a letter", READ_SECONDS)
        async with reading, open_reader(self._kafka, auto_offset_reset="none", fetch_max_wait_ms=50) as consumer:
            consumer.assign([place])
            if offset < (await consumer.beginning_offsets([place]))[place]:
                return None
            consumer.seek(place, offset)
            record = await consumer.getone(place)
            letter = _letter(record.value)
            return letter if record.offset == offset and isinstance(letter, DeadLetter) else None


def page(selection: Selection) -> DeadLetterPage:
    """Letters in a list."""
    return DeadLetterPage(
        items=[DeadLetterSummary.model_validate(_summary(found)) for found in selection.letters],
        next_cursor=selection.next_cursor,
        total=selection.total,
        by_reason=selection.by_reason,
        older_on_topic_only=selection.older_on_topic_only,
    )


def answer(found: Found) -> DeadLetterView:
    """A letter, shown whole."""
    letter = found.letter
    return DeadLetterView(
        **_summary(found),
        key_text=_text(letter.key),
        key_base64=None if letter.key is None else base64.b64encode(letter.key).decode(),
        headers=letter.headers,
        all_headers=[
            LetterHeader(name=name, text=_text(said), base64=None if said is None else base64.b64encode(said).decode())
            for name, said in letter.all_headers
        ],
        headers_cut=letter.headers_cut,
        value_text=_text(letter.value),
        value_base64=base64.b64encode(letter.value).decode(),
        whole=found.whole and not cut_off(letter),
    )


def edited(value: str | dict[str, Any] | None) -> bytes | None:
    """An edited value as bytes; null when there is none. Raises `Invalid` for text that is not Unicode."""
    try:
        return None if value is None else value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    except UnicodeEncodeError as error:
        raise Invalid([problem(("body", "value"), "This is no text in Unicode.")]) from error


def cut_off(letter: DeadLetter) -> bool:
    """Whether the record was too large to be kept whole."""
    return letter.value_bytes is not None and letter.value_bytes > len(letter.value)


def _summary(found: Found) -> dict[str, object]:
    letter = found.letter
    names: Iterable[str] = (
        "dead_letter_id",
        "reason",
        "message",
        "path",
        "run_id",
        "attempt",
        "row_index",
        "model_version",
    )
    places: Iterable[str] = ("topic", "partition", "offset", "occurred_at")
    shown: dict[str, object] = {name: getattr(letter, name) for name in (*names, *places)}
    return shown | {"state": state(found.mark), "outcome": _outcome(found.mark)}


def _outcome(mark: DeadLetterMark | None) -> Outcome | None:
    if mark is None or mark.mark == "purged":
        return None
    return Outcome(
        outcome=mark.mark,
        at=mark.marked_at,
        message=mark.message,
        prediction_id=mark.prediction_id,
        dead_letter_id=mark.new_dead_letter_id,
    )


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
