"""Sends dead letters again, or orders them to be purged: plain records on `rows.v1`, in the partition of the letter.

Not in a transaction, on purpose: a gateway that dies in one would hold the scoring of the partition up, and every
record of it would tear a hole into the offsets. It needs none: the stream processor counts a row and purges a letter
once, however often that is asked for (ADR 17)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaProducer

from gateway.dead_letters.letters import Letters, cut_off
from gateway.errors import Invalid, StateConflict, problem
from gateway.notifications import Changes
from runtime.errors import Unavailable
from runtime.kafka.clients import plain_producer, started
from runtime.kafka.errors import answered
from runtime.tasks import stop_client
from schemas.http.dead_letters import MOST_LETTERS, LetterFailed, LettersSent
from schemas.messages import DeadLetter, Purge, Redrive, encode
from schemas.topics import (
    CONTENT_TYPE_HEADER,
    JSON,
    MAX_MESSAGE_BYTES,
    MAX_ROW_BYTES,
    REDRIVE_HEADER,
    ROWS,
    SCHEMA_VERSION,
    SCHEMA_VERSION_HEADER,
    TYPE_HEADER,
)
from storage.view.dead_letters import Found, Wanted, state

CLOSE_SECONDS = 5.0
WAIT_SECONDS = 2.0
"""How long a request waits until what came of it is shown."""
Headers = list[tuple[str, bytes]]
log = structlog.get_logger()


class Redriver:
    """Writes to `rows.v1`; connects when first used. Safe to share between requests."""

    def __init__(
        self, kafka: dict[str, object], letters: Letters, changes: Changes, *, timeout_seconds: float = 5.0
    ) -> None:
        self._kafka = kafka
        self._letters = letters
        self._changes = changes
        self._timeout_seconds = timeout_seconds
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def redrive(self, name: str, edited: bytes | None) -> Found:
        """Send a letter again and wait, bounded, for what comes of it. One that was answered stays as it is.

        Raises `NotFound`, `Gone`, `StateConflict` when the letter was purged or has become another, `Invalid`,
        `Unavailable`."""
        found = await self._letters.find(name)
        if found.mark is not None and found.mark.mark == "answered":
            return found
        _check(found)
        whole = await self._letters.whole(found)
        value = edited if edited is not None else _own(whole)
        await self._send(whole.letter, *_again(whole.letter, value, edited=edited is not None))
        return await self._wait(found)

    async def redrive_all(self, wanted: Wanted) -> LettersSent:
        """Send all open letters that match as they were, the newest of them up to the bound of a request."""
        selection = await self._letters.view.select(wanted._replace(state="open"), limit=MOST_LETTERS)

        async def send(found: Found) -> None:
            whole = await self._letters.whole(found)
            await self._send(whole.letter, *_again(whole.letter, _own(whole), edited=False))

        return await _each(selection.letters, selection.total, send)

    async def purge(self, wanted: Wanted, names: Sequence[str] | None) -> LettersSent:
        """Order letters to be purged: the named ones, else those that match. Unknown names and what is purged already
        fail and are told."""
        if names is None:
            selection = await self._letters.view.select(wanted, limit=MOST_LETTERS)
            return await _each(selection.letters, selection.total, self._purge)
        known = await self._letters.named(names)
        report = await _each([known[name] for name in names if name in known], len(names), self._purge)
        missing = [
            LetterFailed(dead_letter_id=name, detail="there is no such letter") for name in names if name not in known
        ]
        return report.model_copy(update={"failed": [*report.failed, *missing], "left": 0})

    async def _purge(self, found: Found) -> None:
        letter = found.letter
        if letter.run_id is None or letter.row_index is None:
            raise StateConflict("The letter belongs to no run: it is too old to be purged.", "no_run")
        again = found.mark is not None and found.mark.mark == "dead_letter"  # then the row belongs to the newer letter
        order = Purge(
            dead_letter_id=letter.dead_letter_id,
            run_id=letter.run_id,
            attempt=letter.attempt or 1,
            lane=letter.lane or 0,
            row_index=letter.row_index,
            forget=not again,
        )
        await self._send(letter, encode(order), [(TYPE_HEADER, b"purge"), (CONTENT_TYPE_HEADER, JSON)])

    async def close(self) -> None:
        """Let the producer go."""
        if self._producer is not None:
            with suppress(Exception):  # a broker that is away does not hold the stop up
                async with asyncio.timeout(CLOSE_SECONDS):
                    await stop_client(self._producer)

    async def _send(self, letter: DeadLetter, value: bytes, headers: Headers) -> None:
        async with answered("sending a row", self._timeout_seconds):
            producer = await self._started()
            await producer.send_and_wait(ROWS.name, value, key=letter.key, partition=letter.partition, headers=headers)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                self._producer = await started(plain_producer(self._kafka, max_request_size=MAX_MESSAGE_BYTES))
            return self._producer

    async def _wait(self, before: Found) -> Found:
        """The letter with what came of it, or as it was when the time is up."""
        with self._changes.listen(before.letter.run_id or before.letter.dead_letter_id) as news:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    while True:
                        news.clear()
                        found = await self._letters.again(before)
                        if found.mark != before.mark:
                            return found
                        try:
                            async with asyncio.timeout(0.2):
                                await news.wait()
                        except TimeoutError:
                            continue
            except TimeoutError:
                return before


async def _each(letters: Sequence[Found], total: int, send: Callable[[Found], Awaitable[None]]) -> LettersSent:
    """Deal with letters one after the other, the oldest first; once Kafka is away, the rest is told to have failed."""
    failed: list[LetterFailed] = []
    away: str | None = None
    for found in reversed(letters):
        name = found.letter.dead_letter_id
        if away is None:
            try:
                await send(found)
                continue
            except Unavailable as error:
                away = str(error)
            except (StateConflict, Invalid) as error:
                failed.append(LetterFailed(dead_letter_id=name, detail=str(error)))
                continue
        failed.append(LetterFailed(dead_letter_id=name, detail=away))
    sent = len(letters) - len(failed)
    if away is not None:
        if not sent:
            raise Unavailable("kafka", away)
        log.warning("only some dead letters were dealt with", sent=sent, failed=len(failed), error=away)
    return LettersSent(matched=total, sent=sent, failed=failed, left=max(total - len(letters), 0))


def _check(found: Found) -> None:
    if state(found.mark) == "purged":
        raise StateConflict("The letter is purged; only open ones can be redriven.", "wrong_state")
    if found.mark is not None and found.mark.mark == "dead_letter":
        raise StateConflict(
            f"The letter was redriven and is dead letter {found.mark.new_dead_letter_id} now; redrive that.",
            "wrong_state",
        )
    if found.letter.run_id is None or found.letter.row_index is None:
        raise StateConflict("The letter belongs to no run: it is too old to be redriven.", "no_run")


def _own(found: Found) -> bytes:
    """The letter's own bytes."""
    if not found.whole or cut_off(found.letter):
        raise StateConflict("Only the beginning of the record was kept; send an edited value.", "cut_off")
    return found.letter.value


def _again(letter: DeadLetter, value: bytes, *, edited: bool) -> tuple[bytes, Headers]:
    """The value and headers of the row that is sent again. What is edited is JSON; what is not says what it said."""
    if len(value) > MAX_ROW_BYTES:
        raise Invalid([problem(("body", "value"), f"A row has at most {MAX_ROW_BYTES} bytes.")])
    assert letter.run_id is not None
    assert letter.row_index is not None
    named = Redrive(
        dead_letter_id=letter.dead_letter_id,
        run_id=letter.run_id,
        attempt=letter.attempt or 1,
        lane=letter.lane or 0,
        row_index=letter.row_index,
    )
    return value, [(REDRIVE_HEADER, encode(named)), *_carried(letter, edited=edited)]


def _carried(letter: DeadLetter, *, edited: bool) -> Headers:
    """The record's own headers, without those by which it claimed to be something else than a row."""
    said = letter.all_headers or [(name, text.encode()) for name, text in letter.headers.items()]
    left_out = {REDRIVE_HEADER, TYPE_HEADER, *((CONTENT_TYPE_HEADER, SCHEMA_VERSION_HEADER) if edited else ())}
    kept = [(name, value or b"") for name, value in said if name.lower() not in left_out]
    return [*kept, (CONTENT_TYPE_HEADER, JSON), (SCHEMA_VERSION_HEADER, SCHEMA_VERSION)] if edited else kept
