"""HTTP shapes of runs: the simulation routes of docs/design/contract.md and `/v1/runs`.

A run on the simulation routes and on `/v1` is the same object; there its words and scales follow the dialect of the
routes."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from schemas.http.shared import AnyStatus, Real, Shape, Whole
from schemas.messages import Status

MAX_LANES = 64
Pace = Annotated[Real, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]


class RunOptions(Shape):
    """What may be set about a run; everything has a default."""

    model_version: str | None = Field(
        None, max_length=100, description="default: the workspace's champion, else its latest model"
    )
    split_id: str | None = Field(None, max_length=100, description="default: the workspace's latest split")
    rows_per_second: Pace | None = Field(1.0, description="null: as fast as the machine goes")
    warmup_seconds: Real = Field(10.0, ge=0, le=3600, allow_inf_nan=False, description="wait before the first row")
    lanes: Whole = Field(1, ge=1, le=MAX_LANES, description="how many partitions the rows are spread over")


class SimulationStart(RunOptions):
    """Optional body of `POST /simulation/start`."""

    model_version: str | None = Field(None, max_length=100, description="default: the workspace's latest model")


class RunCreate(RunOptions):
    """A new run."""

    model_config = ConfigDict(extra="forbid")


class SpeedSet(Shape):
    """A run's new pace."""

    model_config = ConfigDict(extra="forbid")
    rows_per_second: Pace | None = Field(description="null: as fast as the machine goes")


class Seek(Shape):
    """Where a run is to go on."""

    model_config = ConfigDict(extra="forbid")
    row_index: Whole = Field(
        ge=0, lt=1 << 53, description="the next row to be sent; before the present one: a new attempt begins there"
    )


class Retry(Shape):
    """How a run is tried again."""

    model_config = ConfigDict(extra="forbid")
    from_row: Whole = Field(
        0, ge=0, lt=1 << 53, description="the first row to be sent; those before it are counted as passed over"
    )
    rows_per_second: Pace | None = Field(
        None, description="default: the pace that was set last; null: as fast as the machine goes"
    )


class Step(Shape):
    """How many rows of a paused run are sent."""

    model_config = ConfigDict(extra="forbid")
    rows: Whole = Field(1, ge=1, le=1000)


class ReplayCreate(Shape):
    """Which recorded rows of a run are sent again, and how. Without a range: all rows of the attempt.

    Offsets are those of the run's topic, `rows.v1` or, for rows of other systems, `ingress.rows.v1`; they need
    `partition` when the run has rows in several.
    """

    model_config = ConfigDict(extra="forbid")
    attempt: Whole | None = Field(None, ge=1, lt=1 << 31, description="whose rows; default: the newest")
    from_row: Whole | None = Field(
        None, ge=0, lt=1 << 53, description="the first row index of the original that is replayed"
    )
    from_time: datetime | None = Field(
        None, description="rows put on the topic at or after this time, UTC unless it has an offset"
    )
    partition: Whole | None = Field(None, ge=0, lt=1 << 31, description="only rows in this partition")
    from_offset: Whole | None = Field(None, ge=0, lt=1 << 62, description="the first record of the range")
    to_offset: Whole | None = Field(
        None, ge=0, lt=1 << 62, description="the first record behind the range; default: as far as there are any"
    )
    model_version: str | None = Field(
        None, max_length=100, description="scores all rows; default: the one that each row names"
    )
    rows_per_second: Pace | None = Field(
        1.0, description="default: the original's pace; null: as fast as the machine goes"
    )
    lanes: Whole | None = Field(None, ge=1, le=MAX_LANES, description="default: as many as the original has")


class SimulationStopped(Shape):
    """The run will send no more rows."""

    task_id: str
    message: str = "Simulation task stopped successfully."


class LiveStats(Shape):
    """Counts over all rows scored so far; the average is null before the first."""

    total_predictions: int
    pass_count: int
    fail_count: int
    average_confidence: float | None


class LivePrediction(Shape):
    """The newest prediction. `timestamp` is when it was made, `row_timestamp` the row's own time.

    `top_features`: the largest contributions of this row. In the dialects of old clients the values of the model's
    strongest features, the same for every row of a model, 0.0 where the row has none; the contributions are then in
    `top_contributions`."""

    timestamp: datetime
    sample_id: str
    prediction: Literal["PASS", "FAIL", "Pass", "Fail"]
    confidence: float
    top_features: dict[str, float]
    top_contributions: dict[str, float]
    top_feature_values: dict[str, float | str | None]
    row_index: int
    row_timestamp: datetime | None
    model_version: str


class Truth(Shape):
    """Predictions compared with the labels of the rows that have one; FAIL is positive. A ratio without a base is
    null."""

    labelled: int
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1_score: float | None
    mcc: float | None


class SimulationProgress(Shape):
    """How far a run is. `rows_per_second` is the measured mean pace; `live_prediction` is null while every row was a
    dead letter."""

    current_row_index: int = Field(description="0-based")
    total_rows: int
    quality_score: float | None = Field(description="P(PASS) of the newest row")
    live_prediction: LivePrediction | None
    live_stats: LiveStats
    dead_letters: int
    rows_per_second: float | None
    eta_seconds: float | None
    phase: Literal["warmup", "streaming"]
    truth: Truth | None
    status: str | None = Field(None, description="in old clients' dialects why the run failed")


class Saying(Shape):
    """`progress` of old clients' dialects while there is no row to show: what is going on, or why it failed."""

    status: str


class SimulationResult(Shape):
    """How a run ended. `error` is why it failed."""

    live_stats: LiveStats
    message: str
    error: str | None = None
    truth: Truth | None
    dead_letters: int


class SimulationStatus(Shape):
    """Status of a run; terminal only when its numbers are final. `progress` is null before the first row, `result`
    until the end."""

    task_id: str
    status: AnyStatus
    progress: SimulationProgress | Saying | None
    result: SimulationResult | None
    phase: Literal["waiting", "warmup", "streaming", "ended"]
    error: str | None = None


class RunStatistics(LiveStats):
    """Statistics of a run over all lanes. `histogram` counts P(FAIL) in equal bins over 0 to 1."""

    dead_letters: int
    open_letters: int = Field(0, description="dead letters whose row can still be redriven")
    passed_over: int
    average_probability_fail: float | None
    histogram: list[int]
    truth: Truth | None
    last_row_index: int = Field(description="-1 before the first row")
    rows_per_second: float | None = Field(description="measured mean pace")
    first_scored_at: datetime | None
    last_scored_at: datetime | None


class AttemptView(Shape):
    """One attempt of a run. Times and ending of all but the last hundred are forgotten; statistics never."""

    attempt: int
    status: Status
    started_at: datetime | None
    finished_at: datetime | None
    statistics: RunStatistics
    error: str | None


class Attempts(Shape):
    """All attempts of a run, newest first. Each is read with `?attempt=` on the run, its predictions, events and
    export."""

    items: list[AttemptView]


class OffsetRange(Shape):
    """Records of one partition of a topic, from `from_offset` up to, not including, `to_offset`."""

    topic: str = "rows.v1"
    partition: int
    from_offset: int
    to_offset: int


class RunSource(Shape):
    """Where a run's rows come from: the simulation set of its split, or the records of another run on the topic.

    `unreplayable`: records of the range that belong to the original but hold no row (not JSON); null until the range is
    read."""

    kind: Literal["split", "topic"]
    split_id: str | None
    run_id: str | None = None
    attempt: int | None = None
    from_row: int | None = None
    ranges: list[OffsetRange] = Field(default_factory=list)
    unreplayable: int | None = None


class Run(Shape):
    """A run, whole. One that another system feeds cannot be steered: it is always IN_PROGRESS, its workspace null; it
    is listed in the workspace `default`, `model_version` is that of its newest answer."""

    run_id: str
    workspace: str | None
    status: Status
    attempt: int
    dataset_id: str | None
    split_id: str | None
    model_version: str | None
    total_rows: int | None
    rows_per_second: float | None = Field(description="ordered pace; null: as fast as the machine goes")
    warmup_seconds: float | None
    lanes: int
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    eta_seconds: float | None
    statistics: RunStatistics
    error: str | None
    message: str | None
    source: RunSource | None = Field(None, description="null: rows that another system sends")
    tail: int | str | None = Field(
        None, description="of a run that another system feeds: `after` of about the newest hundred rows of each lane"
    )


class PredictionView(Shape):
    """One answered row. `top_features` are the largest tree contributions, in log-odds towards FAIL."""

    prediction_id: str
    run_id: str
    attempt: int
    lane: int
    row_index: int
    sample_id: str
    row_timestamp: datetime | None
    prediction: Literal["PASS", "FAIL"]
    confidence: float
    probability_fail: float
    threshold: float
    model_version: str
    top_features: dict[str, float]
    top_feature_values: dict[str, float | str | None]
    reasons: Literal["exact", "approximate", "none"]
    label: Literal["PASS", "FAIL"] | None
    scored_at: datetime
    source: dict[str, str | int]
    redriven: bool = Field(False, description="a repaired row: answered later than its neighbours")
    strongest: dict[str, float | None] | None = Field(
        None, description="the row's values of the model's own strongest features"
    )


class PredictionPage(Shape):
    """Predictions in row order, in runs of other systems within each lane. `next_after`, passed as `after`, gives the
    next part; `complete`: there will be none."""

    items: list[PredictionView]
    next_after: int | str = Field(
        description="a row index; once rows of several lanes of another system's run were read, one of each"
    )
    complete: bool


class Difference(Shape):
    """A figure of both runs, and b − a."""

    a: float | None
    b: float | None
    difference: float | None


class DiffSide(Shape):
    """One of the runs that are compared. `histogram` counts P(FAIL) of its answers in equal bins over 0 to 1."""

    run_id: str
    attempt: int
    status: Status
    model_version: str | None
    histogram: list[int]


class DiffCounts(Shape):
    """Rows that both runs answered, how many of them alike, and those that only one of them did."""

    common: int
    same: int
    pass_to_fail: int
    fail_to_pass: int
    only_in_a: int
    only_in_b: int


class ScoreDifference(Shape):
    """How far P(FAIL) lies apart. `mean_absolute`, `largest`: row by row, of the common rows. `distance`: largest
    difference of the two cumulative histograms (Kolmogorov–Smirnov), 0 to 1."""

    mean_absolute: float | None
    largest: float | None
    distance: float | None


class FlippedRow(Shape):
    """A row that the runs call differently."""

    sample_id: str
    row_index_a: int
    row_index_b: int
    prediction_a: Literal["PASS", "FAIL"]
    prediction_b: Literal["PASS", "FAIL"]
    probability_fail_a: float
    probability_fail_b: float
    label: Literal["PASS", "FAIL"] | None


class RunDiff(Shape):
    """Two runs compared over all their answers. `metrics` are of all rows of each, `common_metrics` of the rows that
    both have.

    `items`: flipped rows in the order of run a; `next_cursor`, passed as `cursor`, gives the next part.
    """

    a: DiffSide
    b: DiffSide
    joined_by: Literal["row_index", "sample_id"]
    counts: DiffCounts
    metrics: dict[str, Difference]
    common_metrics: dict[str, Difference]
    scores: ScoreDifference
    items: list[FlippedRow]
    next_cursor: str | None


class ExportFile(Shape):
    """A file in an export, as it is when unpacked."""

    name: str
    bytes: int
    sha256: str


class ExportManifest(Shape):
    """`manifest.json` of an export: the run with its statistics and source, the model that scored it, and the files."""

    exported_at: datetime
    rows: int
    run: Run
    model: dict[str, Any] | None
    files: list[ExportFile]


class StatusEvent(Shape):
    """Server-sent event `status`: the first of a stream, and at every change."""

    run_id: str
    status: Status
    attempt: int


class ExpiredRows(Shape):
    """410: the retention time of the rows asked for has passed. `first_available` is a row index; with `partition`, an
    offset there."""

    detail: str
    code: Literal["expired"] = "expired"
    first_available: int
    partition: int | None = None
    next_after: str | None = Field(
        None, description="of a run of another system: `after` of what is left in all its lanes"
    )
