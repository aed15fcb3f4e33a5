"""Server-sent events of a run: each prediction once and in row order, from any row on, over reconnections, lanes and
rebuilt views.

A client pulls: its stream reads on when the former part is sent, so a slow client holds up nobody and nothing is kept
for it. Clients that stand at the same place share one reading. Events: `status`, `prediction` (with `id:` = row index;
in a run of another system one of each lane that has any, as `3.21`; from the second attempt on with `attempt:` before
it), `redriven` (without id: a row repaired after its place had been passed; told again at each connection, since nobody
knows whether it was received), `stats` (at most two a second), `end`, `gone`; comments keep the connection open and say
what is waited for."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import structlog
from pydantic import BaseModel

from gateway import metrics
from gateway.errors import RowsGone
from gateway.notifications import Changes
from gateway.predictions.pages import PredictionPages, PredictionSlice
from gateway.runs.answers import run_answer, statistics
from runtime.errors import Unavailable
from schemas.http.runs import StatusEvent
from storage.view.answers import Late
from storage.view.cursors import After, holds, is_foreign, joined, places, redriven_up_to, written
from storage.view.redis_store import RedisUnavailable, ViewRebuilding
from storage.view.run_view import RunView

log = structlog.get_logger()

PART_ROWS = 2000
STATS_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
UNANNOUNCED_SECONDS = 2.0
"""How long an announcement that was lost can delay a row."""
REDIS_LAG_SECONDS = 1.0
"""How long a row that is counted may be missing in Redis before it is read from Kafka."""
RETRY_SECONDS = 0.5
"""How long to wait for a view or a row that will be there soon, if nothing is announced."""
Key = tuple[str, int, bool, After, int, bool]


@dataclass(frozen=True, slots=True)
class SharedReading:
    """A reading that several clients share: the page and its events, rendered once."""

    page: PredictionSlice
    events: bytes

    @property
    def over(self) -> bool:
        """Whether this is all there will ever be."""
        return self.page.complete and not self.page.rows


class Feed:
    """Readings of runs for all event streams of a process."""

    def __init__(self, pages: PredictionPages, changes: Changes) -> None:
        self._pages = pages
        self.changes = changes
        self._readings: dict[Key, asyncio.Task[SharedReading | None]] = {}

    async def read(
        self, run_id: str, attempt: int, after: After, *, fixed: bool, await_redis: bool
    ) -> SharedReading | None:
        """The part behind `after`. A reading under way is joined only when it began after the latest announcement."""
        key = (run_id, attempt, fixed, after, self.changes.version(run_id), await_redis)
        reading = self._readings.get(key)
        if reading is None:
            reading = asyncio.create_task(self._read(run_id, attempt, after, fixed, await_redis))
            self._readings[key] = reading
            reading.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(reading)

    async def nothing_left(self, run_id: str, attempt: int, after: After, *, fixed: bool) -> bool:
        """Whether a run that is over has nothing to tell behind this row; false when that cannot be told.

        Rows that were redriven are told at each connection: nobody knows which of them were received.
        """
        try:
            part = await self.read(run_id, attempt, after, fixed=fixed, await_redis=False)
        except RowsGone:
            return False
        return part is not None and part.over and not part.page.run.totals.redriven

    async def redriven(self, run: RunView, rows: Mapping[int, Late]) -> list[tuple[int, bytes]]:
        """Predictions of redriven rows. Raises `RowsGone`."""
        return await self._pages.redriven(run, rows)

    def _ended(self, key: Key, reading: "asyncio.Task[SharedReading | None]") -> None:
        self._readings.pop(key, None)
        if not reading.cancelled():
            reading.exception()  # whoever waited has it; perhaps nobody waits any more

    async def _read(
        self, run_id: str, attempt: int, after: After, fixed: bool, await_redis: bool
    ) -> SharedReading | None:
        page = await self._pages.page(run_id, after, PART_ROWS, attempt=attempt, fixed=fixed, await_redis=await_redis)
        if page is None:
            return None
        prefix = b"" if page.run.attempt == 1 else b"%d:" % page.run.attempt
        named = zip(_ids(page, after), page.rows, strict=True)
        return SharedReading(
            page,
            b"".join(
                b"id: %s%s\nevent: prediction\ndata: %s\n\n" % (prefix, name, value) for name, (_, value) in named
            ),
        )


@dataclass(slots=True)
class Stream:
    """One client's place in a run: all rows of the attempt up to and including `after` have been sent.

    When the next attempt begins it goes on with that one's first row; unless `fixed`: then it ends with the attempt.
    """

    feed: Feed
    run_id: str
    after: After
    attempt: int = 1
    fixed: bool = False
    shown_status: tuple[int, str] | None = None
    shown_stats: object = None
    stats_at: float = 0.0
    sent_at: float = 0.0
    pending_since: float | None = None
    told: set[int] = field(default_factory=set)
    """Redriven rows that were sent on this connection."""

    async def events(self) -> AsyncIterator[bytes]:
        """Yield parts of the stream until the run's end, or until this process stops; then the client resumes
        elsewhere."""
        metrics.EVENT_STREAMS.inc()
        self.sent_at = _now()
        try:
            with self.feed.changes.listen(self.run_id) as news:
                while not self.feed.changes.closed:
                    news.clear()
                    part, late = await self._read()
                    if part and part.page.run.attempt != self.attempt:  # tried again: its rows begin anew
                        self.attempt, self.after, self.told = part.page.run.attempt, -1, set()
                        continue
                    text = late + self._say(part, late) if part else b""
                    if not text and _now() - self.sent_at > HEARTBEAT_SECONDS:
                        text = b": still here\n\n" if part else b": waiting\n\n"
                    if text:
                        self.sent_at = _now()
                        yield text
                    if part and part.over and not late:
                        return
                    if not (part and part.page.rows) and not late:
                        await self._wait(news, part)
        except RowsGone as gone:
            yield _event("gone", gone.said())
        finally:
            metrics.EVENT_STREAMS.dec()

    async def _read(self) -> tuple[SharedReading | None, bytes]:
        """The next part, None while the view cannot be read, and the rows that were redriven behind this place."""
        await_redis = self.pending_since is None or _now() - self.pending_since < REDIS_LAG_SECONDS
        try:
            part = await self.feed.read(
                self.run_id, self.attempt, self.after, fixed=self.fixed, await_redis=await_redis
            )
            late = await self._late(part.page.run) if part else b""
        except (RedisUnavailable, ViewRebuilding, Unavailable) as error:
            log.info("an event stream waits", run_id=self.run_id, error=str(error))
            return None, b""
        self.pending_since = (self.pending_since or _now()) if part and part.page.pending else None
        return part, late

    async def _late(self, run: RunView) -> bytes:
        """Some of the redriven rows that stand at or before this place and were not sent yet."""
        if run.attempt != self.attempt or not run.totals.redriven:
            return b""
        rows = {
            row_index: place
            for row_index, place in redriven_up_to(run, self.after).items()
            if row_index not in self.told
        }
        rows = dict(islice(rows.items(), PART_ROWS))
        if not rows:
            return b""
        try:
            found = await self.feed.redriven(run, rows)
        except RowsGone:  # their time has passed; those behind are what the client is here for
            found = []
        self.told.update(rows)
        return b"".join(b"event: redriven\ndata: %s\n\n" % value for _, value in found)

    def _say(self, part: SharedReading, late: bytes) -> bytes:
        run, text = part.page.run, b""
        if run.totals.redriven:
            self.told.update(redriven_up_to(run, part.page.next_after).keys() - redriven_up_to(run, self.after).keys())
        self.after = part.page.next_after
        if (run.attempt, run.status) != self.shown_status:
            self.shown_status = (run.attempt, run.status)
            text += _event("status", StatusEvent(run_id=self.run_id, status=run.status, attempt=run.attempt))
        text += part.events
        if self._stats_due(run) and (part.over or _now() - self.stats_at >= STATS_SECONDS):
            self.shown_stats, self.stats_at = _identity(run), _now()
            text += _event("stats", statistics(run.totals))
        if part.over and not late:
            text += _event("end", run_answer(run))
        return text

    def _stats_due(self, run: RunView) -> bool:
        return bool(run.lanes) and self.shown_stats != _identity(run)

    async def _wait(self, news: asyncio.Event, part: SharedReading | None) -> None:
        bound = UNANNOUNCED_SECONDS
        if part is None or part.page.pending:
            bound = RETRY_SECONDS
        elif self._stats_due(part.page.run):
            bound = max(self.stats_at + STATS_SECONDS - _now(), 0.0)
        try:
            async with asyncio.timeout(bound):
                await news.wait()
        except TimeoutError:
            pass


def _identity(run: RunView) -> object:
    """Changes exactly when the statistics do."""
    return [(lane.lane, lane.read, lane.finished) for lane in run.lanes]


def _ids(page: PredictionSlice, after: After) -> Iterator[bytes]:
    """The id of each row's event: its index; of another system's run, the place of a reader who has come so far."""
    if not is_foreign(page.run):
        yield from (b"%d" % index for index, _ in page.rows)
        return
    by_lane = places(page.run, after)
    lane_of = {lane.lane: lane for lane in page.run.lanes}
    for index, _ in page.rows:
        number = next(number for number, lane in lane_of.items() if holds(lane, index))
        by_lane[number] = index
        yield written(joined(by_lane)).encode()


def _event(name: str, data: BaseModel) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data.model_dump_json().encode())


def _now() -> float:
    return asyncio.get_running_loop().time()
