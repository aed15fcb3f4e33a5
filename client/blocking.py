"""`Client`: the gateway, typed, for programs without an event loop. The same methods as `AsyncClient`, method by
method.

Every method may raise `client.errors.ClientError`. Reads are repeated while the gateway is briefly unavailable;
commands only when they did not reach it. Nothing connects before the first call; use it as a context manager, or
`close()` it."""

import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Any, Unpack

from client import calls
from client.calls import Only
from client.download import save
from client.events import Position, RunEvent, follow, read
from client.paging import Pages
from client.settings import address, defaults
from client.transport import Retries, Transport
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


class Client:
    """Blocking client. `url` and `workspace` default to INTELLIINSPECT_URL and INTELLIINSPECT_WORKSPACE."""

    def __init__(self, url: str | None = None, *, workspace: str | None = None, retries: Retries | None = None) -> None:
        settings = defaults()
        self._transport = Transport(
            address(url or "") or settings.url, workspace or settings.workspace, retries or Retries()
        )

    @property
    def url(self) -> str:
        return self._transport.url

    def close(self) -> None:
        self._transport.http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def health(self) -> Health:
        return self._transport.send(calls.health())

    def ready(self) -> Readiness:
        """Which parts are up. Answers also when some are down."""
        return self._transport.send(calls.ready())

    def system(self) -> System:
        """The parts, lag, throughput, latency, topics and Redis at this moment."""
        return self._transport.send(calls.system())

    def upload(
        self,
        path: Path,
        *,
        progress: Progress | None = None,
        file_name: str | None = None,
        **options: Unpack[UploadOptions],
    ) -> Dataset:
        """Upload a CSV of any size with flat memory. `progress` gets (bytes sent, bytes in all)."""
        with path.open("rb") as file:
            return self._transport.send(calls.upload(Upload(file, progress), file_name or path.name, form(options)))

    def datasets(self, *, cursor: str | None = None, limit: int | None = None) -> Page[DatasetSummary]:
        return self._transport.send(calls.datasets(cursor, limit))

    def dataset(self, dataset_id: str) -> Dataset:
        return self._transport.send(calls.dataset(dataset_id))

    def columns(self, dataset_id: str) -> DatasetColumns:
        return self._transport.send(calls.columns(dataset_id))

    def preview(self, dataset_id: str, *, offset: int = 0, limit: int = 20) -> DatasetPreview:
        return self._transport.send(calls.preview(dataset_id, offset, limit))

    def timeline(self, dataset_id: str, *, spans: int = 120) -> DatasetTimeline:
        """Records and failures in equal spans of time."""
        return self._transport.send(calls.timeline(dataset_id, spans))

    def suggest_split(self, dataset_id: str) -> SuggestedSplit:
        """Ranges of 60/20/20 of the rows by time."""
        return self._transport.send(calls.suggest_split(dataset_id))

    def count_split(self, dataset_id: str, request: Ranges) -> SplitCounts:
        """What a split with these ranges would hold, and why it would be refused, without making it."""
        return self._transport.send(calls.count_split(dataset_id, request))

    def split(self, request: SplitCreate | SuggestedSplit) -> Split:
        """Split a dataset; a suggestion can be passed as it is."""
        return self._transport.send(calls.split(request))

    def splits(
        self, *, dataset_id: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> Page[Split]:
        return self._transport.send(calls.splits(dataset_id, cursor, limit))

    def get_split(self, split_id: str) -> Split:
        return self._transport.send(calls.get_split(split_id))

    def train(self, request: TrainingCreate | None = None) -> Training:
        """Start a training; the answer is its state now. See `wait_for`."""
        return self._transport.send(calls.train(request or TrainingCreate()))

    def training(self, task_id: str) -> Training:
        return self._transport.send(calls.training(task_id))

    def trainings(self, *, cursor: str | None = None, limit: int | None = None) -> Page[Training]:
        return self._transport.send(calls.trainings(cursor, limit))

    def cancel_training(self, task_id: str) -> Training:
        return self._transport.send(calls.cancel_training(task_id))

    def training_logs(self, task_id: str, *, after: str | None = None) -> Page[TaskLogEntry]:
        """A training's log, oldest first; `next_cursor`, given as `after`, goes on where this ended."""
        return self._transport.send(calls.training_logs(task_id, after))

    def task(self, task_id: str) -> TaskStatus:
        """Status of any task: training, feature selection or run."""
        return self._transport.send(calls.task(task_id))

    def wait_for(
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
            status = self.task(task_id)
            if on_status is not None:
                on_status(status)
            if succeeded(status):
                return status
            time.sleep(wait.pause(time.monotonic()))

    def models(self, *, cursor: str | None = None, limit: int | None = None) -> Page[ModelSummary]:
        return self._transport.send(calls.models(cursor, limit))

    def model(self, model_version: str) -> Model:
        return self._transport.send(calls.model(model_version))

    def curves(self, model_version: str) -> dict[str, Any]:
        """The points of a model version's curves, as the trainer wrote them."""
        return self._transport.send(calls.curves(model_version))

    def champion(self) -> AliasView:
        """The model version that scores rows which name none. Raises `NotFound` while there is none."""
        return self._transport.send(calls.champion())

    def set_champion(self, model_version: str, *, force: bool = False) -> AliasView:
        return self._transport.send(calls.set_champion(model_version, force=force))

    def unset_champion(self) -> None:
        """Let the latest model score rows that name none."""
        self._transport.send(calls.unset_champion())

    def start_run(self, request: RunCreate | None = None) -> Run:
        """Replay a simulation set through Kafka; by default the latest split, scored by the champion or else the latest
        model, 1 row/s."""
        return self._transport.send(calls.start_run(request or RunCreate()))

    def runs(self, *, cursor: str | None = None, limit: int | None = None) -> Page[Run]:
        return self._transport.send(calls.runs(cursor, limit))

    def run(self, run_id: str, *, attempt: int | None = None) -> Run:
        """A run as it is, or as an earlier attempt was."""
        return self._transport.send(calls.run(run_id, attempt))

    def attempts(self, run_id: str) -> Attempts:
        """All attempts of a run with their statistics, newest first."""
        return self._transport.send(calls.attempts(run_id))

    def stop_run(self, run_id: str) -> Run:
        """Stop it; the answer's numbers are final when its status is. Stopping twice, or what has ended, changes
        nothing."""
        return self._transport.send(calls.order(run_id, "stop"))

    def pause_run(self, run_id: str) -> Run:
        return self._transport.send(calls.order(run_id, "pause"))

    def resume_run(self, run_id: str) -> Run:
        return self._transport.send(calls.order(run_id, "resume"))

    def step_run(self, run_id: str, rows: int = 1) -> Run:
        """Send some rows of a paused run; it stays paused."""
        return self._transport.send(calls.order(run_id, "step", {"rows": rows}))

    def seek_run(self, run_id: str, row_index: int) -> Run:
        """Go on at a row: those between are passed over; before the present one a new attempt begins there. A paused
        run stays paused."""
        return self._transport.send(calls.order(run_id, "seek", {"row_index": row_index}))

    def retry_run(self, run_id: str, request: Retry | None = None) -> Run:
        """Try a run that has ended again, as a new attempt; by default from the first row and at the pace that was set
        last."""
        return self._transport.send(
            calls.order(run_id, "retry", (request or Retry()).model_dump(mode="json", exclude_unset=True))
        )

    def set_speed(self, run_id: str, rows_per_second: float | None) -> Run:
        """Change the pace from the next row on; null: as fast as the machine goes."""
        return self._transport.send(calls.order(run_id, "speed", {"rows_per_second": rows_per_second}))

    def replay_run(self, run_id: str, request: ReplayCreate | None = None) -> Run:
        """Send recorded rows of a run through the topic again, as a new run; by default all of them, at the original's
        pace."""
        return self._transport.send(calls.replay(run_id, request or ReplayCreate()))

    def diff_runs(
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
        return self._transport.send(calls.diff(run_id, other_id, attempt, other_attempt, only, cursor, limit))

    def export_run(self, run_id: str, target: Path, *, attempt: int | None = None) -> Path:
        """Write a run to a zip file: its predictions as CSV and JSON lines, and the manifest."""
        return save(self._transport, calls.export_path(run_id, attempt), target)

    def wait_for_run(
        self, run_id: str, *, timeout_seconds: float | None = None, on_status: Callable[[Run], None] | None = None
    ) -> Run:
        """Wait until a run has ended; its numbers are final then. Raises `TaskFailed` when it FAILED, `TimedOut` after
        the bound."""
        wait = Wait(run_id, timeout_seconds, time.monotonic())
        while True:
            found = self.run(run_id)
            if on_status is not None:
                on_status(found)
            if ended(found):
                return found
            time.sleep(wait.pause(time.monotonic()))

    def dead_letters(
        self, *, cursor: str | None = None, limit: int | None = None, **filters: str | None
    ) -> DeadLetterPage:
        """Records that could not be scored, newest first. Filters: run_id, reason, topic, state."""
        return self._transport.send(calls.dead_letters(cursor, limit, **filters))

    def dead_letter(self, dead_letter_id: str) -> DeadLetterView:
        """One, with all its bytes and what became of it."""
        return self._transport.send(calls.dead_letter(dead_letter_id))

    def redrive(self, dead_letter_id: str, value: str | dict[str, Any] | None = None) -> DeadLetterView:
        """Send a letter's row again, with an edited value or as it was. It counts once, however often this is done."""
        return self._transport.send(calls.redrive(dead_letter_id, value))

    def redrive_matching(self, request: RedriveMatching | None = None) -> LettersSent:
        """Send all open letters that match as they were, up to 1,000."""
        return self._transport.send(calls.redrive_matching(request or RedriveMatching()))

    def purge(self, request: PurgeMatching) -> LettersSent:
        """Take letters off the list for good."""
        return self._transport.send(calls.purge_matching(request))

    def quarantine(self, *, topic: str | None = None, limit: int | None = None) -> QuarantineList:
        """Records of the topics that their readers pass over, newest first."""
        return self._transport.send(calls.quarantine(topic, limit))

    def quarantined(self, place: str) -> QuarantineView:
        """One of them, by its place (topic:partition:offset), with its bytes."""
        return self._transport.send(calls.quarantined(place))

    def skip(self, place: str) -> QuarantineView:
        """Have an order passed over that ends its process again and again."""
        return self._transport.send(calls.skip(place))

    def predictions(
        self, run_id: str, *, after: int | str = -1, limit: int | None = None, attempt: int | None = None
    ) -> Generator[PredictionView, None, None]:
        """Yield the predictions behind `after` that there are now, in row order, at most `limit`.

        `after`: a row index, or what a page or an event said.
        """
        pages = Pages(after, limit)
        while pages.wanted:
            page = self._transport.send(calls.predictions(run_id, pages.after, pages.wanted, attempt))
            yield from pages.take(page)

    def events(
        self, run_id: str, *, after: int | str = -1, attempt: int | None = None, patience_seconds: float = 60.0
    ) -> Generator[RunEvent, None, None]:
        """Yield a run's status, statistics and predictions as they come, from behind `after`; at last the run as it
        ended.

        When the next attempt of the run begins, its rows follow from the first on; with `attempt` the events are those
        of that one alone. Lost connections are taken up again by themselves: no prediction is missed and none comes
        twice. Raises `Unavailable` when no connection succeeds for `patience_seconds`, `Gone` when rows behind `after`
        are not kept any more."""
        position = Position(None, patience_seconds, self._transport.retries)
        for event in follow(self._transport, calls.events_path(run_id, after, attempt), position):
            if (known := read(event)) is None:
                continue
            yield known
            if isinstance(known, Run):
                return
