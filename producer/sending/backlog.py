"""How many rows of ours are not scored yet, so that sending does not outrun scoring without bound.

Exact, and nearly free: each confirmed batch is remembered with its rows and the offset behind it, and forgotten when
the position that the stream processor commits has passed it. That position is asked for only when as many rows are out
as may be. Scoring commits it ten times a second, so the bound should be what is scored in a few tenths: rows of other
runs wait behind them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from producer.metrics import ROWS_UNSCORED
from runtime.kafka.clients import administrator
from schemas.topics import APP_ID, ROWS

log = structlog.get_logger()

ASK_SECONDS = 0.1
PACED_TIMES = 10
"""How many times more rows may be unscored when a run that keeps a pace sends: it does not wait for room that others
fill at once."""
STUCK_SECONDS = 1.0
WARN_SECONDS = 10.0
JOINED_ROWS = 1000
"""Small batches are remembered together up to so many rows: a slow run must not fill the memory."""


class Backlog:
    """Rows that were confirmed by the broker and are not scored. `most` 0: no bound."""

    def __init__(self, kafka: dict[str, object], most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rows = 0
        self._clock = clock
        self._moved_at = clock()
        self._kafka, self._most = kafka, most
        self._batches: dict[int, deque[tuple[int, int]]] = {}
        self._asking = asyncio.Lock()
        self._admin: AIOKafkaAdminClient | None = None

    def full(self, *, paced: bool) -> bool:
        """Whether sending has to wait; a run that keeps a pace waits later."""
        return 0 < self._bound(paced) <= self.rows

    def _bound(self, paced: bool) -> int:
        return self._most * (PACED_TIMES if paced else 1)

    def stuck(self, *, paced: bool) -> bool:
        """Whether sending waits for longer than it does at full speed."""
        return self.full(paced=paced) and self._clock() - self._moved_at > STUCK_SECONDS

    def confirmed(self, partition: int, end: int, rows: int) -> None:
        """The broker has a batch, up to (not including) the offset `end`."""
        if not rows or not self._most:
            return
        batches = self._batches.setdefault(partition, deque())
        self.rows += rows
        if self.rows == rows:
            self._moved_at = self._clock()  # nothing was waited for
        if batches and batches[-1][1] + rows <= JOINED_ROWS:
            rows += batches.pop()[1]
        batches.append((end, rows))

    def scored(self, positions: Mapping[int, int]) -> None:
        """Everything before these offsets is scored."""
        for partition, position in positions.items():
            waiting = self._batches.get(partition, deque())
            while waiting and waiting[0][0] <= position:
                self.rows -= waiting.popleft()[1]
                self._moved_at = self._clock()
        ROWS_UNSCORED.set(self.rows)

    async def room(self, *, paced: bool) -> None:
        """Wait until fewer rows are unscored than may be, for as long as it takes."""
        waited = 0.0
        while self.full(paced=paced):
            async with self._asking:
                if self.full(paced=paced):
                    self.scored(await self._positions())
                if self.full(paced=paced):
                    await asyncio.sleep(ASK_SECONDS)
            waited += ASK_SECONDS
            if waited > WARN_SECONDS:
                waited = 0.0
                log.warning("rows are not being scored; sending waits", unscored=self.rows, most=self._bound(paced))

    async def _positions(self) -> dict[int, int]:
        try:
            if self._admin is None:
                admin = administrator(self._kafka)
                await admin.start()
                self._admin = admin
            found = await self._admin.list_consumer_group_offsets(
                APP_ID, partitions=[TopicPartition(ROWS.name, p) for p in self._batches]
            )
        except (KafkaError, OSError) as error:
            log.warning("how far scoring has come is not known", error=repr(error))
            return {}
        return {tp.partition: place.offset for tp, place in found.items()}

    async def close(self) -> None:
        """Disconnect."""
        if self._admin is not None:
            await self._admin.close()
