"""Looks after the view's Redis for the projector: whether it takes writes, whether it loses keys, and what is said of
that (ADR 29).

While what is projected does not get there nothing is shown: it would be old. A view that has lost keys is cleared away
and built again, each time after a longer wait while that does not last: a Redis that is too small for it would be
filled for ever."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from gateway import metrics
from storage.view.redis_store import RedisStore, RedisUnavailable, ViewDamaged, ViewRebuilding

log = structlog.get_logger()

RETRY_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 30.0
LASTING_SECONDS = 60.0
"""A view that was whole for so long counts as one that lasts."""
KEEPING = "noeviction"


class Caretaker:
    """Of one projector."""

    def __init__(self, store: RedisStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._evicted: int | None = None
        self._policy: str | None = None
        self._cleared_at, self._wait_seconds = -LASTING_SECONDS, 0.0

    async def look(self, partitions: Sequence[str], expected: int) -> list[int | None]:
        """Check the view, all of it when Redis has evicted keys; return the partitions' positions, none when keys are
        missing.

        When this returns Redis takes writes, and what was held back is shown again.
        """
        found = await self._store.check(partitions, expected)
        if self._evicted is not None and found.evicted > self._evicted:
            log.error("Redis has evicted keys", keys=found.evicted - self._evicted, **self._about())
            metrics.EVICTED.inc(found.evicted - self._evicted)
            found = await self._store.check(partitions, expected, whole_census=True)
        self._evicted = found.evicted
        self._store.refused = None
        return found.positions

    async def clear(self) -> None:
        """Before partitions are placed: remove a view that is damaged, after a wait when that was done a short time
        ago.

        Waits while another does it.
        """
        await self._ask_policy()
        found = await self._store.check([], 0)
        while found.state == "dropping":
            await asyncio.sleep(RETRY_SECONDS)
            found = await self._store.check([], 0)
        if not found.state:
            return
        now = self._clock()
        lasted = now - self._cleared_at > LASTING_SECONDS + self._wait_seconds
        self._wait_seconds = 0.0 if lasted else min(max(1.0, 2 * self._wait_seconds), LONGEST_WAIT_SECONDS)
        self._cleared_at = now + self._wait_seconds
        await asyncio.sleep(self._wait_seconds)
        if await self._store.clear(self._remark(found.evicted)):
            if found.state == "missing":
                log.info("there is no view in Redis: it is built", evicted=found.evicted)
            else:
                metrics.REBUILDS.inc()
                log.error(
                    "the view is built again: keys of it were gone from Redis", evicted=found.evicted, **self._about()
                )

    async def hold_back(self, error: Exception) -> None:
        """Show nothing until a look has found that what is projected gets there. What is not ours to read is built
        again."""
        if isinstance(error, ViewDamaged):
            try:
                await self._store.condemn(str(error))
            except (RedisUnavailable, ViewRebuilding) as again:
                log.warning("a damaged view cannot be marked", error=str(again))
        elif isinstance(error, RedisUnavailable):
            self._store.refused = error

    async def let_go(self) -> None:
        """It is Kafka that is away: what is in Redis may be shown again if it takes writes."""
        if self._store.refused is None:
            return
        try:
            await self._store.check([], 0)
        except RedisUnavailable as error:
            self._store.refused = error
        except ViewRebuilding as error:
            log.warning("the view is damaged", error=str(error))
        else:
            self._store.refused = None

    async def _ask_policy(self) -> None:
        """Once."""
        if self._policy is not None:
            return
        info, _ = await self._store.about()
        self._policy = str(info.get("maxmemory_policy", "unknown"))
        if self._policy not in (KEEPING, "unknown"):
            log.warning("Redis may evict keys of the view: set maxmemory-policy noeviction", policy=self._policy)

    def _about(self) -> dict[str, object]:
        return {
            "policy": self._policy,
            "advice": "set maxmemory-policy noeviction, and maxmemory so high that all fits",
        }

    def _remark(self, evicted: int) -> str:
        if evicted <= 0 or self._policy in (None, KEEPING):
            return ""
        return (
            f"; Redis has evicted {evicted:,} keys ({self._policy}): set maxmemory-policy noeviction, and maxmemory so"
            " high that all fits"
        )
