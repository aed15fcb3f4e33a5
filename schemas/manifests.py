"""Manifests: what a dataset, a split and a model version are. Kept as JSON in storage and as records in `datasets.v1` and `models.v1`.

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


class Column(Manifest):
    """One column as stored. `constant` means at most one distinct value among those present; `reason` says why numbers became text."""

    name: str
    type: ColumnType
    missing: ManifestCount
    constant: bool
    reason: str | None = None


class Choice(Manifest):
    """A detected or given setting and why it was chosen, in words for a person."""

    value: str
    reason: str
    detected: bool


class LabelCounts(Manifest):
    """How the label column splits: the raw values in the file, and which of them is PASS."""

    pass_value: str
    fail_value: str
    pass_count: ManifestCount
    fail_count: ManifestCount


class TimeAxis(Manifest):
    """Where a row's time comes from: a real column, or `start + step_seconds * row number` when synthetic.

    `style` is how a real column is read: `iso8601`, a strptime format, or `epoch-s`, `epoch-ms`, `epoch-us`, `epoch-ns`.
    """

    column: str
    synthetic: bool
    style: str = "iso8601"
    start: AwareDatetime | None = None
    step_seconds: float | None = None
    reason: str


class DatasetManifest(Manifest):
    """An uploaded file with the settings it is read by.

    `path` is relative to the storage root: the Parquet of the file's content, shared by all datasets with this `sha256`.
    `row_count` and `column_count` are the file's own; a synthetic time column is not counted.
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
    features: Annotated[list[str], FailFast()] = Field(description="numeric columns that a model may use, in file order")
    label: Choice
    labels: LabelCounts
    id_column: Choice | None = Field(description="null: the row number, 1-based, is the id")
    time: TimeAxis
    first_timestamp: AwareDatetime
    last_timestamp: AwareDatetime


class DateRange(Manifest):
    """Both ends inclusive, UTC."""

    start: AwareDatetime
    end: AwareDatetime


class SetManifest(Manifest):
    """One of the three sets of a split. `path` is relative to the storage root; rows are in time order, ties in file order."""

    path: ManifestPath
    range: DateRange
    rows: ManifestCount
    failures: ManifestCount


class SplitManifest(Manifest):
    """Three sets of one dataset.

    Each set's Parquet has the columns `__index__` (row number in the file, 0-based), `__id__` (text), `__time__` (UTC microseconds),
    `__label__` ("PASS"/"FAIL"), then the dataset's features as float64 with null for missing.
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


class FeatureSelection(Manifest):
    """Features of a dataset ranked by a preliminary model's total gain, best first. Kept in storage beside the dataset."""

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


class Metrics(Manifest):
    """Evaluation on one set at `threshold`; null where the set has one class only and the figure is undefined."""

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


class ReferenceHistogram(Manifest):
    """A feature's distribution in the training set: `edges` has one entry more than `counts`; missing values are apart."""

    edges: Annotated[list[float], FailFast()]
    counts: Annotated[list[ManifestCount], FailFast()]
    missing_rate: float


class ModelManifest(Manifest):
    """A model version: everything needed to score as at training time. Its folder is `models/{model_version}/` below the storage root.

    `features` is the order of the model's input. `ignored_features` are the other columns of the dataset's features: a row may carry
    them, they are not used; any other name is unknown. `files` maps a file name in the folder to its SHA-256.
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
    files: dict[str, str]
