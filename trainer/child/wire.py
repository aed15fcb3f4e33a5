"""What the trainer and the child process that does a job say to each other: one JSON object a line, the job in, reports
out."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from schemas.tasks import TaskState


class SelectionSettings(Struct, frozen=True):
    """How features are selected; see `TrainerSettings`."""

    features: int
    fraction: float
    minimum_rows: int
    time_share: float
    seed: int


class BackendSettings(Struct, frozen=True):
    """Where and how trees are boosted; see `TrainerSettings`."""

    name: Literal["auto", "memory", "external", "dask"] = "auto"
    memory_share: float = 0.5
    dask_scheduler: str = ""
    dask_timeout_seconds: float = 10.0
    dask_attempts: int = 3


class Job(Struct, frozen=True):
    """A task to do and all that is needed for it."""

    task: TaskState
    storage_url: str
    storage_attempts: int
    threads: int
    selection: SelectionSettings
    backend: BackendSettings = BackendSettings()


class Curve(Struct):
    """Loss after some of the rounds so far; `validation_loss` is empty without validation rows."""

    rounds: list[int] = []
    train_loss: list[float] = []
    validation_loss: list[float] = []


class Progress(Struct, tag="progress"):
    """How far the job is; the fields of `TaskState.progress`."""

    status: str
    percent: float
    iteration: int | None = None
    of: int | None = None
    eta_seconds: float | None = None
    curve: Curve | None = None


class Log(Struct, tag="log"):
    """An entry for the task's log."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    source: str
    message: str
    meta: dict[str, Any] = {}


class Done(Struct, tag="done"):
    """The job's result; `manifest` is the JSON of the new model version's manifest, of a training."""

    result: dict[str, Any]
    model_version: str | None = None
    manifest: str | None = None


class Failed(Struct, tag="failed"):
    """The job cannot succeed."""

    reason: str


class StorageUnreachable(Struct, tag="storage_unreachable"):
    """The storage did not answer within the bounded number of tries: the job may succeed later."""

    detail: str


Outcome = Done | Failed | StorageUnreachable
Report = Progress | Log | Outcome

encode = msgspec.json.Encoder().encode
decode_job: Callable[[bytes], Job] = msgspec.json.Decoder(Job).decode
decode_report: Callable[[bytes], Report] = msgspec.json.Decoder(Report).decode
