"""Manifests: what a dataset, a split and a model version are. Kept as JSON in storage and as records in `datasets.v1`
and `models.v1`.

Every manifest is immutable; a changed setting makes a new object with a new id.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, FailFast, Field

from schemas.bounds import ManifestCount, ManifestId, ManifestPath, ManifestSeed, ManifestWorkspace, Plain, SortedTime

ColumnType = Literal["numeric", "datetime", "boolean", "text", "empty"]
Cell = float | int | str | bool | None


class Manifest(BaseModel):
    """Base of all manifests: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class Notice(Manifest):
    """Something about a file that was read in a way a person may want to know of. `lines`: the first ones it is about,
    1-based."""

    code: str
    message: str
    column: str | None = None
    lines: list[int] = []
    count: int | None = None


class Column(Manifest):
    """One column as stored. `constant` means at most one distinct value among those present; `reason` says how it was
    read, or why not.

    `stored` is what the Parquet holds; null in old manifests: `number` for the type numeric, else text. `unread` counts
    values that were taken for missing though something stands there, the first of them with their lines. `left_out`:
    why it is no feature."""

    name: str
    type: ColumnType
    missing: ManifestCount
    constant: bool
    reason: str | None = None
    stored: Literal["number", "text"] | None = None
    unread: int = 0
    unread_lines: list[int] = []
    unread_values: list[str] = []
    left_out: str | None = None


class Choice(Manifest):
    """A detected or given setting and why it was chosen, in words for a person."""

    value: str
    reason: str
    detected: bool


class LabelCounts(Manifest):
    """How the label column splits: the raw values in the file, and which of them is PASS.

    `fail_value` shows all values that are FAIL. `pass_spellings` and `no_label_spellings` are the texts in the file
    that mean PASS and no label at all (`ok`, `OK `), empty where it is `pass_value` alone. Every other text is FAIL; an
    empty cell is no label."""

    pass_value: str
    fail_value: str
    pass_count: ManifestCount
    fail_count: ManifestCount
    unlabelled_count: ManifestCount = Field(0, exclude_if=lambda count: not count)
    pass_spellings: list[str] = Field([], exclude_if=lambda texts: not texts)
    no_label_spellings: list[str] = Field([], exclude_if=lambda texts: not texts)


class TimeAxis(Manifest):
    """Where a row's time comes from: a real column, or `start + step_seconds * row number` when synthetic.

    `style` is how a real column is read, see `storage.tables.times`: `iso8601`, a strptime format, `epoch-s`, …
    `clock_column` holds the time of day where `column` holds the date alone. A text without a zone is in `zone`, UTC by
    default; `later` are the rows, first and last 0-based, that lie in the second pass of an hour which repeats when
    summer time ends. `missing`: rows without a time, in no set of a split.
    """

    column: str
    synthetic: bool
    style: str = "iso8601"
    start: AwareDatetime | None = None
    step_seconds: float | None = None
    reason: str
    clock_column: str | None = None
    zone: str | None = None
    later: list[tuple[int, int]] = []
    missing: int = 0


class LeftOut(Manifest):
    """A column that is no feature, and why."""

    column: str
    reason: str


class Suspect(Manifest):
    """A column that may give the label away; whether it was known when the part was made is for a person to say."""

    column: str
    kind: Literal["twin", "rule", "missing", "index"]
    reason: str


class SpanCount(Manifest):
    """Labelled rows and failures from `start` on, one of equal spans of time."""

    start: AwareDatetime
    rows: int
    failures: int


class ReadingReport(Manifest):
    """How a file was read, in full: nothing is left out or taken for missing that is not said here."""

    encoding: str
    encoding_reason: str
    separator: str
    decimal: str
    thousands: str | None
    header_line: int
    notices: list[Notice]
    left_out: list[LeftOut]
    suspects: list[Suspect]
    unlabelled: int
    rows_without_time: int
    repeated_ids: int
    failures_over_time: list[SpanCount]


class DatasetManifest(Manifest):
    """An uploaded file with the settings it is read by.

    `path` is relative to the storage root: the Parquet of the file's content, shared by all datasets with this
    `sha256`. `row_count` and `column_count` are the file's own; a synthetic time column is not counted.
    """

    dataset_id: ManifestId
    workspace: ManifestWorkspace
    file_name: str
    file_size: ManifestCount
    sha256: str
    path: ManifestPath
    created_at: SortedTime
    row_count: ManifestCount
    column_count: ManifestCount
    columns: Annotated[list[Column], FailFast()]
    features: Annotated[list[str], FailFast()] = Field(
        description="columns that a model may use, in file order: numbers, and texts and yes/no as categories"
    )
    label: Choice
    labels: LabelCounts
    id_column: Choice | None = Field(description="null: the row number, 1-based, is the id")
    time: TimeAxis
    first_timestamp: AwareDatetime
    last_timestamp: AwareDatetime
    excluded: list[str] = Field([], description="columns that a person left out of the features")
    report: ReadingReport | None = Field(None, description="null in datasets from before there were reports")


class DateRange(Manifest):
    """Both ends inclusive, UTC."""

    start: AwareDatetime
    end: AwareDatetime


class SetManifest(Manifest):
    """One of the three sets of a split. `path` is relative to the storage root; rows are in time order, ties in file
    order."""

    path: ManifestPath
    range: DateRange
    rows: ManifestCount
    failures: ManifestCount


class SplitManifest(Manifest):
    """Three sets of one dataset.

    Each set's Parquet has the columns `__index__` (row number in the file, 0-based), `__id__` (text), `__time__` (UTC
    microseconds), `__label__` ("PASS"/"FAIL"), then the dataset's features as float64 or text with null for missing.
    """

    split_id: ManifestId
    dataset_id: ManifestId
    workspace: ManifestWorkspace
    created_at: SortedTime
    sample_fraction: float
    seed: ManifestSeed
    train: SetManifest
    test: SetManifest
    simulation: SetManifest
    daily_distribution: dict[str, ManifestCount]
    excluded: list[str] = Field([], description="features of the dataset that this split leaves out")
    notices: list[Notice] = []


class FeatureSelection(Manifest):
    """Features of a dataset ranked by a preliminary model's total gain, best first. Kept in storage beside the
    dataset."""

    dataset_id: ManifestId
    features: Annotated[list[str], FailFast()]
    gains: Annotated[list[float], FailFast()]
    considered: ManifestCount
    sampled_rows: ManifestCount
    seed: ManifestSeed
    parameters: Plain


class ConfusionMatrix(Manifest):
    """FAIL is the positive class."""

    true_positives: ManifestCount
    false_positives: ManifestCount
    true_negatives: ManifestCount
    false_negatives: ManifestCount


class Interval(Manifest):
    """Where a figure lies in 95 of 100 cases, by a bootstrap over blocks of time."""

    low: float
    high: float


class Baseline(Manifest):
    """What calling every row PASS would reach on the same rows."""

    accuracy: float | None
    mcc: float
    recall: float
    pr_auc: float


class Metrics(Manifest):
    """Evaluation on one set at `threshold`; null where the set has one class only and the figure is undefined.

    `intervals` are by name of the figure; empty with one class only, and in models from before there were any.
    """

    accuracy: float | None
    precision: float | None
    recall: float | None
    f1_score: float | None
    mcc: float | None
    roc_auc: float | None
    pr_auc: float | None
    threshold: float
    rows: ManifestCount
    confusion_matrix: ConfusionMatrix
    intervals: dict[str, Interval] = {}
    baseline: Baseline | None = None


class ReferenceHistogram(Manifest):
    """A feature's distribution in the training set: `edges` has one entry more than `counts`; missing values are
    apart."""

    edges: Annotated[list[float], FailFast()]
    counts: Annotated[list[ManifestCount], FailFast()]
    missing_rate: float


class ModelManifest(Manifest):
    """A model version: everything needed to score as at training time. Its folder is `models/{model_version}/` below
    the storage root.

    `features` is the order of the model's input; which of them are categories says `preparation.json` beside it, if
    there is one. `ignored_features` are the other columns of the dataset's features: a row may carry them, they are not
    used; any other name is unknown. `files` maps a file name in the folder to its SHA-256.
    """

    model_version: ManifestId
    workspace: ManifestWorkspace
    task_id: ManifestId
    dataset_id: ManifestId
    dataset_sha256: str
    split_id: ManifestId
    created_at: SortedTime
    features: Annotated[list[str], FailFast()]
    ignored_features: Annotated[list[str], FailFast()]
    label: str
    pass_value: str
    threshold: float
    threshold_objective: str
    best_iteration: ManifestCount
    parameters: Plain
    seed: ManifestSeed
    validation_metrics: Metrics
    test_metrics: Metrics
    feature_gains: dict[str, float]
    reference: dict[str, ReferenceHistogram]
    library_versions: dict[str, str]
    warnings: Annotated[list[str], FailFast()] = []
    doubt: str | None = Field(
        None, description="why it is not shown to be better than calling every row PASS; null: it is"
    )
    kind: str = Field("xgboost", pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="how the model scores: `models.kinds`")
    files: dict[str, str]
