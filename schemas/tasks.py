"""Tasks and what is ordered of them: the messages of the control topics, as msgspec structs. A run is a task, too."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.bounds import (
    RUN_LANES_MAX,
    AcceptedAttempt,
    Attempt,
    Count,
    Id,
    Lane,
    Lanes,
    Pace,
    RunLanes,
    UtcTime,
    Workspace,
    untimely,
)
from schemas.decoding import unfit
from schemas.messages import Ending, Said, Status
from schemas.topics import ROWS

TaskKind = Literal["training", "feature_selection", "pipeline", "run"]
FORMER_ATTEMPTS_MAX = 100
"""How many former attempts a run remembers the times and endings of; the statistics of all of them stay."""
SKIPS_MAX = 32
"""How many skips of an attempt stand in each of its positions: half a kilobyte of them."""
TASK_ATTEMPTS_MAX = 100
"""Attempts of a task that is no run; what `TRAINER_MAX_ATTEMPTS` allows at most."""


class FormerAttempt(Struct, kw_only=True):
    """How an earlier attempt of a run was and ended. `ended_lanes` as in `TaskState`."""

    attempt: Attempt
    status: Status
    started_at: UtcTime | None
    finished_at: UtcTime | None
    ended_lanes: Count
    error: str | None = None


class TaskState(Struct, kw_only=True):
    """State of a task, the whole of it in every record of `tasks.v1`.

    `(attempt, epoch)` orders its writers: the gateway writes attempt 0 when it accepts the task, a worker 1 and up. For
    a run, `attempt` is the run's attempt and `epoch` its producer's fencing token; `ended_lanes` is how many lanes
    carry an end marker: what is shown becomes terminal once that many lanes are counted to their end.
    """

    task_id: Id
    kind: TaskKind
    workspace: Workspace
    status: Status
    attempt: AcceptedAttempt
    epoch: Count
    created_at: UtcTime
    updated_at: UtcTime
    started_at: UtcTime | None = None
    finished_at: UtcTime | None = None
    spec: dict[str, Any]
    progress: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    ended_lanes: Count = 0
    former: Annotated[list[FormerAttempt], Meta(max_length=FORMER_ATTEMPTS_MAX)] = []

    def problem(self) -> str | None:
        """Why no process of ours can have written it: a spec that does not fit its kind, numbers and times beyond their
        bounds."""
        if (shape := SPECS.get(self.kind)) is not None:
            try:
                msgspec.convert(self.spec, shape)
            except msgspec.ValidationError as error:
                return f"spec of a {self.kind}: {error}"
        if self.kind != "run" and (self.attempt > TASK_ATTEMPTS_MAX or self.epoch):
            return (
                f"attempt {self.attempt}, epoch {self.epoch}: a {self.kind} has at most {TASK_ATTEMPTS_MAX} attempts"
                " and no epoch"
            )
        times = untimely(
            created_at=self.created_at,
            updated_at=self.updated_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
        )
        return times or unfit(self.spec) or unfit(self.progress) or unfit(self.result)


class TopicRange(Struct, kw_only=True, frozen=True):
    """Records of one partition of a topic: from `from_offset` up to, not including, `to_offset`; `lanes` of the run
    travel there."""

    partition: Lane
    from_offset: Count
    to_offset: Count
    lanes: Annotated[list[Lane], Meta(max_length=100_000)]
    topic: Id = ROWS.name


class ReplaySource(Struct, kw_only=True):
    """Rows that stand on a topic of rows already: those of one attempt of a run, from row index `from_row` on, within
    ranges of the topic.

    `external`: the run is fed by another system; its rows are numbered by `foreign_lanes` as `schemas.ids` says, or,
    where that is 1, by their offset, as formerly. `keep_models`: a row that names its model version keeps it.
    `features_of`: the model version whose features the rows carry; null when it cannot be told. `check`: how it is
    known that retention took nothing that is asked for: all `offsets` of the ranges are there; of every lane the first
    of its `rows` is; `expected_rows` are, the `count`.
    """

    run_id: Id
    attempt: Attempt
    lanes: Lanes
    ranges: Annotated[list[TopicRange], Meta(max_length=10_000)]
    from_row: Count = 0
    external: bool = False
    keep_models: bool = True
    features_of: Id | None = None
    check: Literal["offsets", "rows", "count"] = "offsets"
    expected_rows: Count = 0
    foreign_lanes: Lanes = 1


class RunSpec(Struct, kw_only=True):
    """`TaskState.spec` of a run. `rows_per_second` null means as fast as the machine goes.

    `replay` null: the rows are the simulation set of the split. Else they are read from the topic; `total_rows` is null
    until that is done, `unreplayable` counts the records of the range that could not be read as rows, dataset and split
    are those of the original run."""

    dataset_id: Id | None
    split_id: Id | None
    model_version: Id
    total_rows: Count | None
    rows_per_second: Pace | None = 1.0
    warmup_seconds: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    lanes: RunLanes = 1
    replay: ReplaySource | None = None
    unreplayable: Count = 0


class TrainingSpec(Struct, kw_only=True):
    """`TaskState.spec` of a training. `parameters` are overrides of the trainer's defaults, validated by the gateway's
    API shape."""

    dataset_id: Id
    split_id: Id
    parameters: dict[str, Any] = {}
    objective: Literal["mcc", "f1", "cost", "fixed"] = "mcc"
    threshold: float | None = None
    cost_false_positive: float | None = None
    cost_false_negative: float | None = None
    seed: Count = 0
    exclude: list[str] = []


class FeatureSelectionSpec(Struct, kw_only=True):
    """`TaskState.spec` of a feature selection."""

    dataset_id: Id


SPECS: dict[TaskKind, type[Struct]] = {
    "run": RunSpec,
    "training": TrainingSpec,
    "feature_selection": FeatureSelectionSpec,
}


class Command(Struct, kw_only=True):
    """An order to the owner of a task. A `start` carries the PENDING state that the gateway wrote in the same
    transaction."""

    command: Literal["start", "pause", "resume", "seek", "speed", "stop", "fail", "cancel", "retry", "step"]
    task_id: Id
    issued_at: UtcTime
    task: TaskState | None = None
    arguments: dict[str, Any] = {}

    def problem(self) -> str | None:
        """Why it cannot be an order of ours."""
        if self.task is not None and self.task.task_id != self.task_id:
            return f"the task is {self.task.task_id}, the order names {self.task_id}"
        return (
            (self.task.problem() if self.task else None) or untimely(issued_at=self.issued_at) or unfit(self.arguments)
        )


class Marks(Struct, kw_only=True):
    """What the producers of an attempt say on `run-positions.v1` before they tell it the lanes: a marker that is not
    said is not theirs.

    `skips`: (the first row that was not sent, the row to go on with) of each skip of the attempt; of more than
    `SKIPS_MAX` the oldest are left out, none of which went beyond row `unlisted`. `ending`, `message` and, of each
    lane, the end: once it is about to end."""

    skips: Annotated[list[tuple[Count, Count]], Meta(max_length=SKIPS_MAX)] = []
    unlisted: Count = 0
    ending: Ending | None = None
    message: Said = ""
    ends: Annotated[list[Count], Meta(max_length=RUN_LANES_MAX)] = []


class RunPosition(Struct, kw_only=True):
    """Value of `run-positions.v1`. The offset of the ownership record (`kind: ownership`) is the run's epoch from then
    on.

    `acknowledged` holds per lane the first row index that the broker has not confirmed yet (`lane` before any row).
    `stopping`: a stop was ordered, only the end markers are still to come; `failure`: why the run ends as FAILED then.
    `ended`: the last word on a run that is over; it stays, so that the run's epochs stay known. `marks` is null where
    the attempt began under a producer that did not say them."""

    kind: Literal["ownership", "position"]
    run_id: Id
    attempt: Attempt
    epoch: Count
    owner: str
    acknowledged: Annotated[list[Count], Meta(min_length=1, max_length=RUN_LANES_MAX)]
    rows_per_second: Pace | None
    paused: bool
    written_at: UtcTime
    stopping: bool = False
    failure: str = ""
    ended: bool = False
    marks: Marks | None = None


class LogEntry(Struct, kw_only=True):
    """One line of a task's log."""

    task_id: Id
    timestamp: UtcTime
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    source: str
    message: str
    meta: dict[str, Any] = {}

    def problem(self) -> str | None:
        """Why it cannot be an entry of ours."""
        return untimely(timestamp=self.timestamp) or unfit(self.meta)


class Quarantined(Struct, kw_only=True):
    """A record that its readers pass over: where it stands, why, and its bytes, of many the beginning.

    `reader` found it unreadable, or went down with it again and again, or (`by_hand`) a person asked for it to be
    passed over."""

    topic: Annotated[str, Meta(min_length=1, max_length=249)]
    partition: Count
    offset: Count
    reason: str
    reader: str
    quarantined_at: UtcTime
    key: bytes | None
    value: bytes | None
    value_bytes: Count
    by_hand: bool = False

    @property
    def place(self) -> str:
        """Its name: `topic:partition:offset`."""
        return f"{self.topic}:{self.partition}:{self.offset}"
