"""A run's predictions page by page, whether they are in Redis or have to be read from Kafka: in row order, none
missing, none twice.

Those of another system's run are in the order of each lane (`gateway.predictions.foreign_pages`).
"""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.predictions.foreign_pages import ForeignPages
from gateway.predictions.kafka_reader import KafkaReader
from schemas.ids import is_task_id
from storage.view.answers import Late, late_rows
from storage.view.cursors import After, more
from storage.view.run_view import RunView
from storage.view.views import Views


class PredictionSlice(NamedTuple):
    """Predictions behind a place, as (row index, JSON). Nothing up to and including `next_after` is missing or will
    come later.

    `pending`: rows behind it are counted but were not in Redis, and Redis was to be awaited.
    """

    run: RunView
    rows: list[tuple[int, bytes]]
    next_after: After
    pending: bool = False

    @property
    def complete(self) -> bool:
        """Whether the run is over and everything has been shown."""
        return self.run.terminal and not more(self.run, self.next_after)


class PredictionPages:
    """Safe to share between requests."""

    def __init__(self, views: Views, history: KafkaReader) -> None:
        self._views = views
        self._history = history
        self._foreign = ForeignPages(views, history)

    async def page(
        self, run_id: str, after: After, limit: int, *, attempt: int = 1, fixed: bool = False, await_redis: bool = False
    ) -> PredictionSlice | None:
        """Return up to `limit` predictions behind `after`, some if there are any; None for an unknown run.

        They are those of the newest attempt, of which `attempt` is a hint that saves a round trip; or, `fixed`, those
        of that attempt. `await_redis`: rows that are counted but not in Redis yet will be asked for again, so they need
        not be read from Kafka. Raises `Gone` when retention has taken some of them.
        """
        while True:
            if not is_task_id(run_id):
                page = await self._foreign_part(run_id, after, limit, attempt if fixed else None, await_redis)
            else:
                page = await self._part(
                    run_id, after if isinstance(after, int) else max(after), limit, attempt, fixed, await_redis
                )
            if page is None or page.rows or page.next_after == after:
                return page
            after, attempt = page.next_after, page.run.attempt  # all of this part were dead letters

    async def _foreign_part(
        self, run_id: str, after: After, limit: int, attempt: int | None, await_redis: bool
    ) -> PredictionSlice | None:
        run = await self._views.run(run_id, attempt)
        if run is None:
            return None
        return PredictionSlice(*await self._foreign.part(run, after, limit, await_redis=await_redis))

    async def _part(
        self, run_id: str, after: int, limit: int, attempt: int, fixed: bool, await_redis: bool
    ) -> PredictionSlice | None:
        answered = await self._views.answered(run_id, attempt, after, limit, fixed=fixed)
        if answered is None:
            return None
        run, extent = answered.run, answered.extent
        if run.attempt != attempt:
            return await self._part(run_id, after, limit, run.attempt, fixed, await_redis)
        source, until = extent.source(after)
        pending = source == "kafka" and await_redis and after + 1 >= extent.floor
        if pending or source == "nothing":
            return PredictionSlice(run, [], after, pending)
        if source == "redis":
            rows = _distinct(answered.rows, until)
            full = len(answered.rows) >= limit
        else:
            rows, until = await self._from_kafka(run, after, until, limit)
            full = len(rows) >= limit
        reached = rows[-1][0] if full and rows else until
        late = late_rows(run, after, reached)
        if late:
            rows = sorted([*rows, *(await self._found(run, late, answered.redriven)).items()])
        return PredictionSlice(run, rows[:limit], rows[limit - 1][0] if len(rows) > limit else reached)

    async def _from_kafka(
        self, run: RunView, after: int, until: int, limit: int
    ) -> tuple[list[tuple[int, bytes]], int]:
        """The rows behind `after`, and up to where they are whole.

        Rows of our runs are numbered without gaps, so of each lane no more is read than its share; unless a stretch was
        passed over."""
        near = until if run.spec is None else min(until, after + limit)
        rows, whole = await self._history.page(run, after, near, limit)
        if rows or whole < near or near == until:
            return rows, whole
        return await self._history.page(run, after, until, limit)

    async def redriven(self, run: RunView, rows: Mapping[int, Late]) -> list[tuple[int, bytes]]:
        """Predictions of redriven rows, as (row index, JSON) in row order. Raises `Gone`."""
        here = await self._views.redriven(run.run_id, run.attempt, max(rows))
        return sorted((await self._found(run, rows, here)).items())

    async def _found(self, run: RunView, late: Mapping[int, Late], here: Mapping[int, bytes]) -> dict[int, bytes]:
        """Redriven rows, those that are not in Redis from Kafka."""
        found = {row_index: here[row_index] for row_index in late if row_index in here}
        if missing := {row_index: place for row_index, place in late.items() if row_index not in found}:
            found |= await self._history.redriven(run, missing)
        return found


def _distinct(rows: list[tuple[int, bytes]], until: int) -> list[tuple[int, bytes]]:
    """Rows up to an index, each once."""
    return list({row_index: (row_index, value) for row_index, value in reversed(rows) if row_index <= until}.values())[
        ::-1
    ]
