"""Is there progress? A partition that has rows to score and does not move for a bounded time is a stall; so is a rebalance without end."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import structlog

from runtime.errors import Unavailable
from schemas.topics import ROWS
from stream_processor.book import Outcome
from stream_processor.gaps import Ends
from stream_processor.lane import Lane
from stream_processor.metrics import BLOCKED_SECONDS, LAG, LANES_LOST
from stream_processor.missing import Audit, Places, ended, lost_lanes
from stream_processor.worker import Worker

INTERVAL_SECONDS = 1.0
REPORT_SECONDS = 0.1
"""How often the group's position is stored while it moves: the producer waits by it when many rows are not scored yet."""
SILENCE_SECONDS = 5.0
READ_AGAIN_SECONDS = 3.0
"""How long rows may be there and not arrive. Faust drops what it has fetched when its flow is off, as at the end of a recovery; the next
row would show the hole, but after a run's last row there is none."""
BLOCKED_AFTER_SECONDS = 3.0
"""How long a transaction of another system may be open before it is said."""

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
        self._committed: dict[int, int] = {}
        self._stalled: dict[str, str] = {}
        self._read_again_at: dict[int, float] = {}
        self._blocked_since: dict[int, float] = {}
        self._blocked: dict[str, str] = {}
        self._audit = Audit(worker.partition_of)

    def live(self) -> dict[str, str]:
        """Return what is stuck."""
        return self._stalled

    def ready(self) -> dict[str, str]:
        """Return why rows are not being scored."""
        return self._problems() | self._blocked

    def _problems(self) -> dict[str, str]:
        """What a new start of the worker may mend."""
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
        at = {partition: lane.next_offset for partition, lane in self._worker.lanes.items()}
        moved = {partition: offset for partition, offset in at.items() if offset != self._committed.get(partition)}
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
        if not (problems := self._problems()):
            self._ready_at = now
        elif now - self._ready_at > self._join_timeout_seconds:
            self._stalled = {"kafka": f"not ready for {now - self._ready_at:.0f} s: {problems}"}
        if self._stalled:
            self._worker.fail(Unavailable("kafka", f"no progress: {self._stalled}"))

    async def _look(self, now: float) -> None:
        lanes = dict(self._worker.lanes)
        self._note_runs(lanes)  # before it is asked where the partitions end
        if not lanes:
            return
        ends = await self._worker.broker.ends(list(lanes))
        for partition, lane in lanes.items():
            lag = max(0, ends[partition].high - lane.next_offset)
            LAG.labels(partition).set(lag)
            blocked = await self._is_blocked(lane, ends[partition])
            await self._say_blocked(partition, now, blocked=blocked)
            self._say_beyond(lane, ends[partition])
            if blocked or not lag:
                lane.moved_at = now
            elif now - lane.moved_at > self._stall_timeout_seconds and not lane.closed:
                await self._suspect(partition, lag)
            elif lane.waiting and not self._worker.app.rebalancing:
                await self._read_again(lane, now, ends[partition])
            if due := self._audit.due(partition, lane.next_offset, ends[partition].high):
                await self._compare(lane, due)

    async def _is_blocked(self, lane: Lane, ends: Ends) -> bool:
        """Whether all is read that may be read, but not all there is: a transaction is open."""
        if ends.stable >= ends.high or not lane.waiting:
            return False
        wanted = lane.next_offset
        return wanted >= ends.stable or await self._worker.broker.first_offset(lane.partition, wanted) is None

    async def _say_blocked(self, partition: int, now: float, *, blocked: bool) -> None:
        name = f"{ROWS.name}/{partition}"
        if not blocked:
            if self._blocked_since.pop(partition, None) is not None:
                with suppress(KeyError):
                    BLOCKED_SECONDS.remove(partition)
            if self._blocked.pop(name, None):
                log.info("the open transaction has ended", partition=partition)
            return
        seconds = now - self._blocked_since.setdefault(partition, now)
        if seconds < BLOCKED_AFTER_SECONDS:
            return
        BLOCKED_SECONDS.labels(partition).set(seconds)
        if name not in self._blocked:
            producers = await self._worker.broker.open_producers(partition)
            log.warning("rows wait behind an open transaction of another system", partition=partition, producer_ids=producers)
            self._blocked[name] = "waits behind an open transaction of another system" + (
                f", producer id {', '.join(map(str, producers))}" if producers else ""
            )

    def _say_beyond(self, lane: Lane, ends: Ends) -> None:
        name, was = f"{ROWS.name}/{lane.partition} position", f"stands at offset {lane.next_offset}, but the topic ends at {ends.high}"
        if lane.next_offset <= ends.high:
            self._blocked.pop(name, None)
        elif name not in self._blocked:
            log.error("the position is beyond the end of the topic: it was made anew?", partition=lane.partition, wanted=lane.next_offset)
            self._blocked[name] = was

    def _note_runs(self, lanes: Mapping[int, Lane]) -> None:
        """Have the runs compared that moved, and on partitions that were just opened all of them."""
        epochs, opened = self._worker.epochs, self._audit.opened(lanes)
        moved = epochs.moved()
        for run_id in epochs.runs() if opened else moved:
            if place := epochs.place(run_id):
                self._audit.note(run_id, place, None if run_id in moved else opened)

    async def _compare(self, lane: Lane, due: Places) -> None:
        """Look, beside the scoring, for lanes that lack rows; decide when no batch is in hand."""
        find = partial(lost_lanes, partition=lane.partition, partition_of=self._worker.partition_of)
        lost = await asyncio.to_thread(find, due, self._worker.state)
        if not lost:
            return
        start = await self._worker.broker.log_start(lane.partition)

        def decide(next_offset: int) -> Outcome | None:
            still = find({stats.run_id: place for stats, place in lost}, self._worker.state)
            for stats, place in still:
                LANES_LOST.inc()
                log.error(
                    "rows of a run are gone", run_id=stats.run_id, lane=stats.lane, at_row=stats.last_row_index, sent=place.acknowledged
                )
            return ended(still, start, next_offset, datetime.now(UTC)) if still else None

        lane.between(decide)

    async def _read_again(self, lane: Lane, now: float, ends: Ends) -> None:
        if now - max(lane.moved_at, self._read_again_at.get(lane.partition, 0.0)) > READ_AGAIN_SECONDS:
            self._read_again_at[lane.partition] = now
            wanted = lane.next_offset
            if await self._worker.broker.first_offset(lane.partition, wanted) is not None:
                log.warning("records do not arrive, reading again", partition=lane.partition, wanted=lane.next_offset)
                await lane.read_again()
            else:
                lane.nothing_before(ends.stable, wanted)

    async def _suspect(self, partition: int, lag: int) -> None:
        lane = self._worker.lanes.get(partition)
        if lane is None:
            return
        if await self._worker.broker.first_offset(partition, lane.next_offset) is None:
            lane.moved_at = self._clock()  # nothing but transaction markers
        else:
            self._stalled[f"partition {partition}"] = f"{lag} offsets behind, at {lane.next_offset} for {self._stall_timeout_seconds:.0f} s"
