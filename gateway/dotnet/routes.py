"""The .NET routes (docs/design/contract.md): camelCase, 400 instead of 422, their own words. Simulation:
`gateway.runs.simulation_routes`."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request

from gateway.datasets.ingest import store
from gateway.datasets.routes import UPLOAD
from gateway.datasets.split_routes import split_response
from gateway.datasets.splits import check, check_dates, make_split, wait_for_features
from gateway.dependencies import TheCommands, TheDialect, TheOutbox, TheSettings, TheViews, TheWorkshop, Workspace
from gateway.errors import BadUpload, Invalid, NoStatus, documented, problem
from gateway.models import trainings
from gateway.web import problems
from gateway.web.style import pass_rate, reading_notices, size_text, time_text
from schemas import ids
from schemas.http import shared as api
from schemas.http.dotnet import RangesRequest, RangesValid, SplitAnswer, UploadResponse
from schemas.http.shared import TaskAccepted, TrainingStatus
from schemas.http.v1 import TrainingOptions
from schemas.manifests import DatasetManifest
from storage.tables.ranges import NAMES, DateRanges
from storage.view.views import Views

router = APIRouter(prefix="/api", tags=[".NET"])
NO_DATASET = "Dataset metadata not found. Please upload a dataset first."
NO_FILE = "No file uploaded."
EMPTY = "CSV is empty."
PLAIN_TEXT: dict[int | str, dict[str, Any]] = {
    400: {
        "content": {"text/plain": {"schema": {"type": "string"}}},
        "description": "What is wrong with the file, a line each.",
    }
}


@router.post(
    "/Dataset/upload", responses=PLAIN_TEXT | documented("too_large", "unavailable", "full"), openapi_extra=UPLOAD
)
async def upload(
    request: Request,
    workspace: Workspace,
    settings: TheSettings,
    workshop: TheWorkshop,
    views: TheViews,
    outbox: TheOutbox,
) -> UploadResponse:
    """Store a CSV file as a new dataset and start its feature selection."""
    try:
        manifest = await store(request, workspace, settings, workshop, views, outbox)
    except Invalid as error:
        raise BadUpload("\n".join(dict.fromkeys(map(_upload_message, error.problems)))) from error
    return UploadResponse(
        number_of_records=manifest.row_count,
        number_of_columns=manifest.column_count + manifest.time.synthetic,
        pass_rate_percentage=pass_rate(manifest.labels.pass_count, manifest.labels.fail_count),
        first_timestamp=time_text(manifest.first_timestamp),
        last_timestamp=time_text(manifest.last_timestamp),
        file_name=manifest.file_name,
        file_size=size_text(manifest.file_size),
        dataset_id=manifest.dataset_id,
        task_id=ids.feature_selection_id(manifest.dataset_id),
        timestamps_are_synthetic=manifest.time.synthetic,
        notices=reading_notices(manifest),
    )


def _upload_message(one: api.Problem) -> str:
    if one.loc[0] == "header" or one.msg == "Field required":
        return NO_FILE
    if one.type == "missing":  # the contract's sentence alone, unless a file did come, in another part
        return f"{NO_FILE} {one.msg}" if one.msg.startswith("The file came in") else NO_FILE
    return EMPTY if one.type in ("value_error.csv_empty", "value_error.csv_header_only") else one.msg


@router.post("/Dataset/validate-ranges", responses=documented("dotnet_invalid", "unavailable"))
async def validate_ranges(body: RangesRequest, workspace: Workspace, views: TheViews) -> RangesValid:
    """Check three ranges against the workspace's latest dataset."""
    await _check(views, workspace, body)
    return RangesValid()


@router.post("/Dataset/split-data", responses=documented("dotnet_invalid", "conflict", "unavailable", "full"))
async def split_data(
    body: RangesRequest,
    workspace: Workspace,
    settings: TheSettings,
    workshop: TheWorkshop,
    views: TheViews,
    commands: TheCommands,
) -> SplitAnswer:
    """Split the workspace's latest dataset. Waits for a running feature selection."""
    dataset, ranges = await _check(views, workspace, body)
    await wait_for_features(views, commands, dataset, settings.feature_selection_wait_seconds)
    made = await make_split(
        workshop, commands, dataset, ranges, problems.dotnet, sample_fraction=1.0, seed=0, exclude=[]
    )
    return SplitAnswer.model_validate(split_response(made, settings.storage_url).model_dump())


async def _check(views: Views, workspace: str, body: RangesRequest) -> tuple[DatasetManifest, DateRanges]:
    """The dataset and ranges that are fine, or `Invalid` with all messages in their order."""
    dates = {f"{name}_{end}_date": getattr(body, f"{name}_{end}") for name in NAMES for end in ("start", "end")}
    dataset = await views.latest_dataset(workspace)
    if dataset is not None:
        return check(dataset, dates, problems.dotnet)
    missing = [problem(("body",), NO_DATASET, "value_error.no_dataset")]
    try:
        check_dates(dates, problems.dotnet)
    except Invalid as error:
        missing += error.problems
    raise Invalid(missing)


@router.post("/Training/start", responses=documented("dotnet_invalid", "conflict", "unavailable"))
async def start_training(
    workspace: Workspace, views: TheViews, commands: TheCommands, body: Annotated[TrainingOptions | None, Body()] = None
) -> TaskAccepted:
    """Start a training on a split, by default the workspace's latest."""
    task = await trainings.start(views, commands, workspace, body or TrainingOptions())
    return TaskAccepted(task_id=task.task_id)


@router.get("/Training/status/{task_id}", responses=documented("dotnet_invalid", "dotnet_not_found", "unavailable"))
async def training_status(task_id: str, views: TheViews, dialect: TheDialect, settings: TheSettings) -> TrainingStatus:
    """How a training stands."""
    task = await views.task(task_id) if ids.is_task_id(task_id) else None
    if task is None or task.kind != "training":
        raise NoStatus(f"No status found for task ID: {task_id}")
    return trainings.training_status(task, dialect, settings.storage_url)
