"""Runs as they go on: one event stream for each run that is looked at, shared by all pages that show it.

Numbers are the gateway's own and exact. Rows are kept for the eye only: the last `KEPT_ROWS`. Connections that break
are taken up again behind the last row seen. A run that is over is looked at now and then: it may be tried again, or get
a repaired row, from elsewhere."""

import asyncio
from collections import deque
from contextlib import aclosing

from client.errors import ClientError, GatewayUnavailable, Gone
from dashboard.gateway import client
from schemas.http.runs import PredictionView, Run, RunStatistics, StatusEvent
from schemas.messages import TERMINAL

KEPT_ROWS = 200
PATIENCE_SECONDS = 4.0
RETRY_SECONDS = 1.0
OVER_SECONDS = 3.0


class RunFeed:
    """A run and its last rows. `version` grows with each change; `lost` says that the stream is interrupted now."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rows: deque[PredictionView] = deque(maxlen=KEPT_ROWS)
        self.version = 0
        self.lost = False
        self.watchers = 0
        self._after: int | str = max(run.statistics.last_row_index - KEPT_ROWS, -1) if run.tail is None else run.tail
        self._task: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        return self.run.status in TERMINAL

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow(), name=f"feed {self.run.run_id}")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def take(self, event: Run | RunStatistics | StatusEvent | PredictionView) -> None:
        """Take in what is new. An answer of an attempt that is over is not."""
        if isinstance(event, RunStatistics):
            self.run = self.run.model_copy(update={"statistics": event, "eta_seconds": self._time_left(event)})
        elif event.attempt < self.run.attempt:
            return
        else:
            self._attempt(event.attempt)
            if isinstance(event, Run):
                self.run = event
            elif isinstance(event, StatusEvent):
                self.run = self.run.model_copy(update={"status": event.status})
            else:
                self._row(event)
        self.version += 1

    def _row(self, row: PredictionView) -> None:
        """Keep a row. A repaired one comes late and is put in its place, when its neighbours are kept still."""
        if self.run.tail is not None:  # its lanes know nothing of each other
            rows = {one.row_index: one for one in (*self.rows, row)}
            self.rows = deque(sorted(rows.values(), key=lambda one: one.scored_at), maxlen=KEPT_ROWS)
        elif isinstance(self._after, int) and row.row_index > self._after:
            self.rows.append(row)
            self._after = row.row_index
        elif self.rows and row.row_index > self.rows[0].row_index:
            kept = [other for other in self.rows if other.row_index != row.row_index]
            self.rows = deque(sorted([*kept, row], key=lambda one: one.row_index), maxlen=KEPT_ROWS)

    def _attempt(self, number: int) -> None:
        """Begin with the rows anew when this is the next attempt."""
        if number > self.run.attempt:
            self.rows.clear()
            self._after = -1
            nothing = {"error": None, "message": None, "finished_at": None}
            self.run = self.run.model_copy(update={"attempt": number} | nothing)

    def _time_left(self, statistics: RunStatistics) -> float | None:
        speed = statistics.rows_per_second or self.run.rows_per_second
        if not speed or self.run.total_rows is None:
            return None
        handled = statistics.total_predictions + statistics.dead_letters + statistics.passed_over
        return max(self.run.total_rows - handled, 0) / speed

    def _set_lost(self, lost: bool) -> None:
        if lost != self.lost:
            self.lost = lost
            self.version += 1

    async def _follow(self) -> None:
        while True:
            await self._stream()
            await self._wait_while_over()

    async def _wait_while_over(self) -> None:
        """Return when the run goes on."""
        while True:
            await asyncio.sleep(OVER_SECONDS)
            try:
                now = await client.run(self.run.run_id)
            except ClientError:
                continue
            if now != self.run:
                self.take(now)
            if now.status not in TERMINAL:
                return

    async def _stream(self) -> None:
        while True:
            try:
                async with aclosing(
                    client.events(self.run.run_id, after=self._after, patience_seconds=PATIENCE_SECONDS)
                ) as events:
                    async for event in events:
                        self._set_lost(False)
                        self.take(event)
                return
            except Gone as gone:
                if gone.next_after is not None and gone.next_after != self._after:
                    self._after = gone.next_after
                    continue
                if (
                    gone.first_available is None
                    or not isinstance(self._after, int)
                    or gone.first_available <= self._after
                ):
                    return
                self._after = gone.first_available - 1
            except GatewayUnavailable:
                self._set_lost(True)
            except ClientError:
                self._set_lost(True)
            await asyncio.sleep(RETRY_SECONDS)


_feeds: dict[str, RunFeed] = {}


def acquire(run: Run) -> RunFeed:
    """The shared feed; give it back with `release`."""
    feed = _feeds.setdefault(run.run_id, RunFeed(run))
    feed.watchers += 1
    feed.take(run)
    feed.start()
    return feed


def release(feed: RunFeed) -> None:
    """The last one who leaves ends the stream."""
    feed.watchers -= 1
    if feed.watchers <= 0:
        feed.stop()
        if _feeds.get(feed.run.run_id) is feed:
            del _feeds[feed.run.run_id]
