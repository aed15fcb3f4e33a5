"""The job of a training: a split and a feature selection in storage in, a model bundle out.

The training range gives the trees, and its end the best round and the threshold; the test range is read once, after all
is decided."""

import importlib
import json
import platform
import threading
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import msgspec
import numpy
import polars as pl
import xgboost
from pydantic import ValidationError

from models import golden
from models.bundle import CURVES, CURVES_IMAGE, MODEL, bundle_path, write_bundle
from models.kinds.base import Matrix
from models.kinds.xgboost import probability_fail
from rows.inputs import PREPARATION, ModelInputs, write_inputs
from schemas.ids import new_id
from schemas.manifests import DatasetManifest, FeatureSelection, Metrics, ModelManifest, SplitManifest
from schemas.tasks import TaskState, TrainingSpec
from schemas.training import TrainingParameters
from storage.objects.files import Storage
from trainer.child.reporting import EVALUATED_PERCENT, EVALUATING, LOADING, SAVING, TRAINED_PERCENT, Reporter
from trainer.child.wire import BackendSettings, Done
from trainer.errors import JobFailed
from trainer.feature_selection import features_path, usable_features
from trainer.fit.backends import plan_for
from trainer.fit.choosing import ColumnChoice
from trainer.fit.data import SetReader, compact, read_manifest
from trainer.fit.fitting import Validated, fit_and_validate, fit_in_stretches, fitting_parameters, held_out, score_rows
from trainer.fit.thresholds import choose_threshold
from trainer.fit.training import Fitted, total_gains
from trainer.fit.validation import Validation
from trainer.fit.vocabulary import categories_of, fit_inputs, learnable
from trainer.report.curves import curves, training_chart
from trainer.report.evaluation import Scored
from trainer.report.judging import doubt, judge
from trainer.report.reference import reference_histograms


class Subject(NamedTuple):
    """What a training is about."""

    spec: TrainingSpec
    parameters: TrainingParameters
    dataset: DatasetManifest
    split: SplitManifest
    selection: FeatureSelection
    features: list[str]
    """Those that the selection kept, or all that may be chosen from."""


class TrainedModel(NamedTuple):
    """A fitted model with its threshold, and how it does; `validation`: on training rows that it, or its like, has not
    learnt from."""

    fitted: Fitted
    validation: Scored
    test: Scored
    validation_metrics: Metrics
    test_metrics: Metrics
    warnings: list[str]

    @property
    def threshold(self) -> float:
        """P(FAIL) from which a row is called FAIL."""
        return self.test_metrics.threshold


def train(storage: Storage, task: TaskState, threads: int, backend: BackendSettings, reporter: Reporter) -> Done:
    """Train, evaluate, write the bundle. Raises `JobFailed`, `StorageUnavailable`."""
    reporter.phase(LOADING, 0)
    subject = read_subject(storage, task)
    threading.Thread(
        target=importlib.import_module, args=["trainer.report.drawing"], daemon=True
    ).start()  # slow; done while trees grow
    candidates = _open_training_set(storage, subject, reporter)
    choice = ColumnChoice(
        candidates.inputs,
        len(subject.selection.features),
        subject.selection.sampled_rows,
        subject.selection.seed,
        threads,
    )
    count, fails = min(choice.kept, len(candidates.features)), candidates.fails
    parameters = fitting_parameters(subject.parameters, len(fails), count)
    reporter.log("INFO", f"Training on {len(fails)} rows of {count} features", failures=int(fails.sum()))
    plan = plan_for(len(fails), count, backend)
    reporter.log("INFO", plan.reason, backend=plan.backend)
    validation = held_out(fails, parameters, plan, choice, subject.spec.seed)
    rows = _choose_columns(storage, subject, candidates, choice, validation, reporter)
    inputs = rows.inputs
    if plan.backend == "memory":
        rows.load()
    reference = {
        name: histogram for some, part in rows.columns() for name, histogram in reference_histograms(part, some).items()
    }
    if validation is None:
        validated = fit_in_stretches(rows, candidates, choice, parameters, subject.spec.seed, threads, reporter)
    else:
        validated = fit_and_validate(rows, validation, parameters, plan, backend, subject.spec.seed, threads, reporter)
    golden_rows = numpy.vstack([rows.read(some) for some in golden.chosen(len(rows.fails))])
    rows.unload()
    reporter.phase(EVALUATING, TRAINED_PERCENT)
    fitted = validated.fitted
    model = _evaluate(storage, subject, inputs, validated, plan.batch_bytes)
    for warning in model.warnings:
        reporter.log("WARNING", warning)
    reporter.phase(SAVING, EVALUATED_PERCENT)
    gains = total_gains(fitted.booster, inputs.names)
    manifest = ModelManifest(
        model_version=new_id("model"),
        workspace=task.workspace,
        task_id=task.task_id,
        dataset_id=subject.dataset.dataset_id,
        dataset_sha256=subject.dataset.sha256,
        split_id=subject.split.split_id,
        created_at=datetime.now(UTC),
        features=inputs.names,
        ignored_features=sorted(set(subject.dataset.features) - set(inputs.names)),
        label=subject.dataset.label.value,
        pass_value=subject.dataset.labels.pass_value,
        threshold=model.threshold,
        threshold_objective=subject.spec.objective,
        best_iteration=fitted.best_iteration,
        parameters=parameters.model_dump(),
        seed=subject.spec.seed,
        validation_metrics=model.validation_metrics,
        test_metrics=model.test_metrics,
        feature_gains=gains,
        reference=reference,
        library_versions={
            "xgboost": xgboost.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
        warnings=model.warnings,
        doubt=doubt(model.test_metrics),
        files={},
    )
    manifest = write_bundle(storage, manifest, _files(manifest, model, inputs, golden_rows))
    reporter.log(
        "INFO", f"Model {manifest.model_version} is complete", threshold=model.threshold, mcc=model.test_metrics.mcc
    )
    return Done(
        result=_result(manifest, model), model_version=manifest.model_version, manifest=manifest.model_dump_json()
    )


def read_subject(storage: Storage, task: TaskState) -> Subject:
    """Read and check everything but the rows."""
    spec = msgspec.convert(task.spec, TrainingSpec)
    try:
        parameters = TrainingParameters.model_validate(spec.parameters)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise JobFailed(f"The parameters are wrong: {problems}.") from error
    split = read_manifest(storage, f"splits/{spec.split_id}/manifest.json", SplitManifest, f"The split {spec.split_id}")
    dataset = read_manifest(
        storage, f"datasets/{split.dataset_id}/manifest.json", DatasetManifest, f"The dataset {split.dataset_id}"
    )
    what = f"The feature selection of the dataset {dataset.dataset_id}"
    selection = read_manifest(storage, features_path(dataset.dataset_id), FeatureSelection, what)
    present = set(dataset.features) - set(split.excluded) - set(spec.exclude)
    chosen_from = usable_features(dataset) if selection.considered > len(selection.features) else selection.features
    features = [name for name in chosen_from if name in present]
    if not features:
        raise JobFailed(f"{what} names no column of the dataset that is not excluded.")
    return Subject(spec, parameters, dataset, split, selection, features)


def _open_training_set(storage: Storage, subject: Subject, reporter: Reporter) -> SetReader:
    """The training set with the vocabularies that its texts give."""
    try:
        lazy = pl.scan_parquet(storage.local(subject.split.train.path))
    except FileNotFoundError as error:
        raise _missing(subject, "train") from error
    inputs = learnable(fit_inputs(lazy, subject.features, categories_of(subject.dataset)), reporter)
    if not inputs.names:
        raise JobFailed(
            "The selected features are texts, none of which comes often enough in the training set to be learnt."
        )
    return _open(storage, subject, "train", inputs)


def _choose_columns(
    storage: Storage,
    subject: Subject,
    candidates: SetReader,
    choice: ColumnChoice,
    validation: Validation | None,
    reporter: Reporter,
) -> SetReader:
    """The training set with the columns that the rows which learn would choose: all of them, or those that do not
    judge."""
    if not choice.open:
        return candidates
    among = range(len(candidates.fails)) if validation is None else compact(validation.fitting)
    columns = (
        choice.best(candidates.read(among), candidates.fails)
        if validation is None
        else choice.of_sample(candidates, among)
    )
    if not len(columns):
        raise JobFailed(
            f"None of the {len(candidates.features)} columns varies in the training set: there is nothing to learn"
            " from."
        )
    reporter.log(
        "INFO", f"Chose {len(columns)} of {len(candidates.features)} columns by the {len(among)} rows that learn"
    )
    return _open(storage, subject, "train", choice.only(columns))


def _open(storage: Storage, subject: Subject, name: str, inputs: ModelInputs) -> SetReader:
    try:
        return SetReader(storage, getattr(subject.split, name).path, inputs)
    except FileNotFoundError as error:
        raise _missing(subject, name) from error


def _missing(subject: Subject, name: str) -> JobFailed:
    return JobFailed(f"The {name} set of the split {subject.split.split_id} does not exist in the storage.")


def _evaluate(
    storage: Storage, subject: Subject, inputs: ModelInputs, validated: Validated, batch_bytes: int
) -> TrainedModel:
    spec, fitted, unseen = subject.spec, validated.fitted, validated.unseen
    choice = choose_threshold(
        unseen.table,
        spec.objective,
        fixed=spec.threshold,
        cost_false_positive=spec.cost_false_positive,
        cost_false_negative=spec.cost_false_negative,
    )
    rows = _open(storage, subject, "test", inputs)
    test = score_rows(fitted, rows, range(len(rows.fails)), batch_bytes)
    one_class = None if test.both_classes else "the test set has one class only: metrics that need both are null"
    figures = judge(test, choice.threshold)
    warnings = [text for text in (doubt(figures), validated.warning, choice.warning, one_class) if text]
    return TrainedModel(fitted, unseen, test, judge(unseen, choice.threshold), figures, warnings)


def _files(manifest: ModelManifest, model: TrainedModel, inputs: ModelInputs, golden_rows: Matrix) -> dict[str, bytes]:
    from trainer.report.drawing import draw_curves  # imported beside the training, by then

    history, best = model.fitted.history, model.fitted.best_iteration
    title = f"{manifest.model_version}, {len(manifest.features)} features, seed {manifest.seed}"
    numbers = curves(history, best, model.threshold, model.validation, model.test)
    return ({PREPARATION: write_inputs(inputs.inputs)} if inputs.categories else {}) | {
        MODEL: bytes(model.fitted.booster.save_raw("ubj")),
        golden.NAME: golden.encode(partial(probability_fail, model.fitted.booster, best), golden_rows),
        CURVES: json.dumps(numbers).encode(),
        CURVES_IMAGE: draw_curves(
            title, history, best, model.threshold, model.validation, model.test, manifest.feature_gains
        ),
    }


def _result(manifest: ModelManifest, model: TrainedModel) -> dict[str, object]:
    """`result` of `GET /process/train/status` (docs/design/contract.md), paths below the storage root."""
    metrics = model.test_metrics.model_dump()
    return {
        "confusion_matrix": metrics.pop("confusion_matrix"),
        "metrics": metrics,
        "training_chart": training_chart(model.fitted.history),
        "model_path": bundle_path(manifest.model_version, MODEL),
        "curves_path": bundle_path(manifest.model_version, CURVES_IMAGE),
        "model_version": manifest.model_version,
        "warnings": model.warnings,
        "doubt": doubt(model.test_metrics),
    }
