"""HTTP shapes of `/v1` for datasets, splits, trainings and models (docs/design/contract.md). Runs: `schemas.http.runs`.

Requests refuse unknown fields. Times are UTC, RFC 3339 with `Z`.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from schemas.http.shared import DateText, Problem, Shape, TrainingProgress, TrainingResult, understood
from schemas.manifests import Cell, Column, DatasetManifest, LabelCounts, Metrics, ModelManifest, SplitManifest
from schemas.messages import Status
from schemas.training import TrainingParameters


class Request(Shape):
    """Base of `/v1` requests."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class DatasetSummary(Shape):
    """A dataset in a list."""

    dataset_id: str
    workspace: str
    file_name: str
    file_size: int
    created_at: datetime
    row_count: int
    column_count: int
    feature_count: int
    label: str
    labels: LabelCounts
    pass_rate_percentage: float
    first_timestamp: datetime
    last_timestamp: datetime
    feature_selection_task_id: str


class Dataset(DatasetManifest):
    """A dataset, whole, and the task that ranks its features."""

    feature_selection_task_id: str


class DatasetColumns(Shape):
    """The file's columns in file order."""

    dataset_id: str
    columns: list[Column]


class DatasetPreview(Shape):
    """Rows as stored, from row number `offset` (0-based); a synthetic time column comes first."""

    dataset_id: str
    columns: list[str]
    rows: list[list[Cell]]
    offset: int
    row_count: int


class DatasetTimeline(Shape):
    """Records and failures in equal spans of time; span i begins at `start + i * step_seconds`."""

    dataset_id: str
    start: datetime
    step_seconds: float
    rows: list[int]
    failures: list[int]


class Range(Request):
    """Both ends inclusive; both are required, a missing one is reported together with everything else that is wrong."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.update(required=["start", "end"]))

    start: DateText = None
    end: DateText = None


class Ranges(Request):
    """Three ranges of time, in order and without overlap."""

    train: Range
    test: Range
    simulation: Range


class SuggestedSplit(Shape):
    """Ranges that give 60/20/20 of the rows by time; can be posted to `/v1/splits` as they are."""

    dataset_id: str
    train: Range
    test: Range
    simulation: Range


class SetCount(Shape):
    """How many rows a range holds, and how many of them FAILed."""

    rows: int
    failures: int


class SplitCounts(Shape):
    """What a split with these ranges would hold, exactly; a range that cannot be read is null. `problems`: why it would
    be refused."""

    dataset_id: str
    train: SetCount | None
    test: SetCount | None
    simulation: SetCount | None
    outside: int
    problems: list[Problem]


class SplitCreate(Ranges):
    """A new split. Default dataset: the workspace's latest."""

    dataset_id: str | None = None
    sample_fraction: float = Field(1.0, gt=0, le=1)
    seed: int = Field(0, ge=0, lt=2**32)
    exclude: list[str] = Field([], description="features that the sets leave out")


class Split(SplitManifest):
    """A split, whole."""


Objective = Literal["mcc", "f1", "cost", "fixed"]


class TrainingOptions(Shape):
    """What may be set about a training; everything has a default."""

    model_config = ConfigDict(allow_inf_nan=False)

    split_id: str | None = Field(None, description="default: the workspace's latest split")
    parameters: TrainingParameters = TrainingParameters()
    objective: Objective = "mcc"
    threshold: float | None = Field(None, ge=0, le=1, description="with objective `fixed` only")
    cost_false_positive: float | None = Field(None, gt=0, description="with objective `cost` only")
    cost_false_negative: float | None = Field(None, gt=0, description="with objective `cost` only")
    seed: int = Field(0, ge=0, lt=2**31)
    exclude: list[str] = Field([], description="features that the model does not get")

    @model_validator(mode="before")
    @classmethod
    def _understand(cls, data: Any) -> Any:
        return understood(cls, data)

    @model_validator(mode="after")
    def _objective_has_its_figures(self) -> "TrainingOptions":
        if self.objective == "fixed" and self.threshold is None:
            raise ValueError("objective 'fixed' needs a threshold")
        if self.objective == "cost" and (self.cost_false_positive is None or self.cost_false_negative is None):
            raise ValueError("objective 'cost' needs cost_false_positive and cost_false_negative")
        return self


class TrainingCreate(TrainingOptions):
    """A new training."""

    model_config = ConfigDict(extra="forbid")


class Training(Shape):
    """A training task, whole."""

    task_id: str
    workspace: str
    status: Status
    attempt: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    spec: dict[str, Any]
    progress: TrainingProgress | None
    result: TrainingResult | None
    error: str | None


class TaskLogEntry(Shape):
    """One line of a task's log."""

    task_id: str
    timestamp: datetime
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    source: str
    message: str
    meta: dict[str, Any] = Field(default={})


class ModelSummary(Shape):
    """A model version in a list. `aliases` are its names in this workspace."""

    model_version: str
    workspace: str
    task_id: str
    dataset_id: str
    split_id: str
    created_at: datetime
    feature_count: int
    threshold: float
    threshold_objective: str
    test_metrics: Metrics
    doubt: str | None = Field(
        None, description="why it is not shown to be better than calling every row PASS; null: it is"
    )
    aliases: list[str]


class Model(ModelManifest):
    """A model version's manifest and its names in this workspace."""

    aliases: list[str]


class ChampionSet(Request):
    """Which model version scores rows that name none. `force` takes one that is in doubt, too (`doubt` of the
    model)."""

    model_version: str
    force: bool = False


class AliasView(Shape):
    """An alias as it stands."""

    alias: str
    workspace: str
    model_version: str
    set_at: datetime
