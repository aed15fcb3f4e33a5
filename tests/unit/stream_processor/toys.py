"""A toy model and toy records for the tests of the stream processor."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xgboost

from models.bundle import MODEL, Bundle, write_bundle
from models.kinds.xgboost import BoostedTrees
from rows.decode import FeatureReader
from rows.identity import PartitionOf
from runtime.kafka.reading import partition_for
from schemas.ids import row_key
from schemas.manifests import ConfusionMatrix, Metrics, ModelManifest
from schemas.messages import Redrive, encode
from schemas.tasks import Marks
from schemas.topics import REDRIVE_HEADER
from storage.objects.files import Storage
from stream_processor.batch.answers import LoadedModel

PARTITIONS = 8
FEATURES, IGNORED = ["S1", "S2", "S3"], ["S9"]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UNDEFINED = ("accuracy", "precision", "recall", "f1_score", "mcc", "roc_auc", "pr_auc")
MODEL_A, MODEL_B = "model-00000000000a", "model-00000000000b"


class Record(NamedTuple):
    """What the stream processor uses of a Kafka record."""

    value: bytes | None
    offset: int = 0
    partition: int = 0
    key: bytes | None = b"line-1"
    headers: Sequence[tuple[str, bytes | None]] = ()
    topic: str = "rows.v1"


partition_of = PartitionOf(PARTITIONS, partition_for)
"""The default partitioner over `PARTITIONS`."""
on_both_topics = PartitionOf(PARTITIONS, partition_for, foreign_on_rows=True)


def home(run_id: str, lane: int = 0, lanes: int = 1) -> int:
    """The partition of a lane."""
    return partition_of(row_key(run_id, lane, lanes))


class Producers:
    """Runs of ours and their lanes; an epoch above the highest is nobody's."""

    def __init__(self, highest: int = 100, attempts: int = 9, **lanes: int) -> None:
        self.said: dict[int, Marks] = {}
        """By epoch."""
        self._highest, self._attempts, self._lanes = (
            highest,
            attempts,
            {name.replace("_", "-"): count for name, count in lanes.items()},
        )

    def sends(self, run_id: str, attempt: int, epoch: int) -> bool:
        """As `runtime.run_epochs`."""
        return run_id in self._lanes and attempt <= self._attempts and epoch <= self._highest

    def lanes(self, run_id: str) -> int | None:
        """As `runtime.run_epochs`."""
        return self._lanes.get(run_id)

    def marks(self, run_id: str, epoch: int) -> Marks | None:
        """As `runtime.run_epochs`."""
        return self.said.get(epoch)


def redrive(
    run_id: str, row_index: int, *, lane: int = 0, attempt: int = 1, dead_letter_id: str = "0-0"
) -> list[tuple[str, bytes]]:
    """The header of a row that is sent again."""
    named = Redrive(dead_letter_id=dead_letter_id, run_id=run_id, row_index=row_index, lane=lane, attempt=attempt)
    return [(REDRIVE_HEADER, encode(named))]


def row(**fields: Any) -> bytes:
    """A valid row as JSON, with changed fields; a field set to `...` is left out."""
    values = {"features": {"S1": 0.5, "S2": None, "S3": -1}, "model_version": MODEL_A} | fields
    return json.dumps({name: value for name, value in values.items() if value is not ...}).encode()


def manifest(
    model_version: str, features: Sequence[str] = FEATURES, ignored: Sequence[str] = IGNORED, threshold: float = 0.4
) -> ModelManifest:
    """A manifest with what scoring needs."""
    matrix = ConfusionMatrix(true_positives=0, false_positives=0, true_negatives=0, false_negatives=0)
    undefined: dict[str, Any] = dict.fromkeys(UNDEFINED)
    nothing = Metrics.model_construct(threshold=threshold, rows=0, confusion_matrix=matrix, **undefined)
    return ModelManifest(
        model_version=model_version,
        workspace="default",
        task_id="task",
        dataset_id="ds-000000000000",
        dataset_sha256="0" * 64,
        split_id="split-000000000000",
        created_at=NOW,
        features=FEATURES,
        ignored_features=IGNORED,
        label="Response",
        pass_value="0",
        threshold=threshold,
        threshold_objective="fixed",
        best_iteration=7,
        parameters={},
        seed=0,
        validation_metrics=nothing,
        test_metrics=nothing,
        feature_gains={},
        reference={},
        library_versions={},
        files={},
    )


@cache
def booster(features: int, seed: int) -> xgboost.Booster:
    """A few small trees; P(FAIL) grows with the first feature."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(400, features)).astype(np.float32)
    rows[random.random(rows.shape) < 0.1] = np.nan
    labels = np.nan_to_num(rows[:, 0]) + random.normal(size=400) > 0.5
    return xgboost.train(
        {"max_depth": 2, "objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(rows, labels.astype(int)), 8
    )


@cache
def model(model_version: str = MODEL_A, threshold: float = 0.4) -> LoadedModel:
    """A model version, ready to score."""
    described = manifest(model_version, threshold=threshold)
    return LoadedModel(
        Bundle(described, BoostedTrees(booster(len(FEATURES), seed_of(model_version)), described.best_iteration)),
        FeatureReader(described),
    )


def store_model(storage: Storage, model_version: str) -> None:
    """Write a model version to the storage."""
    write_bundle(
        storage, manifest(model_version), {MODEL: bytes(booster(len(FEATURES), seed_of(model_version)).save_raw("ubj"))}
    )


def seed_of(model_version: str) -> int:
    """Each model version is another model."""
    return int(model_version.removeprefix("model-"), 16) % 100


def replaceable(folder: Path, real: Path) -> Path:
    """A path that leads to a file, so that what is below it is unavailable (not missing), until `come_back` makes it
    lead to `real`."""
    (folder / "in-the-way").touch()
    (folder / "place").symlink_to(folder / "in-the-way")
    (folder / "place.next").symlink_to(real)
    return folder / "place"


def come_back(place: Path) -> None:
    """Undo `replaceable` in one step."""
    place.with_name("place.next").replace(place)
