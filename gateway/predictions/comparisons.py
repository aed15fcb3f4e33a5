"""Diffs of whole runs: the predictions of both are read once, page by page, and what comes of it is kept while neither
run changes.

At most `COMPARED_AT_ONCE` are made at a time; whoever asks for one that is being made waits for it. Up to `MAX_ROWS`
rows of each run."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import NamedTuple

from gateway.errors import ObjectNotFound, StateConflict
from gateway.predictions.differences import ComparedAnswer, Comparison
from gateway.predictions.pages import PredictionPages
from runtime.errors import Unavailable
from schemas.decoding import Unreadable, reader
from storage.view.cursors import After, holds, is_foreign, more
from storage.view.run_view import RunView

MAX_ROWS = 1_000_000
PAGE_ROWS = 8000
"""Rows read in one go: a page costs a connection, about 0.1 s."""
COMPARED_AT_ONCE = 2
TIMEOUT_SECONDS = 120.0
KEPT, KEPT_FLIPS = 16, 50_000
"""Comparisons that are kept, each if it has no more flipped rows than this."""
_answer = reader(ComparedAnswer)
Key = tuple[object, ...]


class ComparedRows(NamedTuple):
    """Predictions of a run as they are in Kafka, (row index, JSON)."""

    run: RunView
    rows: list[tuple[int, bytes]]


async def all_rows(pages: PredictionPages, run: RunView) -> AsyncIterator[ComparedRows]:
    """Yield the predictions of an attempt from the first to the last there is now, in row order. Raises `Gone`,
    `Unavailable`."""
    after: After = -1
    while more(run, after):
        page = await pages.page(run.run_id, after, PAGE_ROWS, attempt=run.attempt, fixed=True)
        if page is None:
            raise ObjectNotFound("run", run.run_id)
        if rows := [row for row in page.rows if _is_there(run, row[0])]:
            yield ComparedRows(page.run, rows)
        if page.next_after == after:
            return  # the rest is not answered yet
        after = page.next_after


def _is_there(run: RunView, row_index: int) -> bool:
    """Whether the row was counted by then."""
    if not is_foreign(run):
        return row_index <= run.totals.last_row_index
    return any(row_index <= lane.last_row_index for lane in run.lanes if holds(lane, row_index))


async def begun(pages: AsyncIterator[ComparedRows]) -> AsyncIterator[ComparedRows]:
    """The same pages, of which the first is read already: so what cannot be had is known."""
    first = await anext(pages, None)

    async def again() -> AsyncIterator[ComparedRows]:
        if first is not None:
            yield first
        async for page in pages:
            yield page

    return again()


class Comparisons:
    """Makes and keeps comparisons; safe to share between requests."""

    def __init__(self, pages: PredictionPages) -> None:
        self._pages = pages
        self._free = asyncio.Semaphore(COMPARED_AT_ONCE)
        self._kept: OrderedDict[Key, Comparison] = OrderedDict()
        self._making: dict[Key, asyncio.Task[Comparison]] = {}

    async def compare(self, a: RunView, b: RunView) -> Comparison:
        """Compare two attempts as they are. Raises `StateConflict`, `Gone`, `Unavailable`."""
        for run in (a, b):
            if run.totals.total > MAX_ROWS:
                raise StateConflict(
                    f"Run {run.run_id} has {run.totals.total} rows; up to {MAX_ROWS} are compared.", "too_many_rows"
                )
        key = (*_identity(a), *_identity(b))
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(a, b, key))
            making.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(making)

    def _made(self, key: Key, making: "asyncio.Task[Comparison]") -> None:
        self._making.pop(key, None)
        if not making.cancelled():
            making.exception()  # whoever waited has it; perhaps nobody waits any more

    async def _make(self, a: RunView, b: RunView, key: Key) -> Comparison:
        comparison = Comparison(by_row_index=_same_split(a, b))
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._free:
                await _read(self._pages, a, b, comparison)
        except TimeoutError as error:
            raise Unavailable("kafka", f"the runs were not read within {TIMEOUT_SECONDS:.0f} s") from error
        comparison.close()
        if len(comparison.flips) <= KEPT_FLIPS:
            self._kept[key] = comparison
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return comparison


async def _read(pages: PredictionPages, a: RunView, b: RunView, comparison: Comparison) -> None:
    """Feed both runs, in turn, so that little waits for its other half."""
    reading = [(side, all_rows(pages, run)) for side, run in enumerate((a, b))]
    while reading:
        for side, rows in [*reading]:
            page = await anext(rows, None)
            if page is None:
                reading.remove((side, rows))
                continue
            await asyncio.to_thread(_feed, comparison, side, page)


def _feed(comparison: Comparison, side: int, page: ComparedRows) -> None:
    for _, value in page.rows:
        if not isinstance(answer := _answer(value), Unreadable):
            comparison.feed(side, answer)


def _same_split(a: RunView, b: RunView) -> bool:
    """Whether equal row indices mean the same row. A replay's do not: its rows are numbered anew."""
    if a.spec is None or b.spec is None or a.spec.replay or b.spec.replay:
        return a.run_id == b.run_id
    return a.spec.split_id == b.spec.split_id


def _identity(run: RunView) -> Key:
    """Changes when the run's answers do."""
    return (run.run_id, run.attempt, *((lane.lane, lane.read) for lane in run.lanes))
