"""Real data through ingestion, split, feature selection and training: SECOM, 94 failures in 1,547 rows, 590 sensors
(see the conftest)."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from models.bundle import load_bundle, score
from rows.inputs import numbers
from schemas.http.shared import TrainingResult
from schemas.manifests import DatasetManifest, FeatureSelection, SplitManifest
from schemas.tasks import FeatureSelectionSpec, TaskState, TrainingSpec
from storage.objects.files import Storage
from storage.tables.datasets import DatasetOptions, ingest
from storage.tables.ranges import DateRanges
from storage.tables.splits import split, suggest
from tests.support.small_split import START
from trainer.child.reporting import Reporter
from trainer.child.wire import BackendSettings, SelectionSettings
from trainer.feature_selection import features_path, select_features
from trainer.fit.data import read_set
from trainer.training_job import train

IGNORE = Reporter("test", lambda report: None)


@pytest.fixture(scope="module")
def secom(secom_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, DatasetManifest, SplitManifest]:
    storage = Storage(f"file://{tmp_path_factory.mktemp('secom')}/storage").initialise()
    digest = hashlib.sha256(secom_csv.read_bytes()).hexdigest()
    dataset = ingest(
        storage, secom_csv, file_name="secom.csv", workspace="default", options=DatasetOptions(), sha256=digest
    )
    assert isinstance(dataset, DatasetManifest)
    ranges = suggest(storage, dataset)
    assert isinstance(ranges, DateRanges)
    parts = split(storage, dataset, ranges)
    assert isinstance(parts, SplitManifest)
    settings = SelectionSettings(features=100, fraction=0.05, minimum_rows=20_000, time_share=0.6, seed=0)
    select_features(
        storage, task("feature_selection", FeatureSelectionSpec(dataset_id=dataset.dataset_id)), settings, 1, IGNORE
    )
    return storage, dataset, parts


def task(kind: str, spec: object) -> TaskState:
    fields = {"task_id": "t", "kind": kind, "workspace": "default", "status": "IN_PROGRESS", "attempt": 1, "epoch": 0}
    return msgspec.convert(
        fields | {"created_at": START, "updated_at": START, "spec": msgspec.to_builtins(spec)}, TaskState
    )


def test_best_100_features_hold_no_constant_or_empty_column(
    secom: tuple[Storage, DatasetManifest, SplitManifest],
) -> None:
    storage, dataset, _ = secom
    kept = FeatureSelection.model_validate_json(storage.read_bytes(features_path(dataset.dataset_id)))
    constant = {column.name for column in dataset.columns if column.constant}
    assert len(constant) >= 100
    assert len(kept.features) == 100
    assert not constant & set(kept.features)


@pytest.mark.parametrize("objective", ["mcc", "f1"])
def test_training_completes_with_every_metric_and_is_repeatable(
    secom: tuple[Storage, DatasetManifest, SplitManifest], objective: str
) -> None:
    storage, dataset, parts = secom
    ids = {"dataset_id": dataset.dataset_id, "split_id": parts.split_id, "objective": objective}
    spec = msgspec.convert(ids, TrainingSpec)
    first, second = (train(storage, task("training", spec), 1, BackendSettings(), IGNORE) for _ in range(2))
    result = TrainingResult.model_validate(first.result)
    assert all(value is not None for value in result.metrics.model_dump().values())
    assert sum(result.confusion_matrix.model_dump().values()) == parts.test.rows
    answers = []
    for done in (first, second):
        assert done.model_version is not None
        bundle = load_bundle(storage, done.model_version)
        answers.append(
            score(bundle, read_set(storage, parts.simulation, numbers(bundle.manifest.features)).matrix).tobytes()
        )
    assert answers[0] == answers[1]
