"""Bundles: what is written is what is loaded, damage is found, and a row's score does not depend on its neighbours."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from models.bundle import (
    Bundle,
    BundleCorrupt,
    BundleMissing,
    bundle_path,
    contributions,
    load_bundle,
    score,
    write_bundle,
)
from schemas.manifests import ConfusionMatrix, Metrics, ModelManifest
from storage.objects.files import Storage
from tests.support.examples import many

NAMES = [f"S{i}" for i in range(12)]
VERSION = "model-0123456789ab"


def make_rows(count: int, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, len(NAMES))).astype(np.float32)
    rows[random.random(rows.shape) < 0.2] = np.nan
    return rows


def make_booster(rounds: int = 30) -> Any:
    rows = make_rows(3000)
    labels = (np.nan_to_num(rows[:, 0]) * np.nan_to_num(rows[:, 1]) + np.nan_to_num(rows[:, 2]) > 0.8).astype(int)
    return xgboost.train(
        {"max_depth": 4, "objective": "binary:logistic", "nthread": 1, "seed": 1},
        xgboost.DMatrix(rows, labels, nthread=1),
        rounds,
    )


def make_manifest(best_iteration: int = 29) -> ModelManifest:
    nothing = Metrics(
        accuracy=None,
        precision=None,
        recall=None,
        f1_score=None,
        mcc=None,
        roc_auc=None,
        pr_auc=None,
        threshold=0.5,
        rows=0,
        confusion_matrix=ConfusionMatrix(true_positives=0, false_positives=0, true_negatives=0, false_negatives=0),
    )
    return ModelManifest(
        model_version=VERSION,
        workspace="default",
        task_id="t",
        dataset_id="ds-1",
        dataset_sha256="0",
        split_id="split-1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        features=NAMES,
        ignored_features=[],
        label="Response",
        pass_value="0",
        threshold=0.5,
        threshold_objective="mcc",
        best_iteration=best_iteration,
        parameters={},
        seed=0,
        validation_metrics=nothing,
        test_metrics=nothing,
        feature_gains={},
        reference={},
        library_versions={},
        files={},
    )


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(f"file://{tmp_path}").initialise()


@pytest.fixture
def bundle(storage: Storage) -> Bundle:
    write_bundle(storage, make_manifest(), {"model.ubj": bytes(make_booster().save_raw("ubj")), "curves.json": b"{}"})
    return load_bundle(storage, VERSION)


def test_loaded_bundle_is_the_written_one(bundle: Bundle) -> None:
    assert bundle.manifest.model_copy(update={"files": {}}) == make_manifest()
    assert set(bundle.manifest.files) == {"model.ubj", "curves.json"}
    expected = make_booster().predict(xgboost.DMatrix(make_rows(100, 7), nthread=1))
    assert score(bundle, make_rows(100, 7)).tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 31, 63, 64, 65, 255, 1000])
@pytest.mark.parametrize("threads", [1, 2])
def test_score_of_a_row_does_not_depend_on_the_batch(storage: Storage, bundle: Bundle, size: int, threads: int) -> None:
    rows = make_rows(many(1000), 3)
    again = load_bundle(storage, VERSION, threads=threads)
    pieces = np.concatenate([score(again, rows[start : start + size]) for start in range(0, len(rows), size)])
    assert pieces.dtype == np.float32
    assert pieces.tobytes() == score(bundle, rows).tobytes()


@pytest.mark.parametrize("approximate", [False, True])
def test_contributions_of_a_row_do_not_depend_on_the_batch(bundle: Bundle, approximate: bool) -> None:
    rows = make_rows(200, 4)
    pieces = np.concatenate(
        [contributions(bundle, rows[start : start + 7], approximate=approximate) for start in range(0, len(rows), 7)]
    )
    assert pieces.shape == rows.shape
    assert pieces.tobytes() == contributions(bundle, rows, approximate=approximate).tobytes()


def test_exact_contributions_and_bias_add_up_to_the_log_odds(bundle: Bundle) -> None:
    rows = make_rows(50, 5)
    probability = score(bundle, rows).astype(np.float64)
    bias = np.log(probability / (1 - probability)) - contributions(bundle, rows).sum(axis=1)
    assert np.ptp(bias) < 1e-4


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda rows: rows.astype(np.float64), lambda rows: np.repeat(rows, 2, axis=0)[::2]]
)
def test_layout_of_the_matrix_changes_nothing(bundle: Bundle, layout: Callable[[Any], Any]) -> None:
    rows = make_rows(100, 6)
    assert score(bundle, layout(rows)).tobytes() == score(bundle, rows).tobytes()


def test_values_that_float32_cannot_hold_are_missing(bundle: Bundle) -> None:
    rows = make_rows(4).astype(np.float64)
    rows[0, 0], rows[1, 0], rows[2, 0] = np.inf, -np.inf, 1e300
    missing = make_rows(4)
    missing[:3, 0] = np.nan
    assert score(bundle, rows).tobytes() == score(bundle, missing).tobytes()
    assert contributions(bundle, rows).tobytes() == contributions(bundle, missing).tobytes()


def test_no_rows_make_no_scores(bundle: Bundle) -> None:
    assert score(bundle, make_rows(0)).shape == (0,)
    assert contributions(bundle, make_rows(0)).shape == (0, len(NAMES))


def test_trees_after_the_best_iteration_are_not_used(storage: Storage) -> None:
    booster = make_booster(30)
    write_bundle(storage, make_manifest(best_iteration=9), {"model.ubj": bytes(booster.save_raw("ubj"))})
    bundle = load_bundle(storage, VERSION)
    expected = booster.predict(xgboost.DMatrix(make_rows(20), nthread=1), iteration_range=(0, 10))
    assert score(bundle, make_rows(20)).tobytes() == expected.tobytes()


def test_unknown_version_is_missing(storage: Storage) -> None:
    with pytest.raises(BundleMissing):
        load_bundle(storage, VERSION)


@pytest.mark.parametrize("version", ["../secrets", "", "model-0123456789AB", "model-0123456789ab/..", "/etc/passwd"])
def test_version_of_another_form_is_missing_and_never_becomes_a_path(storage: Storage, version: str) -> None:
    with pytest.raises(BundleMissing):
        load_bundle(storage, version)


def test_changed_file_is_found(storage: Storage, bundle: Bundle) -> None:
    storage.write_bytes(bundle_path(VERSION, "curves.json"), b"{ }")
    with pytest.raises(BundleCorrupt, match=r"curves\.json"):
        load_bundle(storage, VERSION)


def test_lost_file_is_found(storage: Storage, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / bundle_path(VERSION, "model.ubj")).unlink()
    with pytest.raises(BundleCorrupt, match=r"model\.ubj is missing"):
        load_bundle(storage, VERSION)


def test_model_of_another_width_is_found(storage: Storage) -> None:
    manifest = make_manifest().model_copy(update={"features": NAMES[:-1]})
    write_bundle(storage, manifest, {"model.ubj": bytes(make_booster(1).save_raw("ubj"))})
    with pytest.raises(BundleCorrupt, match="12 features"):
        load_bundle(storage, VERSION)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model_version":"model-0123456789ab"}'])
def test_damaged_manifest_is_found(storage: Storage, bundle: Bundle, content: bytes) -> None:
    storage.write_bytes(bundle_path(VERSION, "manifest.json"), content)
    with pytest.raises(BundleCorrupt, match="manifest"):
        load_bundle(storage, VERSION)


def test_manifest_of_another_version_is_found(storage: Storage, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "models" / VERSION).rename(tmp_path / "models" / "model-ffffffffffff")
    with pytest.raises(BundleCorrupt, match=VERSION):
        load_bundle(storage, "model-ffffffffffff")


def test_file_that_is_no_model_is_found(storage: Storage) -> None:
    write_bundle(storage, make_manifest(), {"model.ubj": b"{}"})
    with pytest.raises(BundleCorrupt, match="XGBoost cannot read"):
        load_bundle(storage, VERSION)


def test_bundle_interrupted_at_any_write_does_not_load(tmp_path: Path) -> None:
    class Interrupted(Storage):
        writes_left = 0

        def write_bytes(self, path: str, data: bytes) -> None:
            if self.writes_left == 0:
                raise KeyboardInterrupt
            self.writes_left -= 1
            super().write_bytes(path, data)

    storage = Interrupted(f"file://{tmp_path}")
    storage.initialise()
    files = {"model.ubj": bytes(make_booster(1).save_raw("ubj")), "curves.json": b"{}", "curves.png": b"png"}
    for writes in range(len(files) + 1):
        storage.writes_left = writes
        with pytest.raises(KeyboardInterrupt):
            write_bundle(storage, make_manifest(0), files)
        with pytest.raises(BundleMissing):
            load_bundle(storage, VERSION)
    storage.writes_left = len(files) + 1
    write_bundle(storage, make_manifest(0), files)
    assert load_bundle(storage, VERSION).manifest.best_iteration == 0


def test_version_is_written_once(storage: Storage, bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="exists"):
        write_bundle(storage, make_manifest(), {"model.ubj": b""})
