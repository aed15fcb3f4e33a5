"""Tasks and what is ordered of them: the messages of the control topics, as msgspec structs. A run is a task, too."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from schemas.messages import Status

TaskKind = Literal["training", "feature_selection", "pipeline", "run"]
FORMER_ATTEMPTS_MAX = 100
"""How many former attempts a run remembers the times and endings of; the statistics of all of them stay."""


class FormerAttempt(Struct, kw_only=True):
    """How an earlier attempt of a run was and ended. `ended_lanes` as in `TaskState`."""

    attempt: int
    status: Status
    started_at: datetime | None
    finished_at: datetime | None
    ended_lanes: int
    error: str | None = None


class TaskState(Struct, kw_only=True):
    """State of a task, the whole of it in every record of `tasks.v1`.

    `(attempt, epoch)` orders its writers: the gateway writes attempt 0 when it accepts the task, a worker 1 and up. For a run, `attempt`
    is the run's attempt and `epoch` its producer's fencing token; `ended_lanes` is how many lanes carry an end marker: what is shown
    becomes terminal once that many lanes are counted to their end.
    """

    task_id: str
    kind: TaskKind
    workspace: str
    status: Status
    attempt: int
    epoch: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    spec: dict[str, Any]
    progress: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    ended_lanes: int = 0
    former: list[FormerAttempt] = []


class TopicRange(Struct, kw_only=True, frozen=True):
    """Records of one partition of `rows.v1`: from `from_offset` up to, not including, `to_offset`; `lanes` of the run travel there."""

    partition: int
    from_offset: int
    to_offset: int
    lanes: list[int]


class ReplaySource(Struct, kw_only=True):
    """Rows that stand on `rows.v1` already: those of one attempt of a run, from row index `from_row` on, within ranges of the topic.

    `external`: the run is fed by another system, its row indices are offsets. `keep_models`: a row that names its model version keeps it.
    `features_of`: the model version whose features the rows carry; null when it cannot be told. `check`: how it is known that retention
    took nothing that is asked for: all `offsets` of the ranges are there; of every lane the first of its `rows` is; `expected_rows` are,
    the `count`.
    """

    run_id: str
    attempt: int
    lanes: int
    ranges: list[TopicRange]
    from_row: int = 0
    external: bool = False
    keep_models: bool = True
    features_of: str | None = None
    check: Literal["offsets", "rows", "count"] = "offsets"
    expected_rows: int = 0


class RunSpec(Struct, kw_only=True):
    """`TaskState.spec` of a run. `rows_per_second` null means as fast as the machine goes.

    `replay` null: the rows are the simulation set of the split. Else they are read from the topic; `total_rows` is null until that is done,
    `unreplayable` counts the records of the range that could not be read as rows, dataset and split are those of the original run.
    """

    dataset_id: str | None
    split_id: str | None
    model_version: str
    total_rows: int | None
    rows_per_second: float | None = 1.0
    warmup_seconds: float = 10.0
    lanes: int = 1
    replay: ReplaySource | None = None
    unreplayable: int = 0


class TrainingSpec(Struct, kw_only=True):
    """`TaskState.spec` of a training. `parameters` are overrides of the trainer's defaults, validated by the gateway's API shape."""

    dataset_id: str
    split_id: str
    parameters: dict[str, Any] = {}
    objective: Literal["mcc", "f1", "cost", "fixed"] = "mcc"
    threshold: float | None = None
    cost_false_positive: float | None = None
    cost_false_negative: float | None = None
    seed: int = 0
    exclude: list[str] = []


class FeatureSelectionSpec(Struct, kw_only=True):
    """`TaskState.spec` of a feature selection."""

    dataset_id: str


class Command(Struct, kw_only=True):
    """An order to the owner of a task. A `start` carries the PENDING state that the gateway wrote in the same transaction."""

    command: Literal["start", "pause", "resume", "seek", "speed", "stop", "fail", "cancel", "retry", "step"]
    task_id: str
    issued_at: datetime
    task: TaskState | None = None
    arguments: dict[str, Any] = {}


class RunPosition(Struct, kw_only=True):
    """Value of `run-positions.v1`. The offset of the ownership record (`kind: ownership`) is the run's epoch from then on.

    `acknowledged` holds per lane the first row index that the broker has not confirmed yet (`lane` before any row). `stopping`: a stop was
    ordered, only the end markers are still to come; `failure`: why the run ends as FAILED then.
    """

    kind: Literal["ownership", "position"]
    run_id: str
    attempt: int
    epoch: int
    owner: str
    acknowledged: list[int]
    rows_per_second: float | None
    paused: bool
    written_at: datetime
    stopping: bool = False
    failure: str = ""


class LogEntry(Struct, kw_only=True):
    """One line of a task's log."""

    task_id: str
    timestamp: datetime
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    source: str
    message: str
    meta: dict[str, Any] = {}
