"""Trainings: accept one, and show how it stands."""

from typing import Any

import msgspec

from gateway.errors import Invalid, StateConflict, problem
from gateway.web.problems import ml
from gateway.web.style import CONTRACT, Dialect, shown_path
from gateway.writer import Commands, pending
from schemas import ids, topics
from schemas.http.shared import TaskStatus, TrainingStatus
from schemas.http.v1 import Training, TrainingOptions
from schemas.manifests import SplitManifest
from schemas.tasks import TaskState, TrainingSpec
from storage.tables.splits import check_excluded
from storage.view.views import Views

PATHS = ("model_path", "curves_path")
FIGURES = ("accuracy", "precision", "recall", "f1_score", "mcc", "roc_auc", "pr_auc", "threshold")
"""Of a training's metrics, those that are a number or undefined."""


async def start(views: Views, commands: Commands, workspace: str, options: TrainingOptions) -> TaskState:
    """Accept a training. Raises `StateConflict` without a split, `Invalid` for one that does not exist."""
    split = await _split(views, workspace, options.split_id)
    spec = TrainingSpec(
        dataset_id=split.dataset_id,
        split_id=split.split_id,
        parameters=options.parameters.model_dump(exclude_unset=True),
        objective=options.objective,
        threshold=options.threshold,
        cost_false_positive=options.cost_false_positive,
        cost_false_negative=options.cost_false_negative,
        seed=options.seed,
        exclude=await _excluded(views, split, options.exclude),
    )
    task = pending(ids.new_training_id(), "training", workspace, spec)
    await commands.accept(task, topics.TRAINING_COMMANDS)
    return task


async def _excluded(views: Views, split: SplitManifest, exclude: list[str]) -> list[str]:
    """The columns to leave out. Raises `Invalid` for one that the dataset does not have, and when none would be
    left."""
    dataset = await views.dataset(split.dataset_id) if exclude else None
    if dataset is not None and (wrong := check_excluded(dataset, [*split.excluded, *exclude])):
        raise Invalid(ml(wrong))
    return exclude


async def _split(views: Views, workspace: str, split_id: str | None) -> SplitManifest:
    split = await (views.latest_split(workspace) if split_id is None else views.split(split_id))
    if split is None and split_id is None:
        raise StateConflict("No split in this workspace: split a dataset first.", "no_split")
    if split is None:
        raise Invalid([problem(("body", "split_id"), f"No split {split_id!r:.80}.", "value_error.split_id")])
    return split


def task_status(task: TaskState, dialect: Dialect, storage_url: str) -> TaskStatus:
    """A task of any kind but a run, as the status routes show it."""
    return TaskStatus(
        task_id=task.task_id,
        status=dialect.word(task.status),
        progress=_progress(task, dialect),
        result=_result(task, dialect, storage_url),
        kind=task.kind,
        error=task.error,
    )


def training_status(task: TaskState, dialect: Dialect, storage_url: str) -> TrainingStatus:
    """A training as the status routes show it."""
    return TrainingStatus.model_validate(task_status(task, dialect, storage_url).model_dump())


def training(task: TaskState, storage_url: str) -> Training:
    """A training as `/v1` shows it."""
    return Training.model_validate(msgspec.structs.asdict(task) | {"result": _result(task, CONTRACT, storage_url)})


def _progress(task: TaskState, dialect: Dialect) -> dict[str, Any] | None:
    """How far it is; old clients look there for the reason of a failure, too."""
    if not dialect.old or task.status not in ("FAILED", "STOPPED"):
        return task.progress
    reason = task.error or ("It was cancelled." if task.status == "STOPPED" else "It failed; no reason is known.")
    return {"percent": 0.0} | (task.progress or {}) | {"status": reason}


def _result(task: TaskState, dialect: Dialect, storage_url: str) -> dict[str, Any] | None:
    if task.status != "COMPLETED" or task.result is None:
        return None
    shown = task.result | {name: shown_path(storage_url, task.result[name]) for name in PATHS if name in task.result}
    if dialect.old and task.kind == "training":
        figures = {name: dialect.figure(shown["metrics"].get(name)) for name in FIGURES}
        shown["metrics"] = shown["metrics"] | figures
        shown["training_chart"] = {
            name: [{"x": number, "y": point["y"]} for number, point in enumerate(points)]
            for name, points in shown["training_chart"].items()
        }
    return shown
