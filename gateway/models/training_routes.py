"""Trainings and the status of any task: the ML routes and `/v1/trainings`."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Body, Query

from gateway.dependencies import Cursor, Limit, TheCommands, TheDialect, TheSettings, TheViews, Workspace
from gateway.errors import ObjectNotFound, documented, ill_formed_task_id, unknown_task
from gateway.models import trainings
from gateway.web.style import CONTRACT
from schemas import ids, topics
from schemas.http.shared import Page, TaskAccepted, TaskStatus, TrainingStatus
from schemas.http.v1 import TaskLogEntry, Training, TrainingCreate, TrainingOptions
from schemas.messages import TERMINAL
from schemas.tasks import TaskState
from storage.view.views import Views

router = APIRouter()
START_FAILURES = documented("invalid", "conflict", "unavailable")
STATUS_FAILURES = documented("invalid", "unavailable")
READ_FAILURES = documented("not_found", "invalid", "unavailable")


@router.post("/process/train/start", tags=["ML"], responses=START_FAILURES)
async def start_training(
    workspace: Workspace, views: TheViews, commands: TheCommands, body: Annotated[TrainingOptions | None, Body()] = None
) -> TaskAccepted:
    """Start a training on a split, by default the workspace's latest."""
    task = await trainings.start(views, commands, workspace, body or TrainingOptions())
    return TaskAccepted(task_id=task.task_id)


@router.get("/process/train/status/{task_id}", tags=["ML"], responses=STATUS_FAILURES)
async def training_status(task_id: str, views: TheViews, dialect: TheDialect, settings: TheSettings) -> TrainingStatus:
    """How a training stands."""
    task = await _task(views, task_id)
    if task.kind != "training":
        raise unknown_task()
    return trainings.training_status(task, dialect, settings.storage_url)


@router.get("/process/task/status/{task_id}", tags=["ML"], responses=STATUS_FAILURES)
async def task_status(task_id: str, views: TheViews, dialect: TheDialect, settings: TheSettings) -> TaskStatus:
    """How a task of any kind stands."""
    return trainings.task_status(await _task(views, task_id), dialect, settings.storage_url)


@router.get("/v1/tasks/{task_id}", tags=["trainings"], responses=READ_FAILURES)
async def get_task(task_id: str, views: TheViews, settings: TheSettings) -> TaskStatus:
    """How a task of any kind stands, in plain words whatever the dialects of the older routes."""
    task = await views.task(task_id) if ids.is_task_id(task_id) else None
    if task is None:
        raise ObjectNotFound("task", task_id)
    return trainings.task_status(task, CONTRACT, settings.storage_url)


@router.post("/v1/trainings", status_code=202, tags=["trainings"], responses=START_FAILURES)
async def create_training(
    workspace: Workspace,
    views: TheViews,
    commands: TheCommands,
    settings: TheSettings,
    body: Annotated[TrainingCreate | None, Body()] = None,
) -> Training:
    """Start a training on a split, by default the workspace's latest."""
    task = await trainings.start(views, commands, workspace, body or TrainingOptions())
    return trainings.training(task, settings.storage_url)


@router.get("/v1/trainings", tags=["trainings"], responses=documented("invalid", "unavailable"))
async def list_trainings(
    workspace: Workspace, views: TheViews, settings: TheSettings, cursor: Cursor = None, limit: Limit = 50
) -> Page[Training]:
    """The workspace's trainings, newest first."""
    page = await views.list_tasks(workspace, "training", cursor, limit)
    items = [trainings.training(task, settings.storage_url) for task in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get("/v1/trainings/{task_id}", tags=["trainings"], responses=READ_FAILURES)
async def get_training(task_id: str, views: TheViews, settings: TheSettings) -> Training:
    """A training."""
    return trainings.training(await _training(views, task_id), settings.storage_url)


@router.post("/v1/trainings/{task_id}/cancel", status_code=202, tags=["trainings"], responses=READ_FAILURES)
async def cancel_training(task_id: str, views: TheViews, commands: TheCommands, settings: TheSettings) -> Training:
    """Ask for a training's end; one that has ended stays as it is. Its status says when it has stopped."""
    task = await _training(views, task_id)
    if task.status not in TERMINAL:
        await commands.order(topics.TRAINING_COMMANDS, task_id, "cancel")
    return trainings.training(task, settings.storage_url)


@router.get("/v1/trainings/{task_id}/logs", tags=["trainings"], responses=READ_FAILURES)
async def training_logs(
    task_id: str,
    views: TheViews,
    after: Annotated[int, Query(ge=-1, lt=2**63)] = -1,
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> Page[TaskLogEntry]:
    """A training's log from behind the cursor `after`, oldest first; `next_cursor` continues it, also when nothing is
    there yet."""
    await _training(views, task_id)
    entries = await views.logs(task_id, after, limit)
    items = [TaskLogEntry.model_validate(msgspec.structs.asdict(entry)) for _, entry in entries]
    return Page(items=items, next_cursor=str(entries[-1][0] if entries else after))


async def _task(views: Views, task_id: str) -> TaskState:
    if not ids.is_task_id(task_id):
        raise ill_formed_task_id()
    task = await views.task(task_id)
    if task is None:
        raise unknown_task()
    return task


async def _training(views: Views, task_id: str) -> TaskState:
    task = await views.task(task_id) if ids.is_task_id(task_id) else None
    if task is None or task.kind != "training":
        raise ObjectNotFound("training", task_id)
    return task
