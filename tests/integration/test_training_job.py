"""The two jobs whole, on a small split in a real storage, in this process."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from models.bundle import load_bundle, score
from rows.inputs import numbers
from schemas.http.shared import TrainingProgress, TrainingResult
from schemas.manifests import Column, FeatureSelection
from schemas.tasks import FeatureSelectionSpec, TaskState, TrainingSpec
from storage.objects.files import Storage
from tests.support.small_split import START, USEFUL, SmallSplit, write_small_split
from trainer.child.reporting import EVALUATING, LOADING, SAVING, TRAINING, Reporter
from trainer.child.wire import BackendSettings, Done, Log, Progress, SelectionSettings
from trainer.errors import JobFailed
from trainer.feature_selection import features_path, select_features
from trainer.fit.data import read_set
from trainer.training_job import train

SELECTION = SelectionSettings(features=6, fraction=0.05, minimum_rows=20_000, time_share=0.6, seed=0)


class Job:
    """Runs jobs on a split and keeps what they report."""

    def __init__(self, storage: Storage, small: SmallSplit) -> None:
        self.storage, self.small, self.backend = storage, small, BackendSettings()
        self.progress: list[Progress] = []
        self.logs: list[Log] = []

    def _send(self, report: Progress | Log) -> None:
        (self.progress if isinstance(report, Progress) else self.logs).append(report)  # type: ignore[arg-type]

    def select(self, settings: SelectionSettings = SELECTION) -> Done:
        task = make_task("feature_selection", FeatureSelectionSpec(dataset_id=self.small.dataset.dataset_id))
        return select_features(self.storage, task, settings, 1, Reporter("test", self._send))

    def train(self, threads: int = 1, **spec: Any) -> Done:
        ids = {"dataset_id": self.small.dataset.dataset_id, "split_id": self.small.split.split_id}
        task = make_task("training", msgspec.convert(ids | {"parameters": {"n_estimators": 40}} | spec, TrainingSpec))
        return train(self.storage, task, threads, self.backend, Reporter("test", self._send))

    def predictions(self, done: Done) -> Any:
        assert done.model_version is not None
        bundle = load_bundle(self.storage, done.model_version)
        return score(
            bundle,
            read_set(
                self.storage, self.small.split.simulation, bundle.inputs or numbers(bundle.manifest.features)
            ).matrix,
        )


def make_task(kind: Any, spec: Any) -> TaskState:
    return TaskState(
        task_id="a-task",
        kind=kind,
        workspace="default",
        status="IN_PROGRESS",
        attempt=1,
        epoch=0,
        created_at=START,
        updated_at=START,
        spec=msgspec.to_builtins(spec),
    )


@pytest.fixture
def storage(storage_url: str) -> Storage:
    return Storage(storage_url).initialise()


@pytest.fixture
def job(storage: Storage) -> Job:
    job = Job(storage, write_small_split(storage))
    job.select()
    job.progress.clear()
    return job


def test_selection_ranks_the_useful_features_first_and_keeps_the_wanted_number(job: Job) -> None:
    done = job.select()
    kept = FeatureSelection.model_validate_json(job.storage.read_bytes(features_path(job.small.dataset.dataset_id)))
    assert set(kept.features[:3]) == set(USEFUL)
    assert len(kept.features) == SELECTION.features == done.result["selected"]
    assert kept.gains == sorted(kept.gains, reverse=True)
    assert not {"constant", "empty"} & set(kept.features)
    assert (kept.considered, kept.sampled_rows) == (8, 900)
    assert done.result["best"][0] == {"feature": kept.features[0], "gain": kept.gains[0]}


def test_selection_does_not_look_at_the_test_range(job: Job) -> None:
    other = job.small.dataset.path
    before = job.select().result
    frame = pl.read_parquet(job.storage.local(other))
    late = pl.int_range(0, frame.height, eager=True) >= 900
    frame.with_columns(pl.when(late).then(0.0).otherwise(pl.col(name)).alias(name) for name in USEFUL).write_parquet(
        job.storage.local(other)
    )
    assert job.select().result == before


def wide_noise(storage: Storage, **spec: Any) -> Job:
    """A job on 600 training rows whose label has nothing to do with any of 300 columns, of which the best 10 are
    kept."""
    job = Job(storage, write_small_split(storage, rows=1000, useless=300))
    random = np.random.default_rng(7)
    for path in (
        job.small.dataset.path,
        *(getattr(job.small.split, name).path for name in ("train", "test", "simulation")),
    ):
        frame = pl.read_parquet(storage.local(path))
        values = {name: random.normal(size=frame.height) for name in USEFUL}
        frame.with_columns(pl.Series(name, column) for name, column in values.items()).write_parquet(
            storage.local(path)
        )
    job.select(msgspec.structs.replace(SELECTION, features=10))
    return job


@pytest.mark.parametrize(
    "parameters", [{"n_estimators": 40}, {"n_estimators": 40, "validation_fraction": 0.4}], ids=["folds", "held out"]
)
def test_rows_that_judge_have_no_say_in_the_choice_of_columns(storage: Storage, parameters: dict[str, Any]) -> None:
    manifest = load_bundle(storage, wide_noise(storage).train(parameters=parameters).model_version or "").manifest
    assert len(manifest.features) == 10
    assert manifest.validation_metrics.roc_auc is not None
    assert abs(manifest.validation_metrics.roc_auc - 0.5) < 0.12


def test_columns_are_chosen_from_the_training_range_of_the_split_alike_with_any_number_of_threads(
    storage: Storage,
) -> None:
    job = wide_noise(storage)
    chosen = [
        load_bundle(storage, job.train(threads=threads).model_version or "").manifest.features for threads in (1, 2)
    ]
    job.storage.remove(job.small.dataset.path)  # nothing of the dataset beside the training range is read
    chosen.append(load_bundle(storage, job.train().model_version or "").manifest.features)
    assert chosen[0] == chosen[1] == chosen[2]


def test_excluded_columns_leave_room_for_others(storage: Storage) -> None:
    job = wide_noise(storage)
    first = load_bundle(storage, job.train().model_version or "").manifest.features
    second = load_bundle(storage, job.train(exclude=first[:4]).model_version or "").manifest.features
    assert len(second) == 10
    assert not set(second) & set(first[:4])


def test_training_answers_in_the_words_of_the_contract(job: Job) -> None:
    done = job.train()
    result = TrainingResult.model_validate(done.result)
    assert result.training_chart.train_loss[0].x == "Epoch 1"
    assert (
        len(result.training_chart.train_loss)
        == len(result.training_chart.train_accuracy)
        == len(result.training_chart.validation_loss)
    )
    assert done.result["model_path"] == f"models/{done.model_version}/model.ubj"
    assert job.storage.read_bytes(done.result["curves_path"]).startswith(b"\x89PNG")
    assert sum(done.result["confusion_matrix"].values()) == job.small.split.test.rows
    assert result.metrics.mcc is not None
    assert result.metrics.mcc > 0.5
    assert result.warnings == []


def test_progress_names_the_phases_in_order_and_never_goes_back(job: Job) -> None:
    job.train()
    statuses = list(dict.fromkeys(report.status for report in job.progress))
    assert statuses == [LOADING, TRAINING, EVALUATING, SAVING]
    percents = [report.percent for report in job.progress]
    assert percents == sorted(percents)
    rounds = [report for report in job.progress if report.iteration]
    assert [report.iteration for report in rounds] == list(range(1, len(rounds) + 1))
    assert {report.of for report in rounds} == {40}
    for report in job.progress:
        TrainingProgress.model_validate(msgspec.to_builtins(report))


def test_bundle_holds_all_that_scoring_and_monitoring_need(job: Job) -> None:
    done = job.train()
    assert done.model_version is not None
    manifest = load_bundle(job.storage, done.model_version).manifest
    assert done.manifest == manifest.model_dump_json()
    assert set(manifest.files) == {"model.ubj", "golden.f32", "curves.json", "curves.png"}
    assert set(manifest.reference) == set(manifest.features) == set(manifest.feature_gains)
    assert not set(manifest.features) & set(manifest.ignored_features)
    assert set(manifest.features) | set(manifest.ignored_features) == set(job.small.dataset.features)
    assert manifest.threshold == manifest.test_metrics.threshold == done.result["metrics"]["threshold"]
    curves = json.loads(job.storage.read_bytes(f"models/{done.model_version}/curves.json"))
    assert curves["best_round"] == manifest.best_iteration + 1
    assert curves["sets"]["test"]["roc"]["true_positive_rate"][-1] == 1


def test_same_data_parameters_and_seed_give_the_same_predictions(job: Job) -> None:
    hashes = {
        hashlib.sha256(job.predictions(job.train(threads=threads)).tobytes()).hexdigest() for threads in (1, 1, 2)
    }
    assert len(hashes) == 1
    assert hashlib.sha256(job.predictions(job.train(seed=1)).tobytes()).hexdigest() not in hashes


def test_threshold_is_fitted_on_the_validation_rows_not_on_the_test_rows(job: Job, storage: Storage) -> None:
    threshold = job.train().result["metrics"]["threshold"]
    path = storage.local(job.small.split.test.path)
    frame = pl.read_parquet(path)
    swapped = pl.when(pl.col("__label__") == "FAIL").then(pl.lit("PASS")).otherwise(pl.lit("FAIL")).alias("__label__")
    frame.with_columns(swapped).write_parquet(path)
    again = job.train().result
    assert again["metrics"]["threshold"] == threshold
    assert again["metrics"]["mcc"] < 0


def test_fixed_threshold_is_kept(job: Job) -> None:
    done = job.train(objective="fixed", threshold=0.3)
    assert done.result["metrics"]["threshold"] == 0.3
    assert (
        job.train(objective="cost", cost_false_positive=1.0, cost_false_negative=20.0).result["metrics"]["recall"] > 0.6
    )


def test_test_set_with_one_class_gives_nulls_and_a_warning(storage: Storage) -> None:
    job = Job(storage, write_small_split(storage, one_class_test=True))
    job.select()
    result = TrainingResult.model_validate(job.train().result)
    assert (
        result.metrics.precision is result.metrics.recall is result.metrics.f1_score is result.metrics.roc_auc is None
    )
    assert result.metrics.accuracy is not None
    assert any("one class" in warning for warning in result.warnings)
    assert any(entry.level == "WARNING" and "one class" in entry.message for entry in job.logs)


def test_a_single_failure_in_the_training_range_is_enough(storage: Storage) -> None:
    job = Job(storage, write_small_split(storage, rows=600, failure_rate=0.003))
    job.select()
    done = job.train()
    assert np.isfinite(job.predictions(done)).all()


@pytest.mark.parametrize(
    "path", ["splits/{split}/manifest.json", "datasets/{dataset}/features.json", "splits/{split}/train.parquet"]
)
def test_what_is_missing_is_named(job: Job, path: str) -> None:
    job.storage.remove(path.format(split=job.small.split.split_id, dataset=job.small.dataset.dataset_id))
    with pytest.raises(JobFailed, match="does not exist"):
        job.train()


def test_wrong_parameters_are_all_named(job: Job) -> None:
    with pytest.raises(JobFailed, match=r"max_depth.*; colour"):
        job.train(parameters={"max_depth": 0, "colour": "red"})


def test_training_set_with_one_class_fails_in_words(job: Job, tmp_path: Path) -> None:
    path = job.storage.local(job.small.split.train.path)
    pl.read_parquet(path).with_columns(pl.lit("PASS").alias("__label__")).write_parquet(path)
    with pytest.raises(JobFailed, match="one label"):
        job.train()


def test_texts_are_learnt_and_their_vocabulary_is_that_of_the_training_rows(storage: Storage) -> None:
    small = write_small_split(storage)
    texts = {"train": ["LA", "NYC", "once"], "test": ["LA", "NYC", "Oslo"], "simulation": ["Oslo"]}
    random = np.random.default_rng(1)
    names = ["city", "nobody", *small.dataset.features]
    columns = [Column(name=name, type="text", missing=0, constant=False) for name in ("city", "nobody")]
    dataset = small.dataset.model_copy(update={"features": names, "columns": [*columns, *small.dataset.columns]})
    storage.write_bytes(f"datasets/{dataset.dataset_id}/manifest.json", dataset.model_dump_json().encode())
    for name in ("train", "test", "simulation"):
        path = storage.local(getattr(small.split, name).path)
        frame = pl.read_parquet(path)
        failed = (frame["__label__"] == "FAIL").to_numpy()
        city = np.where(
            failed ^ (random.random(len(failed)) < 0.1),
            texts[name][0],
            random.choice(texts[name][1:2] or texts[name], len(failed)),
        )
        if name == "train":
            city[0] = "once"
        frame.with_columns(
            city=pl.Series(city), nobody=pl.Series([f"part-{i}" for i in range(len(failed))])
        ).write_parquet(path)
    selection = FeatureSelection(
        dataset_id=dataset.dataset_id,
        features=names[:3],
        gains=[3.0, 2.0, 1.0],
        considered=3,
        sampled_rows=9,
        seed=0,
        parameters={},
    )
    storage.write_bytes(features_path(dataset.dataset_id), selection.model_dump_json().encode())
    job = Job(storage, SmallSplit(dataset, small.split))
    done = job.train()
    assert done.model_version is not None
    bundle = load_bundle(storage, done.model_version)
    assert bundle.inputs is not None
    assert [(one.name, one.kind, one.values) for one in bundle.inputs.inputs] == [
        ("city", "category", ("LA", "NYC")),
        (names[2], "number", ()),
    ]
    assert "nobody" in bundle.manifest.ignored_features
    assert any("nobody" in entry.message for entry in job.logs)
    assert bundle.manifest.reference["city"].counts[-1] == 1  # the text that came once counts as unknown
    assert done.result["metrics"]["mcc"] > 0.6
    assert len(set(job.predictions(done).tolist())) > 1
