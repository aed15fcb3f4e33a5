"""One task in the hands of this trainer, from its acceptance to its terminal state."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from runtime.kafka.transactions import Partition, Record
from runtime.tasks import cancel_all
from schemas.ids import alias_key
from schemas.messages import TERMINAL, Alias, encode
from schemas.tasks import LogEntry, TaskState
from schemas.topics import MODELS, TASK_LOGS, TASKS
from storage.errors import StorageUnavailable
from storage.objects.files import Storage
from trainer.child.job_process import JobProcess, job_process
from trainer.child.reporting import LOADING
from trainer.child.wire import BackendSettings, Done, Failed, Job, Log, Outcome, Progress, Report, SelectionSettings
from trainer.metrics import JOB_ATTEMPTS, JOB_SECONDS, JOBS_ENDED, JOBS_RUNNING
from trainer.settings import TrainerSettings

STORAGE_PAUSE_SECONDS = 1.0
"""Between two looks at a storage that is away."""

log = structlog.get_logger()


class Work:
    """A task, its newest state, and the job that works on it."""

    def __init__(self, partition: Partition, task: TaskState, settings: TrainerSettings) -> None:
        self.partition, self.state, self.task_id = partition, task, task.task_id
        self.running: asyncio.Task[None] | None = None
        self._settings = settings
        self._entries: list[Record] = []
        self._written = task
        self._last_words: list[Record] = []
        """The terminal records, until they are known to be written; to write them twice changes nothing."""

    async def run(self) -> None:
        """Do the task; return when its terminal state is written."""
        if reason := exhausted(self.state, self._settings.max_attempts):
            await self._end(Failed(reason))
            return
        self._begin()
        await self._write()
        with JOBS_RUNNING.labels(self.state.kind).track_inprogress(), JOB_SECONDS.labels(self.state.kind).time():
            await self._end(await self._done())

    async def _done(self) -> Done | Failed:
        """Work until there is an outcome. A storage that is away is waited for, however long; one that is there and
        fails the job again and again is not."""
        storage, refused = Storage(self._settings.storage_url), 0
        while True:
            async with job_process(self._job()) as job:
                outcome = await self._follow(job)
            if isinstance(outcome, Done | Failed):
                return outcome
            if not await self._waited_for(storage, outcome.detail):
                refused += 1
            if refused >= self._settings.max_attempts:
                return Failed(f"The storage is unavailable: {outcome.detail}")

    async def _waited_for(self, storage: Storage, detail: str) -> bool:
        """Return once the storage is there; say whether it had to be waited for."""
        waited = False
        while True:
            try:
                await asyncio.to_thread(storage.check)
            except StorageUnavailable as error:
                if not waited:
                    self._log("WARNING", f"The task waits for the storage: {error}")
                    await self._write()
                waited = True
            else:
                self._log("WARNING", f"The task begins again: the storage was away ({detail})")
                return waited
            await asyncio.sleep(STORAGE_PAUSE_SECONDS)

    async def cancelled(self) -> list[Record]:
        """Stop the work, and return the records that say so, or that it had come to its end before."""
        assert self.running is not None
        await cancel_all(self.running)
        if self.state.status in TERMINAL:
            return self._last_words
        self._change(status="STOPPED", finished_at=datetime.now(UTC))
        self._log("INFO", "The task was cancelled")
        JOBS_ENDED.labels(self.state.kind, "STOPPED").inc()
        return self._records()

    def handed_back(self) -> list[Record]:
        """The records that return unfinished work to the queue: the trainer is being stopped, its job is dead
        already."""
        if self.state.status != "IN_PROGRESS":
            return self._last_words
        self._change(status="PENDING", progress=None)
        self._log("WARNING", "The trainer was stopped; the task starts again with the next one")
        return self._records()

    def _begin(self) -> None:
        now = datetime.now(UTC)
        progress = msgspec.to_builtins(Progress(status=LOADING, percent=0))
        attempt = next_attempt(self.state)
        self._change(status="IN_PROGRESS", attempt=attempt, started_at=now, progress=_fields(progress))
        self._log("INFO", f"Attempt {attempt} begins" if attempt > 1 else "The task begins")
        JOB_ATTEMPTS.labels(self.state.kind).inc()
        log.info("job started", task_id=self.task_id, kind=self.state.kind, attempt=attempt)

    async def _follow(self, job: JobProcess) -> Outcome:
        """Take the reports in as they come; write the newest state at most once per interval."""
        clock, interval = asyncio.get_running_loop().time, self._settings.progress_interval_seconds
        write_at = clock() + interval
        while True:
            report: Report | None = None
            with suppress(TimeoutError):
                async with asyncio.timeout_at(write_at):  # not wait_for: in Python 3.11 it can swallow a cancellation
                    report = await job.report()
            if isinstance(report, Progress):
                self._change(progress=_fields(msgspec.to_builtins(report)))
            elif isinstance(report, Log):
                self._log(report.level, report.message, report.source, report.meta)
            elif report is not None:
                return report
            if clock() >= write_at:
                if self._entries or self.state is not self._written:
                    await self._write()
                write_at = clock() + interval

    async def _end(self, outcome: Done | Failed) -> None:
        """Write the terminal state, with the new model version and its alias in the same transaction."""
        records: list[Record] = []
        if isinstance(outcome, Done):
            progress = (self.state.progress or {}) | {
                "percent": 100.0,
                "eta_seconds": 0.0,
                "curve": None,
            }  # the bundle has the whole one
            self._change(status="COMPLETED", result=outcome.result, progress=progress, finished_at=datetime.now(UTC))
            self._log("INFO", "The task is complete")
            records = self._model(outcome)
        else:
            self._change(status="FAILED", error=outcome.reason, finished_at=datetime.now(UTC))
            self._log("ERROR", outcome.reason)
        JOBS_ENDED.labels(self.state.kind, self.state.status).inc()
        log.info(
            "job ended", task_id=self.task_id, kind=self.state.kind, status=self.state.status, error=self.state.error
        )
        self._last_words = [*records, *self._records()]
        await self.partition.transaction(self._last_words)
        self._last_words = []

    def _model(self, done: Done) -> list[Record]:
        if done.model_version is None or done.manifest is None:
            return []
        alias = Alias(
            alias="latest", workspace=self.state.workspace, model_version=done.model_version, set_at=datetime.now(UTC)
        )
        return [
            (MODELS, done.model_version.encode(), done.manifest.encode()),
            (MODELS, alias_key(alias.alias, alias.workspace).encode(), encode(alias)),
        ]

    def _job(self) -> Job:
        settings = self._settings
        return Job(
            task=self.state,
            storage_url=settings.storage_url,
            storage_attempts=settings.storage_attempts,
            threads=settings.threads,
            selection=SelectionSettings(
                features=settings.selected_features,
                fraction=settings.selection_fraction,
                minimum_rows=settings.selection_minimum_rows,
                time_share=settings.selection_time_share,
                seed=settings.selection_seed,
            ),
            backend=BackendSettings(
                name=settings.backend,
                memory_share=settings.memory_share,
                dask_scheduler=settings.dask_scheduler,
                dask_timeout_seconds=settings.dask_timeout_seconds,
                dask_attempts=settings.dask_attempts,
            ),
        )

    def _change(self, **changes: Any) -> None:
        self.state = msgspec.structs.replace(self.state, updated_at=datetime.now(UTC), **changes)

    def _log(self, level: Any, message: str, source: str = "trainer", meta: dict[str, Any] | None = None) -> None:
        entry = LogEntry(
            task_id=self.task_id,
            timestamp=datetime.now(UTC),
            level=level,
            source=source,
            message=message,
            meta=meta or {},
        )
        self._entries.append((TASK_LOGS, self.task_id.encode(), encode(entry)))

    async def _write(self) -> None:
        await self.partition.transaction(self._records())

    def _records(self) -> list[Record]:
        """The newest state and the log entries that are not written yet."""
        entries, self._entries, self._written = self._entries, [], self.state
        return [*entries, (TASKS, self.task_id.encode(), encode(self.state))]


def next_attempt(task: TaskState) -> int:
    """The number of the attempt that begins now: a task that was handed back goes on with its own, one left behind gets
    the next."""
    return task.attempt + 1 if task.status == "IN_PROGRESS" else max(task.attempt, 1)


def exhausted(task: TaskState, max_attempts: int) -> str | None:
    """Why a task must not be tried again, if so."""
    if next_attempt(task) <= max_attempts:
        return None
    percent = (task.progress or {}).get("percent", 0)
    return (
        f"The trainer went away {task.attempt} times while it worked on this task, last at {percent:.0f} %. It is not"
        " tried again."
    )


def _fields(progress: dict[str, Any]) -> dict[str, Any]:
    """`TaskState.progress` of a report: without the name of the report."""
    return {name: value for name, value in progress.items() if name != "type"}
