"""The job of a training: a split and a feature selection in storage in, a model bundle out.

The training range gives the trees, and its end the best round and the threshold; the test range is read once, after all is decided.
"""

import importlib
import json
import platform
import threading
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy
import xgboost
from pydantic import ValidationError

from schemas.ids import new_id
from schemas.manifests import DatasetManifest, FeatureSelection, Metrics, ModelManifest, SplitManifest
from schemas.tasks import TaskState, TrainingSpec
from schemas.training import TrainingParameters
from storage.bundles import CURVES, CURVES_IMAGE, MODEL, bundle_path, probability_fail, write_bundle
from storage.files import Storage
from trainer.backends import Plan, fit_as_planned, plan_for
from trainer.curves import curves, training_chart
from trainer.data import Numbers, SetReader, compact, labels, read_manifest
from trainer.errors import JobFailed
from trainer.evaluation import Scored, evaluate
from trainer.feature_selection import features_path
from trainer.reference import reference_histograms
from trainer.reporting import EVALUATED_PERCENT, EVALUATING, LOADING, SAVING, TRAINED_PERCENT, TRAINING, Reporter
from trainer.thresholds import choose_threshold
from trainer.training import Fitted, total_gains
from trainer.validation import Labels, Validation, hold_out
from trainer.wire import BackendSettings, Done


class Inputs(NamedTuple):
    """What a training is about."""

    spec: TrainingSpec
    parameters: TrainingParameters
    dataset: DatasetManifest
    split: SplitManifest
    features: list[str]


class Model(NamedTuple):
    """A fitted model with its threshold, and how it does."""

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
    inputs = read_inputs(storage, task)
    threading.Thread(target=importlib.import_module, args=["trainer.drawing"], daemon=True).start()  # slow; done while trees grow
    rows = _open(storage, inputs, "train")
    reporter.log("INFO", f"Training on {len(rows.fails)} rows of {len(inputs.features)} features", failures=int(rows.fails.sum()))
    validation = _hold_out(rows.fails, inputs)
    plan = plan_for(rows, backend)
    reporter.log("INFO", plan.reason, backend=plan.backend)
    if plan.backend == "memory":
        rows.load()
    reference = {name: histogram for names, part in rows.columns() for name, histogram in reference_histograms(part, names).items()}
    fitted, validated = _fit(rows, validation, inputs, plan, threads, backend, reporter)
    rows.unload()
    reporter.phase(EVALUATING, TRAINED_PERCENT)
    model = _evaluate(storage, inputs, fitted, validated, validation.warning, plan.batch_bytes)
    for warning in model.warnings:
        reporter.log("WARNING", warning)
    reporter.phase(SAVING, EVALUATED_PERCENT)
    gains = total_gains(fitted.booster, inputs.features)
    manifest = ModelManifest(
        model_version=new_id("model"),
        workspace=task.workspace,
        task_id=task.task_id,
        dataset_id=inputs.dataset.dataset_id,
        dataset_sha256=inputs.dataset.sha256,
        split_id=inputs.split.split_id,
        created_at=datetime.now(UTC),
        features=inputs.features,
        ignored_features=sorted(set(inputs.dataset.features) - set(inputs.features)),
        label=inputs.dataset.label.value,
        pass_value=inputs.dataset.labels.pass_value,
        threshold=model.threshold,
        threshold_objective=inputs.spec.objective,
        best_iteration=fitted.best_iteration,
        parameters=inputs.parameters.model_dump(),
        seed=inputs.spec.seed,
        validation_metrics=model.validation_metrics,
        test_metrics=model.test_metrics,
        feature_gains=gains,
        reference=reference,
        library_versions={"xgboost": xgboost.__version__, "numpy": numpy.__version__, "python": platform.python_version()},
        warnings=model.warnings,
        files={},
    )
    manifest = write_bundle(storage, manifest, _files(manifest, model))
    reporter.log("INFO", f"Model {manifest.model_version} is complete", threshold=model.threshold, mcc=model.test_metrics.mcc)
    return Done(result=_result(manifest, model), model_version=manifest.model_version, manifest=manifest.model_dump_json())


def read_inputs(storage: Storage, task: TaskState) -> Inputs:
    """Read and check everything but the rows."""
    spec = msgspec.convert(task.spec, TrainingSpec)
    try:
        parameters = TrainingParameters.model_validate(spec.parameters)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise JobFailed(f"The parameters are wrong: {problems}.") from error
    split = read_manifest(storage, f"splits/{spec.split_id}/manifest.json", SplitManifest, f"The split {spec.split_id}")
    dataset = read_manifest(storage, f"datasets/{split.dataset_id}/manifest.json", DatasetManifest, f"The dataset {split.dataset_id}")
    what = f"The feature selection of the dataset {dataset.dataset_id}"
    selection = read_manifest(storage, features_path(dataset.dataset_id), FeatureSelection, what)
    present = set(dataset.features) - set(split.excluded) - set(spec.exclude)
    features = [name for name in selection.features if name in present]
    if not features:
        raise JobFailed(f"{what} names no column of the dataset that is not excluded.")
    return Inputs(spec, parameters, dataset, split, features)


def _open(storage: Storage, inputs: Inputs, name: str) -> SetReader:
    try:
        return SetReader(storage, getattr(inputs.split, name).path, inputs.features)
    except FileNotFoundError as error:
        raise JobFailed(f"The {name} set of the split {inputs.split.split_id} does not exist in the storage.") from error


def _hold_out(fails: Labels, inputs: Inputs) -> Validation:
    try:
        return hold_out(fails, inputs.parameters.validation_fraction, inputs.spec.seed)
    except ValueError as error:
        raise JobFailed("The training set needs PASS and FAIL rows, but all of its rows have one label.") from error


def _fit(
    rows: SetReader, validation: Validation, inputs: Inputs, plan: Plan, threads: int, backend: BackendSettings, reporter: Reporter
) -> tuple[Fitted, Scored]:
    fitting, held_out = compact(validation.fitting), compact(validation.held_out)
    fitted = fit_as_planned(
        plan,
        rows,
        fitting,
        held_out,
        inputs.parameters,
        backend,
        seed=inputs.spec.seed,
        threads=threads,
        on_round=reporter.rounds(TRAINING),
        warn=lambda message: reporter.log("WARNING", message),
    )
    reporter.log("INFO", f"Best of {len(fitted.history.train_loss)} boosting rounds: {fitted.best_iteration + 1}")
    return fitted, _score(fitted, rows, held_out, plan.batch_bytes)


def _evaluate(storage: Storage, inputs: Inputs, fitted: Fitted, validated: Scored, warning: str | None, batch_bytes: int) -> Model:
    spec = inputs.spec
    choice = choose_threshold(
        validated.table,
        spec.objective,
        fixed=spec.threshold,
        cost_false_positive=spec.cost_false_positive,
        cost_false_negative=spec.cost_false_negative,
    )
    rows = _open(storage, inputs, "test")
    test = _score(fitted, rows, range(len(rows.fails)), batch_bytes)
    one_class = None if test.both_classes else "the test set has one class only: metrics that need both are null"
    warnings = [text for text in (warning, choice.warning, one_class) if text]
    return Model(fitted, validated, test, evaluate(validated, choice.threshold), evaluate(test, choice.threshold), warnings)


def _score(fitted: Fitted, rows: SetReader, chosen: Numbers, batch_bytes: int) -> Scored:
    parts = [probability_fail(fitted.booster, fitted.best_iteration, matrix) for _, matrix in rows.batches(chosen, batch_bytes)]
    probabilities = numpy.concatenate(parts) if parts else numpy.empty(0, numpy.float32)
    return Scored.of(probabilities, labels(rows.fails, chosen))


def _files(manifest: ModelManifest, model: Model) -> dict[str, bytes]:
    from trainer.drawing import draw_curves  # imported beside the training, by then

    history, best = model.fitted.history, model.fitted.best_iteration
    title = f"{manifest.model_version}, {len(manifest.features)} features, seed {manifest.seed}"
    numbers = curves(history, best, model.threshold, model.validation, model.test)
    return {
        MODEL: bytes(model.fitted.booster.save_raw("ubj")),
        CURVES: json.dumps(numbers).encode(),
        CURVES_IMAGE: draw_curves(title, history, best, model.threshold, model.validation, model.test, manifest.feature_gains),
    }


def _result(manifest: ModelManifest, model: Model) -> dict[str, object]:
    """`result` of `GET /process/train/status` (CONTRACT §1), paths below the storage root."""
    metrics = model.test_metrics.model_dump()
    return {
        "confusion_matrix": metrics.pop("confusion_matrix"),
        "metrics": metrics,
        "training_chart": training_chart(model.fitted.history),
        "model_path": bundle_path(manifest.model_version, MODEL),
        "curves_path": bundle_path(manifest.model_version, CURVES_IMAGE),
        "model_version": manifest.model_version,
        "warnings": model.warnings,
    }
