"""The simulation routes of docs/design/contract.md and, with the same answers, those of the .NET group."""

from typing import Annotated

from fastapi import APIRouter, Body

from gateway.dependencies import TheChanges, TheCommands, TheDialect, TheSettings, TheViews, TheWorkshop, Workspace
from gateway.errors import documented, ill_formed_task_id, unknown_task
from gateway.runs import control as runs
from gateway.runs.answers import simulation_status
from schemas import ids
from schemas.http.runs import SimulationStart, SimulationStatus, SimulationStopped
from schemas.http.shared import TaskAccepted
from storage.view.run_view import RunView
from storage.view.views import Views

router = APIRouter()
START_FAILURES = documented("invalid", "conflict", "unavailable")
FAILURES = documented("invalid", "unavailable")
DOTNET = documented("dotnet_invalid")


@router.post("/simulation/start", tags=["ML"], responses=START_FAILURES)
@router.post("/api/Simulation/start", tags=[".NET"], responses=START_FAILURES | DOTNET)
async def start_simulation(
    workspace: Workspace,
    views: TheViews,
    commands: TheCommands,
    workshop: TheWorkshop,
    body: Annotated[SimulationStart | None, Body()] = None,
) -> TaskAccepted:
    """Start a run: the rows of the simulation set are replayed and scored, by default by the latest model at 1
    row/s."""
    task = await runs.start(views, commands, workshop, workspace, body or SimulationStart(), latest=True)
    return TaskAccepted(task_id=task.task_id)


@router.post("/simulation/stop/{task_id}", tags=["ML"], responses=FAILURES)
@router.post("/api/Simulation/stop/{task_id}", tags=[".NET"], responses=FAILURES | DOTNET)
async def stop_simulation(
    task_id: str, views: TheViews, commands: TheCommands, changes: TheChanges, settings: TheSettings
) -> SimulationStopped:
    """Stop a run. Stopping twice, or a run that is over, is the same answer."""
    await runs.stop(views, commands, changes, await _find(views, task_id), settings.stop_wait_seconds)
    return SimulationStopped(task_id=task_id)


@router.get("/simulation/status/{task_id}", tags=["ML"], responses=FAILURES)
@router.get("/api/Simulation/status/{task_id}", tags=[".NET"], responses=FAILURES | DOTNET)
async def get_simulation_status(task_id: str, views: TheViews, dialect: TheDialect) -> SimulationStatus:
    """How a run stands: its newest prediction and the running statistics."""
    return simulation_status(await _find(views, task_id), dialect)


async def _find(views: Views, task_id: str) -> RunView:
    if not ids.is_task_id(task_id):
        raise ill_formed_task_id()
    run = await views.run(task_id)
    if run is None or run.task is None or run.task.kind != "run":
        raise unknown_task()
    return run
