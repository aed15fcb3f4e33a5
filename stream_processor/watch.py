"""Is there progress? A partition that has rows to score and does not move for a bounded time is a stall; so is a rebalance without end."""

import asyncio
import time
from collections.abc import Callable

import structlog
from aiokafka import TopicPartition

from runtime.errors import Unavailable
from stream_processor.inlet import Inlet
from stream_processor.metrics import LAG
from stream_processor.worker import Worker

INTERVAL_SECONDS = 1.0
REPORT_SECONDS = 0.1
"""How often the group's position is stored while it moves: the producer waits by it when many rows are not scored yet."""
SILENCE_SECONDS = 5.0
READ_AGAIN_SECONDS = 3.0
"""How long rows may be there and not arrive. Faust drops what it has fetched when its flow is off, as at the end of a recovery; the next
row would show the hole, but after a run's last row there is none."""

log = structlog.get_logger()


class Watch:
    """Looks at the worker once a second, which /live and /ready answer by, and reports how far it has come."""

    def __init__(
        self,
        worker: Worker,
        *,
        stall_timeout_seconds: float,
        session_timeout_seconds: float,
        unavailable_after_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker
        self._stall_timeout_seconds = stall_timeout_seconds
        self._join_timeout_seconds = 2 * stall_timeout_seconds + session_timeout_seconds  # a former member's session may have to end first
        self._unavailable_after_seconds = unavailable_after_seconds
        self._clock = clock
        self._ready_at = self._answered_at = clock()
        self._committed: dict[TopicPartition, int] = {}
        self._stalled: dict[str, str] = {}
        self._read_again_at: dict[TopicPartition, float] = {}

    def live(self) -> dict[str, str]:
        """Return what is stuck."""
        return self._stalled

    def ready(self) -> dict[str, str]:
        """Return why rows are not being scored."""
        app, problems = self._worker.app, dict(self._stalled)
        if self._worker.failure.done():
            problems["worker"] = "stopping"
        elif not self._worker.started:
            problems["kafka"] = "joining the group"
        elif app.rebalancing:
            problems["kafka"] = "rebalancing"
        elif app.in_recovery:
            problems["kafka"] = "recovering the table"
        elif self._clock() - self._answered_at > SILENCE_SECONDS:
            problems["kafka"] = f"no answer for {self._clock() - self._answered_at:.0f} s"
        elif app.recovered - set(self._worker.lanes):
            problems["kafka"] = "opening partitions"
        return problems

    async def run(self) -> None:
        """Watch until cancelled. Raises `Unavailable` when Kafka is away for too long."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self.look()

    async def report_on(self) -> None:
        """Report until cancelled."""
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            await self.report()

    async def report(self) -> None:
        """Store how far the lanes have come, if they moved. Only lag displays and the producer's pace depend on it."""
        moved = {tp: inlet.next_offset for tp, inlet in self._inlets().items() if inlet.next_offset != self._committed.get(tp)}
        if moved and not self._worker.app.rebalancing and await self._worker.app.commit_positions(moved):
            self._committed |= moved

    async def look(self) -> None:
        """Look once. A stall ends the worker. Raises `Unavailable` when Kafka is away for too long."""
        now = self._clock()
        try:
            await self._look(now)
            self._answered_at = self._clock()
        except Unavailable as error:
            if now - self._answered_at > self._unavailable_after_seconds:
                raise
            log.warning("kafka does not answer, trying again", error=str(error))
        if not self.ready():
            self._ready_at = now
        elif now - self._ready_at > self._join_timeout_seconds:
            self._stalled = {"kafka": f"not ready for {now - self._ready_at:.0f} s: {self.ready()}"}
        if self._stalled:
            self._worker.fail(Unavailable("kafka", f"no progress: {self._stalled}"))

    async def _look(self, now: float) -> None:
        inlets = self._inlets()
        if not inlets:
            return
        ends = await self._worker.broker.ends(list(inlets))
        for tp, inlet in inlets.items():
            lag = max(0, ends[tp] - inlet.next_offset)
            LAG.labels(tp.topic, tp.partition).set(lag)
            if not lag:
                inlet.moved_at = now
            elif now - inlet.moved_at > self._stall_timeout_seconds and not inlet.closed:
                await self._suspect(inlet, ends[tp])
            elif inlet.waiting and not self._worker.app.rebalancing:
                await self._read_again(inlet, now, ends[tp])

    def _inlets(self) -> dict[TopicPartition, Inlet]:
        return {inlet.tp: inlet for lane in self._worker.lanes.values() for inlet in lane.inlets.values()}

    async def _read_again(self, inlet: Inlet, now: float, end: int) -> None:
        if now - max(inlet.moved_at, self._read_again_at.get(inlet.tp, 0.0)) > READ_AGAIN_SECONDS:
            self._read_again_at[inlet.tp] = now
            if not await self._only_markers(inlet, end):
                where = {"topic": inlet.tp.topic, "partition": inlet.tp.partition}
                log.warning("records do not arrive, reading again", **where, wanted=inlet.next_offset)
                await inlet.read_again()

    async def _suspect(self, inlet: Inlet, end: int) -> None:
        if not await self._only_markers(inlet, end):
            where, lag = f"{inlet.tp.topic} partition {inlet.tp.partition}", end - inlet.next_offset
            self._stalled[where] = f"{lag} offsets behind, at {inlet.next_offset} for {self._stall_timeout_seconds:.0f} s"

    async def _only_markers(self, inlet: Inlet, end: int) -> bool:
        """Whether nothing but the markers of transactions and what was aborted stands before the end; then the inlet has come there."""
        wanted = inlet.next_offset
        if await self._worker.broker.first_offset(inlet.tp, wanted) is not None:
            return False
        if inlet.next_offset == wanted:
            inlet.done(end)
        return True
