"""Is there progress? A partition that has rows to score and does not move for a bounded time is a stall; so is a
rebalance without end."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import structlog
from aiokafka import TopicPartition

from runtime.errors import Unavailable
from schemas.topics import ROWS
from stream_processor.batch.counting import BatchOutcome
from stream_processor.inlet import Inlet
from stream_processor.kafka.log_queries import Ends
from stream_processor.metrics import BLOCKED_SECONDS, LAG, LANES_LOST
from stream_processor.missing import Audit, Places, ended, lost_lanes
from stream_processor.partition_worker import PartitionWorker
from stream_processor.worker import ScoringWorker

INTERVAL_SECONDS = 1.0
REPORT_SECONDS = 0.1
"""How often the group's position is stored while it moves: the producer waits by it when many rows are not scored
yet."""
SILENCE_SECONDS = 5.0
READ_AGAIN_SECONDS = 3.0
"""How long rows may be there and not arrive. Faust drops what it has fetched when its flow is off, as at the end of a
recovery; the next row would show the hole, but after a run's last row there is none."""
BLOCKED_AFTER_SECONDS = 3.0
"""How long a transaction of another system may be open before it is said."""

log = structlog.get_logger()


class Watch:
    """Looks at the worker once a second, which /live and /ready answer by, and reports how far it has come."""

    def __init__(
        self,
        worker: ScoringWorker,
        *,
        stall_timeout_seconds: float,
        session_timeout_seconds: float,
        unavailable_after_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker
        self._stall_timeout_seconds = stall_timeout_seconds
        self._join_timeout_seconds = (
            2 * stall_timeout_seconds + session_timeout_seconds
        )  # a former member's session may have to end first
        self._unavailable_after_seconds = unavailable_after_seconds
        self._clock = clock
        self._ready_at = self._answered_at = clock()
        self._committed: dict[TopicPartition, int] = {}
        self._stalled: dict[str, str] = {}
        self._read_again_at: dict[TopicPartition, float] = {}
        self._blocked_since: dict[TopicPartition, float] = {}
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
        moved = {
            tp: inlet.next_offset
            for tp, inlet in self._inlets().items()
            if inlet.next_offset != self._committed.get(tp)
        }
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
        lanes, inlets = dict(self._worker.lanes), self._inlets()
        self._note_runs(lanes)  # before it is asked where the partitions end
        if not inlets:
            return
        ends = await self._worker.broker.ends(list(inlets))
        for tp, inlet in inlets.items():
            await self._look_at(inlet, ends[tp], now)
            if tp.topic == ROWS.name and (due := self._audit.due(tp.partition, inlet.next_offset, ends[tp].high)):
                await self._compare(lanes[tp.partition], due)

    def _inlets(self) -> dict[TopicPartition, Inlet]:
        return {inlet.tp: inlet for lane in self._worker.lanes.values() for inlet in lane.inlets.values()}

    async def _look_at(self, inlet: Inlet, ends: Ends, now: float) -> None:
        lag = max(0, ends.high - inlet.next_offset)
        LAG.labels(inlet.tp.topic, inlet.tp.partition).set(lag)
        blocked = await self._is_blocked(inlet, ends)
        await self._say_blocked(inlet.tp, now, blocked=blocked)
        self._say_beyond(inlet, ends)
        if blocked or not lag:
            inlet.moved_at = now
        elif now - inlet.moved_at > self._stall_timeout_seconds and not inlet.closed:
            await self._suspect(inlet, ends)
        elif inlet.waiting and not self._worker.app.rebalancing:
            await self._read_again(inlet, now, ends)

    async def _is_blocked(self, inlet: Inlet, ends: Ends) -> bool:
        """Whether all is read that may be read, but not all there is: a transaction is open."""
        if ends.stable >= ends.high or not inlet.waiting:
            return False
        wanted = inlet.next_offset
        return wanted >= ends.stable or await self._worker.broker.first_offset(inlet.tp, wanted) is None

    async def _say_blocked(self, tp: TopicPartition, now: float, *, blocked: bool) -> None:
        name, where = _name(tp), {"topic": tp.topic, "partition": tp.partition}
        if not blocked:
            if self._blocked_since.pop(tp, None) is not None:
                with suppress(KeyError):
                    BLOCKED_SECONDS.remove(tp.topic, str(tp.partition))
            if self._blocked.pop(name, None):
                log.info("the open transaction has ended", **where)
            return
        seconds = now - self._blocked_since.setdefault(tp, now)
        if seconds < BLOCKED_AFTER_SECONDS:
            return
        BLOCKED_SECONDS.labels(tp.topic, tp.partition).set(seconds)
        if name not in self._blocked:
            producers = await self._worker.broker.open_producers(tp)
            log.warning("rows wait behind an open transaction of another system", **where, producer_ids=producers)
            self._blocked[name] = "waits behind an open transaction of another system" + (
                f", producer id {', '.join(map(str, producers))}" if producers else ""
            )

    def _say_beyond(self, inlet: Inlet, ends: Ends) -> None:
        tp, was = inlet.tp, f"stands at offset {inlet.next_offset}, but the topic ends at {ends.high}"
        name = f"{_name(tp)} position"
        if inlet.next_offset <= ends.high:
            self._blocked.pop(name, None)
        elif name not in self._blocked:
            where = {"topic": tp.topic, "partition": tp.partition}
            log.error(
                "the position is beyond the end of the topic: it was made anew?", **where, wanted=inlet.next_offset
            )
            self._blocked[name] = was

    def _note_runs(self, lanes: Mapping[int, PartitionWorker]) -> None:
        """Have the runs compared that moved, and on partitions that were just opened all of them."""
        epochs, opened = self._worker.epochs, self._audit.opened(lanes)
        moved = epochs.moved()
        for run_id in epochs.runs() if opened else moved:
            if place := epochs.place(run_id):
                self._audit.note(run_id, place, None if run_id in moved else opened)

    async def _compare(self, lane: PartitionWorker, due: Places) -> None:
        """Look, beside the scoring, for lanes that lack rows; decide when no batch is in hand."""
        find = partial(lost_lanes, partition=lane.partition, partition_of=self._worker.partition_of)
        lost = await asyncio.to_thread(find, due, self._worker.state)
        if not lost:
            return
        start = await self._worker.broker.log_start(TopicPartition(ROWS.name, lane.partition))

        def decide(next_offset: int) -> BatchOutcome | None:
            still = find({stats.run_id: place for stats, place in lost}, self._worker.state)
            for stats, place in still:
                LANES_LOST.inc()
                log.error(
                    "rows of a run are gone",
                    run_id=stats.run_id,
                    lane=stats.lane,
                    at_row=stats.last_row_index,
                    sent=place.acknowledged,
                )
            return ended(still, start, next_offset, datetime.now(UTC)) if still else None

        lane.between(decide)

    async def _read_again(self, inlet: Inlet, now: float, ends: Ends) -> None:
        if now - max(inlet.moved_at, self._read_again_at.get(inlet.tp, 0.0)) > READ_AGAIN_SECONDS:
            self._read_again_at[inlet.tp] = now
            if not await self._only_markers(inlet, ends):
                where = {"topic": inlet.tp.topic, "partition": inlet.tp.partition}
                log.warning("records do not arrive, reading again", **where, wanted=inlet.next_offset)
                await inlet.read_again()

    async def _suspect(self, inlet: Inlet, ends: Ends) -> None:
        if await self._only_markers(inlet, ends):
            inlet.moved_at = self._clock()
        else:
            lag = ends.high - inlet.next_offset
            self._stalled[_name(inlet.tp)] = (
                f"{lag} offsets behind, at {inlet.next_offset} for {self._stall_timeout_seconds:.0f} s"
            )

    async def _only_markers(self, inlet: Inlet, ends: Ends) -> bool:
        """Whether no record may be read before the end: markers of transactions, what was aborted or removed. The inlet
        goes there then."""
        wanted = inlet.next_offset
        if await self._worker.broker.first_offset(inlet.tp, wanted) is not None:
            return False
        inlet.nothing_before(ends.stable, wanted)
        return True


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}/{tp.partition}"
