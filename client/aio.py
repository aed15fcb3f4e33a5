"""`AsyncClient`: the gateway, typed, for asyncio. The same methods as `Client`, method by method.

Every method may raise `client.errors.ClientError`. Reads are repeated while the gateway is briefly unavailable;
commands only when they did not reach it. Nothing connects before the first call; use it as a context manager, or
`aclose()` it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Unpack

from client import calls
from client.calls import Only
from client.download import save_async
from client.events import Position, RunEvent, follow_async, read
from client.paging import Pages
from client.settings import address, defaults
from client.transport import AsyncTransport, Retries
from client.upload import Progress, Upload, UploadOptions, form
from client.waiting import Wait, ended, succeeded
from schemas.http.dead_letters import DeadLetterPage, DeadLetterView, LettersSent, PurgeMatching, RedriveMatching
from schemas.http.quarantine import QuarantineList, QuarantineView
from schemas.http.runs import Attempts, PredictionView, ReplayCreate, Retry, Run, RunCreate, RunDiff
from schemas.http.shared import Health, Page, Readiness, TaskStatus
from schemas.http.system import System
from schemas.http.v1 import (
    AliasView,
    Dataset,
    DatasetColumns,
    DatasetPreview,
    DatasetSummary,
    DatasetTimeline,
    Model,
    ModelSummary,
    Ranges,
    Split,
    SplitCounts,
    SplitCreate,
    SuggestedSplit,
    TaskLogEntry,
    Training,
    TrainingCreate,
)


class AsyncClient:
    """Asyncio client. `url` and `workspace` default to INTELLIINSPECT_URL and INTELLIINSPECT_WORKSPACE."""

    def __init__(self, url: str | None = None, *, workspace: str | None = None, retries: Retries | None = None) -> None:
        settings = defaults()
        self._transport = AsyncTransport(
            address(url or "") or settings.url, workspace or settings.workspace, retries or Retries()
        )

    @property
    def url(self) -> str:
        return self._transport.url

    async def aclose(self) -> None:
        await self._transport.http.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def health(self) -> Health:
        return await self._transport.send(calls.health())

    async def ready(self) -> Readiness:
        """Which parts are up. Answers also when some are down."""
        return await self._transport.send(calls.ready())

    async def system(self) -> System:
        """The parts, lag, throughput, latency, topics and Redis at this moment."""
        return await self._transport.send(calls.system())

    async def upload(
        self,
        path: Path,
        *,
        progress: Progress | None = None,
        file_name: str | None = None,
        **options: Unpack[UploadOptions],
    ) -> Dataset:
        """Upload a CSV of any size with flat memory. `progress` gets (bytes sent, bytes in all)."""
        with path.open("rb") as file:
            return await self._transport.send(
                calls.upload(Upload(file, progress), file_name or path.name, form(options))
            )

    async def datasets(self, *, cursor: str | None = None, limit: int | None = None) -> Page[DatasetSummary]:
        return await self._transport.send(calls.datasets(cursor, limit))

    async def dataset(self, dataset_id: str) -> Dataset:
        return await self._transport.send(calls.dataset(dataset_id))

    async def columns(self, dataset_id: str) -> DatasetColumns:
        return await self._transport.send(calls.columns(dataset_id))

    async def preview(self, dataset_id: str, *, offset: int = 0, limit: int = 20) -> DatasetPreview:
        return await self._transport.send(calls.preview(dataset_id, offset, limit))

    async def timeline(self, dataset_id: str, *, spans: int = 120) -> DatasetTimeline:
        """Records and failures in equal spans of time."""
        return await self._transport.send(calls.timeline(dataset_id, spans))

    async def suggest_split(self, dataset_id: str) -> SuggestedSplit:
        """Ranges of 60/20/20 of the rows by time."""
        return await self._transport.send(calls.suggest_split(dataset_id))

    async def count_split(self, dataset_id: str, request: Ranges) -> SplitCounts:
        """What a split with these ranges would hold, and why it would be refused, without making it."""
        return await self._transport.send(calls.count_split(dataset_id, request))

    async def split(self, request: SplitCreate | SuggestedSplit) -> Split:
        """Split a dataset; a suggestion can be passed as it is."""
        return await self._transport.send(calls.split(request))

    async def splits(
        self, *, dataset_id: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> Page[Split]:
        return await self._transport.send(calls.splits(dataset_id, cursor, limit))

    async def get_split(self, split_id: str) -> Split:
        return await self._transport.send(calls.get_split(split_id))

    async def train(self, request: TrainingCreate | None = None) -> Training:
        """Start a training; the answer is its state now. See `wait_for`."""
        return await self._transport.send(calls.train(request or TrainingCreate()))

    async def training(self, task_id: str) -> Training:
        return await self._transport.send(calls.training(task_id))

    async def trainings(self, *, cursor: str | None = None, limit: int | None = None) -> Page[Training]:
        return await self._transport.send(calls.trainings(cursor, limit))

    async def cancel_training(self, task_id: str) -> Training:
        return await self._transport.send(calls.cancel_training(task_id))

    async def training_logs(self, task_id: str, *, after: str | None = None) -> Page[TaskLogEntry]:
        """A training's log, oldest first; `next_cursor`, given as `after`, goes on where this ended."""
        return await self._transport.send(calls.training_logs(task_id, after))

    async def task(self, task_id: str) -> TaskStatus:
        """Status of any task: training, feature selection or run."""
        return await self._transport.send(calls.task(task_id))

    async def wait_for(
        self,
        task_id: str,
        *,
        timeout_seconds: float | None = None,
        on_status: Callable[[TaskStatus], None] | None = None,
    ) -> TaskStatus:
        """Wait until a task is COMPLETED. Raises `TaskFailed` when it ends otherwise, `TimedOut` after the bound; the
        task then goes on."""
        wait = Wait(task_id, timeout_seconds, time.monotonic())
        while True:
            status = await self.task(task_id)
            if on_status is not None:
                on_status(status)
            if succeeded(status):
                return status
            await asyncio.sleep(wait.pause(time.monotonic()))

    async def models(self, *, cursor: str | None = None, limit: int | None = None) -> Page[ModelSummary]:
        return await self._transport.send(calls.models(cursor, limit))

    async def model(self, model_version: str) -> Model:
        return await self._transport.send(calls.model(model_version))

    async def curves(self, model_version: str) -> dict[str, Any]:
        """The points of a model version's curves, as the trainer wrote them."""
        return await self._transport.send(calls.curves(model_version))

    async def champion(self) -> AliasView:
        """The model version that scores rows which name none. Raises `NotFound` while there is none."""
        return await self._transport.send(calls.champion())

    async def set_champion(self, model_version: str, *, force: bool = False) -> AliasView:
        return await self._transport.send(calls.set_champion(model_version, force=force))

    async def unset_champion(self) -> None:
        """Let the latest model score rows that name none."""
        await self._transport.send(calls.unset_champion())

    async def start_run(self, request: RunCreate | None = None) -> Run:
        """Replay a simulation set through Kafka; by default the latest split, scored by the champion or else the latest
        model, 1 row/s."""
        return await self._transport.send(calls.start_run(request or RunCreate()))

    async def runs(self, *, cursor: str | None = None, limit: int | None = None) -> Page[Run]:
        return await self._transport.send(calls.runs(cursor, limit))

    async def run(self, run_id: str, *, attempt: int | None = None) -> Run:
        """A run as it is, or as an earlier attempt was."""
        return await self._transport.send(calls.run(run_id, attempt))

    async def attempts(self, run_id: str) -> Attempts:
        """All attempts of a run with their statistics, newest first."""
        return await self._transport.send(calls.attempts(run_id))

    async def stop_run(self, run_id: str) -> Run:
        """Stop it; the answer's numbers are final when its status is. Stopping twice, or what has ended, changes
        nothing."""
        return await self._transport.send(calls.order(run_id, "stop"))

    async def pause_run(self, run_id: str) -> Run:
        return await self._transport.send(calls.order(run_id, "pause"))

    async def resume_run(self, run_id: str) -> Run:
        return await self._transport.send(calls.order(run_id, "resume"))

    async def step_run(self, run_id: str, rows: int = 1) -> Run:
        """Send some rows of a paused run; it stays paused."""
        return await self._transport.send(calls.order(run_id, "step", {"rows": rows}))

    async def seek_run(self, run_id: str, row_index: int) -> Run:
        """Go on at a row: those between are passed over; before the present one a new attempt begins there. A paused
        run stays paused."""
        return await self._transport.send(calls.order(run_id, "seek", {"row_index": row_index}))

    async def retry_run(self, run_id: str, request: Retry | None = None) -> Run:
        """Try a run that has ended again, as a new attempt; by default from the first row and at the pace that was set
        last."""
        return await self._transport.send(
            calls.order(run_id, "retry", (request or Retry()).model_dump(mode="json", exclude_unset=True))
        )

    async def set_speed(self, run_id: str, rows_per_second: float | None) -> Run:
        """Change the pace from the next row on; null: as fast as the machine goes."""
        return await self._transport.send(calls.order(run_id, "speed", {"rows_per_second": rows_per_second}))

    async def replay_run(self, run_id: str, request: ReplayCreate | None = None) -> Run:
        """Send recorded rows of a run through the topic again, as a new run; by default all of them, at the original's
        pace."""
        return await self._transport.send(calls.replay(run_id, request or ReplayCreate()))

    async def diff_runs(
        self,
        run_id: str,
        other_id: str,
        *,
        attempt: int | None = None,
        other_attempt: int | None = None,
        only: Only = "flipped",
        cursor: str | None = None,
        limit: int | None = None,
    ) -> RunDiff:
        """Compare two runs over all their rows; `items` are the rows that they call differently, page by page."""
        return await self._transport.send(calls.diff(run_id, other_id, attempt, other_attempt, only, cursor, limit))

    async def export_run(self, run_id: str, target: Path, *, attempt: int | None = None) -> Path:
        """Write a run to a zip file: its predictions as CSV and JSON lines, and the manifest."""
        return await save_async(self._transport, calls.export_path(run_id, attempt), target)

    async def wait_for_run(
        self, run_id: str, *, timeout_seconds: float | None = None, on_status: Callable[[Run], None] | None = None
    ) -> Run:
        """Wait until a run has ended; its numbers are final then. Raises `TaskFailed` when it FAILED, `TimedOut` after
        the bound."""
        wait = Wait(run_id, timeout_seconds, time.monotonic())
        while True:
            found = await self.run(run_id)
            if on_status is not None:
                on_status(found)
            if ended(found):
                return found
            await asyncio.sleep(wait.pause(time.monotonic()))

    async def dead_letters(
        self, *, cursor: str | None = None, limit: int | None = None, **filters: str | None
    ) -> DeadLetterPage:
        """Records that could not be scored, newest first. Filters: run_id, reason, topic, state."""
        return await self._transport.send(calls.dead_letters(cursor, limit, **filters))

    async def dead_letter(self, dead_letter_id: str) -> DeadLetterView:
        """One, with all its bytes and what became of it."""
        return await self._transport.send(calls.dead_letter(dead_letter_id))

    async def redrive(self, dead_letter_id: str, value: str | dict[str, Any] | None = None) -> DeadLetterView:
        """Send a letter's row again, with an edited value or as it was. It counts once, however often this is done."""
        return await self._transport.send(calls.redrive(dead_letter_id, value))

    async def redrive_matching(self, request: RedriveMatching | None = None) -> LettersSent:
        """Send all open letters that match as they were, up to 1,000."""
        return await self._transport.send(calls.redrive_matching(request or RedriveMatching()))

    async def purge(self, request: PurgeMatching) -> LettersSent:
        """Take letters off the list for good."""
        return await self._transport.send(calls.purge_matching(request))

    async def quarantine(self, *, topic: str | None = None, limit: int | None = None) -> QuarantineList:
        """Records of the topics that their readers pass over, newest first."""
        return await self._transport.send(calls.quarantine(topic, limit))

    async def quarantined(self, place: str) -> QuarantineView:
        """One of them, by its place (topic:partition:offset), with its bytes."""
        return await self._transport.send(calls.quarantined(place))

    async def skip(self, place: str) -> QuarantineView:
        """Have an order passed over that ends its process again and again."""
        return await self._transport.send(calls.skip(place))

    async def predictions(
        self, run_id: str, *, after: int | str = -1, limit: int | None = None, attempt: int | None = None
    ) -> AsyncGenerator[PredictionView, None]:
        """Yield the predictions behind `after` that there are now, in row order, at most `limit`.

        `after`: a row index, or what a page or an event said.
        """
        pages = Pages(after, limit)
        while pages.wanted:
            page = await self._transport.send(calls.predictions(run_id, pages.after, pages.wanted, attempt))
            for prediction in pages.take(page):
                yield prediction

    async def events(
        self, run_id: str, *, after: int | str = -1, attempt: int | None = None, patience_seconds: float = 60.0
    ) -> AsyncGenerator[RunEvent, None]:
        """Yield a run's status, statistics and predictions as they come, from behind `after`; at last the run as it
        ended.

        When the next attempt of the run begins, its rows follow from the first on; with `attempt` the events are those
        of that one alone. Lost connections are taken up again by themselves: no prediction is missed and none comes
        twice. Raises `Unavailable` when no connection succeeds for `patience_seconds`, `Gone` when rows behind `after`
        are not kept any more. Close it (`contextlib.aclosing`) when leaving it early.
        """
        position = Position(None, patience_seconds, self._transport.retries)
        async with aclosing(
            follow_async(self._transport, calls.events_path(run_id, after, attempt), position)
        ) as stream:
            async for event in stream:
                if (known := read(event)) is None:
                    continue
                yield known
                if isinstance(known, Run):
                    return
