"""The edge to Redis: guarded application of operations, positions of the projection, and the two failures that reads
can meet.

Knows nothing of Kafka. Every call is bounded in time and raises `RedisUnavailable` when Redis does not answer.
Connections are opened at the first call and again after a loss.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

import msgspec
import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from storage.view import redis_keys as keys
from storage.view.operations import DEFAULT, Limits, Operation
from storage.view.redis_failures import CLUSTER, failure
from storage.view.redis_script import APPLY, BEGIN, CHECK, DROP, DROPPED, WHOLE

log = structlog.get_logger()

MAX_CONNECTIONS = 64
DAY_SECONDS = 86_400
DROP_SECONDS = 60
"""How long others leave the removal of what is left of a view to the one who began it."""
CENSUS_KEYS = 1000
"""So many keys are looked for at each check."""
_GUARDED = (keys.POSITIONS, keys.READY)
_KEPT = (keys.POSITIONS, keys.READY, keys.BEAT)
_LETTERS = (keys.DEAD_LETTERS, keys.LETTER_FACTS, keys.LETTER_VALUES, keys.LETTER_MARKS, keys.LETTERS_OLDER)


class RedisUnavailable(Exception):
    """Redis does not answer, or does not do what it is asked; it passes by itself, or when somebody mends it."""


class RedisRefuses(RedisUnavailable):
    """It answers, and says why it does not: in words for everybody."""


class RedisUnfit(RedisRefuses):
    """This Redis will never do: it runs as a cluster, or lets us run no scripts."""


class ViewRebuilding(Exception):
    """Redis answers, but what it holds is not whole: nothing may be shown."""

    def __init__(self, why: str = "") -> None:
        self.because = f": {why}" if why else ""
        super().__init__(f"view is being rebuilt{self.because}")


class ViewDamaged(ViewRebuilding):
    """What the view holds cannot be what we wrote."""


class Advance(NamedTuple):
    """A partition's records from offset `first` up to, not including, `next` are in the batch."""

    partition: str
    first: int
    next: int


class Check(NamedTuple):
    """What a look after the view has found.

    `state` is empty while it is well; `missing`: there is none, as in an empty Redis.
    `evicted`: how many keys Redis has removed since its start to make room, -1 when it does not say.
    """

    state: Literal["", "damaged", "missing", "dropping"]
    evicted: int
    positions: list[int | None]


class RedisStore:
    """The view's Redis. `refused` says why nothing is shown although it could be read: what is written does not get
    there."""

    def __init__(
        self, url: str, *, limits: Limits = DEFAULT, kept_seconds: int = DAY_SECONDS, timeout_seconds: float = 2.0
    ) -> None:
        """`kept_seconds`: how long after its last write what can be read from Kafka again (predictions, logs) stays
        here."""
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 1),
        )
        self._redis = redis.asyncio.Redis.from_pool(pool)
        self.limits = limits
        self._kept = [limits.predictions, kept_seconds, 8 * kept_seconds, limits.runs]
        self._apply = self._redis.register_script(APPLY)
        self._begin = self._redis.register_script(BEGIN)
        self._check = self._redis.register_script(CHECK)
        self._drop = self._redis.register_script(DROP)
        self._census_cursor = "0"
        self.refused: RedisUnavailable | None = None

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Return when Redis answers."""
        await self._call(self._redis.ping)

    async def about(self) -> tuple[dict[str, Any], int]:
        """What Redis says of itself, and how many keys it holds. Raises `RedisUnfit` for a cluster."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.info()
            pipe.dbsize()
            info, count = await self._call(pipe.execute)
        if info.get("redis_mode") == "cluster":
            raise RedisUnfit(CLUSTER)
        return info, count

    async def apply(
        self,
        operations: Sequence[Operation],
        touched: Iterable[str],
        *,
        advances: Sequence[Advance] = (),
        expected: int = 0,
    ) -> list[str]:
        """Carry out a batch atomically, move the positions, announce what was touched.

        Returns the partitions whose position in Redis is missing or lower than the batch's first; then nothing counts
        as done. So it is when the view is not there or damaged: then all of the batch's partitions, or an empty name
        when it has none. `expected` is how many partitions must have a position before the view is ready.
        """
        batch = msgspec.msgpack.encode([self._kept, operations, advances, " ".join(sorted(set(touched))), expected])
        names = [*_KEPT, keys.CHANGES, *_LETTERS, keys.WHOLE_RUNS]
        lost: list[bytes] = await self._call(lambda: self._apply(keys=names, args=[batch]))
        return [name.decode() for name in lost]

    async def begin(
        self, partition: str, *, start: int, target: int, expected: int, former: int = 0, tolerance: int = 1000
    ) -> int:
        """Return where to read a partition: its position, or `start` when there is none.

        The view is not ready before `target` is reached when there was no position or it lags by more than `tolerance`
        records; nor before `former`, where the reader knows to have been, is reached again. Raises `ViewRebuilding`
        while there is no view: see `clear`."""
        place = (partition, start, target, expected, former, tolerance)
        position = int(await self._call(lambda: self._begin(keys=_GUARDED, args=place)))
        if position < 0:
            raise ViewRebuilding("what is left of it is being removed")
        return position

    async def check(self, partitions: Sequence[str], expected: int, *, whole_census: bool = False) -> Check:
        """Look for some of the keys that must be there, or for all; see whether Redis takes writes; return the
        partitions' positions.

        None of a view that is not well counts.
        """
        while True:
            asked = [self._census_cursor, CENSUS_KEYS, expected, *partitions]
            state, cursor, evicted, *found = await self._call(lambda asked=asked: self._check(keys=_KEPT, args=asked))  # type: ignore[misc]
            self._census_cursor = cursor.decode()
            if state or not whole_census or self._census_cursor == "0":
                found += [None] * (len(partitions) - len(found))
                return Check(state.decode(), int(evicted), [None if value is None else int(value) for value in found])

    async def positions(self, partitions: Sequence[str]) -> list[int | None]:
        """Position of each partition, None where there is none."""
        if not partitions:
            return []
        found = await self._call(lambda: self._redis.hmget(keys.POSITIONS, list(partitions)))
        return [None if value is None else int(value) for value in found]

    async def read(self, fill: Callable[[Any], object]) -> list[Any]:
        """Run the commands that `fill` queues in one round trip, as of one moment; raise `ViewRebuilding` unless the
        view is whole.

        Whole: it is ready, and no key that is read is missing.
        """
        if self.refused is not None:
            raise type(self.refused)(str(self.refused))
        async with self._redis.pipeline(transaction=True) as pipe:
            fill(pipe)
            names = dict.fromkeys(command[0][1] for command in pipe.command_stack)
            pipe.eval(WHOLE, 2 + len(names), *_GUARDED, *names)
            try:
                answers: list[Any] = await self._call(pipe.execute)
            except ViewDamaged as error:
                await self.condemn(str(error))
                raise
        whole, why = answers.pop()
        if not whole:
            raise ViewRebuilding(why.decode("utf-8", "replace"))
        return answers

    async def condemn(self, why: str) -> None:
        """Have the whole view built again."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(*_GUARDED)
            pipe.hset(keys.POSITIONS, "why", why)
            await self._call(pipe.execute)

    async def clear(self, remark: str = "") -> bool:
        """Remove what is left of a view that is damaged, or of which nothing says that it is whole; it is built again
        from Kafka.

        Whether it was there to be done, and nobody else does it. `remark` is added to the reason that readers are told.
        """
        if not await self._call(lambda: self._drop(keys=_GUARDED, args=(DROP_SECONDS, remark))):
            return False
        cursor = 0
        while True:
            cursor, found = await self._call(
                lambda at=cursor: self._redis.scan(at, match=keys.PREFIX + "*", count=1000)  # type: ignore[misc]
            )
            if names := [name for name in found if name.decode("utf-8", "replace") not in _KEPT]:
                await self._call(lambda part=names: self._redis.unlink(*part))  # type: ignore[misc]
            if not cursor:
                break
        await self._call(lambda: self._redis.eval(DROPPED, 1, keys.POSITIONS))
        return True

    @asynccontextmanager
    async def subscription(self) -> AsyncIterator[Callable[[float], Awaitable[list[str]]]]:
        """Listen to announcements; yields a call that waits for the next one, with a bound, and returns the touched
        ids."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await self._call(lambda: pubsub.subscribe(keys.CHANGES))

            async def touched(timeout_seconds: float) -> list[str]:
                message = await self._call(lambda: pubsub.get_message(timeout=timeout_seconds))
                return message["data"].decode().split() if message else []

            yield touched

    async def _call(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """Run a command. A cancellation is never lost: before Python 3.12 `asyncio.wait_for`, which redis-py sends
        with, may swallow it."""
        task = asyncio.current_task()
        cancelled_before = task.cancelling() if task else 0
        try:
            answer = await command()
        except DataError:  # of ours, before anything is sent
            raise
        except (RedisError, OSError, TimeoutError) as error:
            raise _meaning(error) from error
        if task and task.cancelling() > cancelled_before:
            raise asyncio.CancelledError
        return answer


def _meaning(error: Exception) -> Exception:
    """What a reader or writer is told."""
    found = failure(error)
    if found is None:
        if isinstance(error, RedisError) and not isinstance(error, (RedisConnectionError, RedisTimeoutError)):
            log.error("Redis said something that is not known here", error=str(error)[:500])
        return RedisUnavailable(str(error)[:500] or type(error).__name__)
    if found.kind == "damaged":
        return ViewDamaged(found.why)
    return RedisUnfit(found.why) if found.kind == "unfit" else RedisRefuses(found.why)
