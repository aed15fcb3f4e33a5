"""HTTP shapes that all route groups share, and those of the ML routes (docs/design/contract.md).

Others: runs and simulation `schemas.http.runs`, .NET `schemas.http.dotnet`, `/v1` `schemas.http.v1`.

Requests of the old route groups ignore fields that they do not know; those of `/v1` refuse them. Answers may gain
fields, never lose any."""

import re
from difflib import get_close_matches
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.manifests import Baseline, ConfusionMatrix, Interval, Notice, ReadingReport

T = TypeVar("T")
AnyStatus = Literal[
    "PENDING", "IN_PROGRESS", "PAUSED", "COMPLETED", "FAILED", "STOPPED", "PROGRESS", "SUCCESS", "FAILURE", "REVOKED"
]
"""The status words; the last four only in the dialects of old clients."""

WORKSPACE_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""What an `X-Workspace` header may hold."""


class Shape(BaseModel):
    """Base of answers and of the old routes' requests: unknown fields are ignored."""

    model_config = ConfigDict(protected_namespaces=())


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")
    return value


Whole = Annotated[int, BeforeValidator(_no_truth_value)]
"""A whole number of a request. Pydantic would take `false` for 0."""
Real = Annotated[float, BeforeValidator(_no_truth_value)]


def understood(shape: type[BaseModel], data: Any) -> Any:
    """The fields of an old route's request by their obvious spellings; a name that is nearly one of ours is refused
    with it, others pass.

    `trainStartDate` is `train_start_date`. Clients that are not ours may send more than we know, so only what must be a
    slip is refused."""
    if not isinstance(data, dict) or shape.model_config.get("extra") == "forbid":
        return data
    known = {
        re.sub(r"[^a-z]", "", spelling.lower()): name
        for name, field in shape.model_fields.items()
        for spelling in (name, field.alias or name)
    }
    found: dict[str, Any] = {}
    for key, value in data.items():
        letters = re.sub(r"[^a-z]", "", str(key).lower())
        name = known.get(letters)
        if name is None and (close := get_close_matches(letters, known, n=1, cutoff=0.85)):
            raise ValueError(f"There is no field {key!r:.80}. Did you mean {known[close[0]]!r}?")
        found.setdefault(key if name is None else name, value)
    return found


class Problem(Shape):
    """One thing that is wrong with a request, and where."""

    loc: list[str | int]
    msg: str
    type: str


class Problems(Shape):
    """422: everything that is wrong with the request."""

    detail: list[Problem]


class Refusal(Shape):
    """404, 409, 413, 503, 507: why a well-formed request cannot be served. `task_id` names the task that is in the way,
    if one is."""

    detail: str
    code: str = Field(description="stable, for programs")
    task_id: str | None = None


class Page(Shape, Generic[T]):
    """A part of a list, newest first unless said otherwise. `next_cursor`, passed as `cursor`, gives the next part;
    null: there is none."""

    items: list[T]
    next_cursor: str | None


class TaskAccepted(Shape):
    """A task was accepted; its status is at `/process/task/status/{task_id}`."""

    task_id: str


class StoreResponse(TaskAccepted):
    """An upload was stored; feature selection runs as task `task_id`."""

    message: str = "Task accepted. Feature selection is running in the background."
    dataset_path: str
    dataset_id: str
    report: ReadingReport | None = Field(
        None, description="how the file was read: what each column became, what was left out, and why"
    )


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else f"<{value!r:.40}>"


DateText = Annotated[
    str | None,
    BeforeValidator(_as_text),  # a number is reported as no date, in one answer with whatever else is wrong
    Field(
        description="ISO 8601 date-time, UTC unless it has an offset; a bare date means the whole day",
        json_schema_extra=lambda schema: _only_text(schema),
        examples=["2021-01-01T00:00:00Z"],
    ),
]


def _only_text(schema: dict[str, Any]) -> None:
    schema.pop("anyOf", None)
    schema.pop("default", None)
    schema["type"] = "string"


class SplitRequest(Shape):
    """Three ranges of time, both ends inclusive, in order and without overlap. All six dates are required.

    They may be None here so that a missing one is reported together with everything else that is wrong.
    """

    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema.update(
            required=[name for name in schema["properties"] if name.endswith("_date")]
        )
    )

    train_start_date: DateText = None
    train_end_date: DateText = None
    test_start_date: DateText = None
    test_end_date: DateText = None
    simulation_start_date: DateText = None
    simulation_end_date: DateText = None
    sample_fraction: Real = Field(1.0, gt=0, le=1, description="share of the rows that is used, stratified and seeded")
    seed: Whole = Field(0, ge=0, lt=2**32)
    dataset_id: str | None = Field(None, description="default: the workspace's latest dataset")
    exclude: list[str] = Field([], description="features that the sets leave out")

    @model_validator(mode="before")
    @classmethod
    def _understand(cls, data: Any) -> Any:
        return understood(cls, data)


class SetFailures(Shape):
    """Rows with the label FAIL in each set."""

    train: int
    test: int
    simulation: int


class SplitResponse(Shape):
    """Where the three sets are and how many rows each has. `daily_distribution` counts the rows of the whole dataset by
    day."""

    message: str = "Dataset successfully split and saved."
    split_id: str
    dataset_id: str
    train_set_path: str
    train_set_rows: int
    test_set_path: str
    test_set_rows: int
    simulation_set_path: str
    simulation_set_rows: int
    daily_distribution: dict[str, int]
    failures: SetFailures
    notices: list[Notice] = Field(
        [], description="what to know of the sets: one without failures, rows without a label or time"
    )


class TrainingCurve(Shape):
    """Loss after some of the rounds so far, at most 128 of them; `validation_loss` is empty without validation rows."""

    rounds: list[int]
    train_loss: list[float]
    validation_loss: list[float]


class TrainingProgress(Shape):
    """How far a training is."""

    status: str = Field(examples=["Training XGBoost model..."])
    percent: float = Field(ge=0, le=100)
    iteration: int | None = None
    of: int | None = None
    eta_seconds: float | None = None
    curve: TrainingCurve | None = Field(None, description="while it trains")


class ChartPoint(Shape):
    """One point of a training curve."""

    x: str | int = Field(examples=["Epoch 1"], description="a 0-based number in old clients' dialects")
    y: float


class TrainingChart(Shape):
    """Curves by boosting round."""

    train_loss: list[ChartPoint]
    train_accuracy: list[ChartPoint]
    validation_loss: list[ChartPoint] = []


class TrainingMetrics(Shape):
    """Evaluation on the test set; FAIL is the positive class. Null where the set has one class only."""

    accuracy: float | None
    precision: float | None
    recall: float | None
    f1_score: float | None
    mcc: float | None = None
    roc_auc: float | None = None
    pr_auc: float | None = None
    threshold: float | None = None
    intervals: dict[str, Interval] = Field(
        {}, description="95 % intervals by name of the figure, by a bootstrap over blocks of time"
    )
    baseline: Baseline | None = Field(None, description="what calling every row PASS would reach")


class TrainingResult(Shape):
    """What a completed training gives."""

    metrics: TrainingMetrics
    training_chart: TrainingChart
    confusion_matrix: ConfusionMatrix
    model_path: str
    curves_path: str
    model_version: str
    warnings: list[str] = []
    doubt: str | None = Field(
        None, description="why the model is not shown to be better than calling every row PASS; null: it is"
    )


class TrainingStatus(Shape):
    """Status of a training. `result` only when COMPLETED; `error` only when FAILED."""

    task_id: str
    status: AnyStatus
    progress: TrainingProgress | None
    result: TrainingResult | None
    error: str | None = None


class TaskStatus(Shape):
    """Status of any task; `progress` and `result` are of its kind."""

    task_id: str
    status: AnyStatus
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    kind: Literal["training", "feature_selection", "pipeline", "run"]
    error: str | None = None


class RootInfo(Shape):
    """What this is and where to go on."""

    name: str = "IntelliInspect"
    version: str
    docs: str = "/docs"
    openapi: str = "/openapi.json"
    health: str = "/health"
    ready: str = "/ready"
    metrics: str = "/metrics"


class Health(Shape):
    """Alive: the process answers."""

    status: Literal["ok"] = "ok"


class Readiness(Shape):
    """Whether requests can be served; `dependencies` says `ok` or what is wrong with each."""

    status: Literal["ready", "unavailable"]
    dependencies: dict[str, str]
