"""The edge to Redis: guarded application of operations, positions of the projection, and the two failures that reads can meet.

Knows nothing of Kafka. Every call is bounded in time and raises `RedisUnavailable` when Redis does not answer. Connections are opened at
the first call and again after a loss.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from storage import redis_keys as keys
from storage.operations import DEFAULT, Limits, Operation
from storage.redis_script import APPLY, BEGIN

MAX_CONNECTIONS = 64
DAY_SECONDS = 86_400
_UNANSWERED = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError, OSError, TimeoutError)
"""What passes by itself. Any other error of Redis is a bug of ours."""
_GUARDED = (keys.POSITIONS, keys.REBUILDING, keys.READY)
_LETTERS = (keys.DEAD_LETTERS, keys.LETTER_FACTS, keys.LETTER_VALUES, keys.LETTER_MARKS, keys.LETTERS_OLDER)


class RedisUnavailable(Exception):
    """Redis does not answer."""


class ViewRebuilding(Exception):
    """Redis answers, but what it holds is not whole yet: nothing may be shown."""

    def __init__(self) -> None:
        super().__init__("view is being rebuilt")


class Advance(NamedTuple):
    """A partition's records from offset `first` up to, not including, `next` are in the batch."""

    partition: str
    first: int
    next: int


class RedisStore:
    """The view's Redis."""

    def __init__(self, url: str, *, limits: Limits = DEFAULT, kept_seconds: int = DAY_SECONDS, timeout_seconds: float = 2.0) -> None:
        """`kept_seconds`: how long after its last write what can be read from Kafka again (predictions, logs) stays here."""
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

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """Return when Redis answers."""
        await self._call(self._redis.ping)

    async def about(self) -> tuple[dict[str, Any], int]:
        """What Redis says of itself, and how many keys it holds."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.info()
            pipe.dbsize()
            info, count = await self._call(pipe.execute)
        return info, count

    async def apply(
        self, operations: Sequence[Operation], touched: Iterable[str], *, advances: Sequence[Advance] = (), expected: int = 0
    ) -> list[str]:
        """Carry out a batch atomically, move the positions, announce what was touched.

        Returns the partitions whose position in Redis is missing or lower than the batch's first; then nothing was done.
        `expected` is how many partitions must have a position before the view is ready.
        """
        batch = msgspec.msgpack.encode([self._kept, operations, advances, " ".join(sorted(set(touched))), expected])
        lost: list[bytes] = await self._call(lambda: self._apply(keys=[*_GUARDED, keys.CHANGES, *_LETTERS, keys.WHOLE_RUNS], args=[batch]))
        return [name.decode() for name in lost]

    async def begin(self, partition: str, *, start: int, target: int, expected: int, former: int = 0, tolerance: int = 1000) -> int:
        """Return where to read a partition: its position, or `start` when there is none.

        The view is not ready before `target` is reached when there was no position or it lags by more than `tolerance` records; nor before
        `former`, where the reader knows to have been, is reached again.
        """
        place = (partition, start, target, expected, former, tolerance)
        return int(await self._call(lambda: self._begin(keys=_GUARDED, args=place)))

    async def positions(self, partitions: Sequence[str]) -> list[int | None]:
        """Position of each partition, None where there is none."""
        if not partitions:
            return []
        found = await self._call(lambda: self._redis.hmget(keys.POSITIONS, list(partitions)))
        return [None if value is None else int(value) for value in found]

    async def read(self, fill: Callable[[Any], object]) -> list[Any]:
        """Run the commands that `fill` queues in one round trip, as of one moment; raise `ViewRebuilding` unless the view is whole."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.exists(keys.READY)
            fill(pipe)
            answers: list[Any] = await self._call(pipe.execute)
        if not answers[0]:
            raise ViewRebuilding
        return answers[1:]

    async def drop(self) -> None:
        """Delete the whole view; it is built again from Kafka."""
        await self._call(lambda: self._redis.delete(keys.READY, keys.POSITIONS, keys.REBUILDING))
        names = [name async for name in self._redis.scan_iter(match=keys.PREFIX + "*", count=1000)]
        for start in range(0, len(names), 1000):
            await self._call(lambda part=names[start : start + 1000]: self._redis.unlink(*part))  # type: ignore[misc]

    @asynccontextmanager
    async def subscription(self) -> AsyncIterator[Callable[[float], Awaitable[list[str]]]]:
        """Listen to announcements; yields a call that waits for the next one, with a bound, and returns the touched ids."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await self._call(lambda: pubsub.subscribe(keys.CHANGES))

            async def touched(timeout_seconds: float) -> list[str]:
                message = await self._call(lambda: pubsub.get_message(timeout=timeout_seconds))
                return message["data"].decode().split() if message else []

            yield touched

    async def _call(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """Run a command. A cancellation is never lost: before Python 3.12 `asyncio.wait_for`, which redis-py sends with, may swallow it."""
        task = asyncio.current_task()
        cancelled_before = task.cancelling() if task else 0
        try:
            answer = await command()
        except _UNANSWERED as error:
            raise RedisUnavailable(str(error) or type(error).__name__) from error
        if task and task.cancelling() > cancelled_before:
            raise asyncio.CancelledError
        return answer
