"""What the gateway reads of dead letters, from the view in Redis: lists with filters and counts, single letters, with
what became of them.

Raises `RedisUnavailable` and `ViewRebuilding` as `storage.view.views` does.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from schemas.messages import DeadLetter, DeadLetterMark
from storage.view import redis_keys as keys
from storage.view.projection import MEMBER_TIME_DIGITS, KeptLetter, LetterFacts
from storage.view.redis_store import RedisStore
from storage.view.views import WrongCursor

State = Literal["open", "redriven", "purged"]
_facts = msgspec.json.Decoder(LetterFacts).decode
_kept = msgspec.json.Decoder(KeptLetter).decode
_mark = msgspec.json.Decoder(DeadLetterMark).decode


class Wanted(NamedTuple):
    """A filter: what is not None must be so. Without a state all that are not purged."""

    run_id: str | None = None
    reason: str | None = None
    topic: str | None = None
    state: State | None = None

    def matches(self, facts: LetterFacts, mark: DeadLetterMark | None) -> bool:
        """Whether a letter is meant."""
        return (
            (self.run_id is None or facts.run_id == self.run_id)
            and (self.reason is None or facts.reason == self.reason)
            and (self.topic is None or facts.topic == self.topic)
            and (state(mark) == self.state if self.state else state(mark) != "purged")
        )


class Found(NamedTuple):
    """A letter as it is kept: of a large value the beginning, unless `whole`; its record stands at `partition`,
    `offset`.

    `marks_read_to`: it is on the topic only, where its marks were looked for up to this offset.
    """

    letter: DeadLetter
    mark: DeadLetterMark | None
    partition: int
    offset: int
    whole: bool
    marks_read_to: int | None = None


class Selection(NamedTuple):
    """Letters that match, newest first: at most as many as were asked for; `total` and `by_reason` count them all."""

    letters: list[Found]
    next_cursor: str | None
    total: int
    by_reason: dict[str, int]
    older_on_topic_only: bool


def state(mark: DeadLetterMark | None) -> State:
    """What became of a letter, in a word. One that was redriven in vain is open."""
    if mark is None or mark.mark == "ignored":
        return "open"
    return "purged" if mark.mark == "purged" else "redriven"


class DeadLetters:
    """Reads of one gateway process; safe to share between requests."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def select(self, wanted: Wanted, cursor: str | None = None, limit: int = 50) -> Selection:
        """Return the newest letters below the cursor that match. Raises `WrongCursor`."""
        if cursor is not None and not cursor[:MEMBER_TIME_DIGITS].isdecimal():
            raise WrongCursor(cursor)
        members, facts, marks, older = await self._store.read(
            lambda pipe: (
                pipe.zrevrange(keys.DEAD_LETTERS, 0, -1)
                .hgetall(keys.LETTER_FACTS)
                .hgetall(keys.LETTER_MARKS)
                .exists(keys.LETTERS_OLDER)
            )
        )
        known = _marks(marks)
        matching: list[bytes] = []
        reasons: Counter[str] = Counter()
        for member in members:
            name = member[MEMBER_TIME_DIGITS:]
            about = _facts(facts[name])
            if wanted.matches(about, known.get(name)):
                reasons[about.reason] += 1
                matching.append(member)
        page = [member for member in matching if cursor is None or member < cursor.encode()][: limit + 1]
        return Selection(
            letters=await self._values([member[MEMBER_TIME_DIGITS:] for member in page[:limit]]),
            next_cursor=page[limit - 1].decode() if len(page) > limit else None,
            total=len(matching),
            by_reason=dict(sorted(reasons.items())),
            older_on_topic_only=bool(older),
        )

    async def named(self, names: Sequence[str]) -> list[Found]:
        """Return the letters of these ids, those that are kept."""
        return await self._values([name.encode() for name in names])

    async def open_by_reason(self) -> dict[str, int]:
        """Count the open letters."""
        return (await self.select(Wanted(state="open"), limit=0)).by_reason

    async def _values(self, names: Sequence[bytes]) -> list[Found]:
        if not names:
            return []
        values, marks = await self._store.read(
            lambda pipe: pipe.hmget(keys.LETTER_VALUES, names).hmget(keys.LETTER_MARKS, names)
        )
        known = _marks({name: mark for name, mark in zip(names, marks, strict=True) if mark})
        found = ((name, _kept(value)) for name, value in zip(names, values, strict=True) if value)
        return [Found(kept.letter, known.get(name), kept.partition, kept.offset, kept.whole) for name, kept in found]


def _marks(values: Mapping[bytes, bytes]) -> dict[bytes, DeadLetterMark]:
    """Each value is its order, a blank, and the mark."""
    return {name: _mark(value.partition(b" ")[2]) for name, value in values.items()}
