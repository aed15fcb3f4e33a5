"""Splits: the ML split and `/v1/splits`."""

from fastapi import APIRouter

from gateway.datasets.routes import range_dates
from gateway.datasets.splits import check, find_dataset, make_split, wait_for_features
from gateway.dependencies import Cursor, Limit, TheCommands, TheSettings, TheViews, TheWorkshop, Workspace
from gateway.errors import ObjectNotFound, documented
from gateway.web import problems
from gateway.web.style import shown_path
from schemas.http.shared import Page, SetFailures, SplitRequest, SplitResponse
from schemas.http.v1 import Split, SplitCreate
from schemas.manifests import SplitManifest
from storage.tables.ranges import FIELDS

router = APIRouter()
SPLIT_FAILURES = documented("invalid", "conflict", "unavailable", "full")


@router.post("/process/split-data", tags=["ML"], responses=SPLIT_FAILURES)
async def split_data(
    body: SplitRequest,
    workspace: Workspace,
    settings: TheSettings,
    workshop: TheWorkshop,
    views: TheViews,
    commands: TheCommands,
) -> SplitResponse:
    """Split a dataset into training, test and simulation sets by time. Waits for a running feature selection."""
    dates = {field: getattr(body, field) for field in FIELDS}
    dataset, ranges = check(await find_dataset(views, body.dataset_id, workspace), dates, problems.ml)
    await wait_for_features(views, commands, dataset, settings.feature_selection_wait_seconds)
    made = await make_split(
        workshop,
        commands,
        dataset,
        ranges,
        problems.ml,
        sample_fraction=body.sample_fraction,
        seed=body.seed,
        exclude=body.exclude,
    )
    return split_response(made, settings.storage_url)


def split_response(made: SplitManifest, storage_url: str) -> SplitResponse:
    """A split as the ML routes show it."""
    return SplitResponse(
        split_id=made.split_id,
        dataset_id=made.dataset_id,
        train_set_path=shown_path(storage_url, made.train.path),
        train_set_rows=made.train.rows,
        test_set_path=shown_path(storage_url, made.test.path),
        test_set_rows=made.test.rows,
        simulation_set_path=shown_path(storage_url, made.simulation.path),
        simulation_set_rows=made.simulation.rows,
        daily_distribution=made.daily_distribution,
        notices=made.notices,
        failures=SetFailures(train=made.train.failures, test=made.test.failures, simulation=made.simulation.failures),
    )


@router.post("/v1/splits", status_code=201, tags=["splits"], responses=SPLIT_FAILURES)
async def create_split(
    body: SplitCreate,
    workspace: Workspace,
    settings: TheSettings,
    workshop: TheWorkshop,
    views: TheViews,
    commands: TheCommands,
) -> Split:
    """Split a dataset. Waits for a running feature selection."""
    dataset, ranges = check(await find_dataset(views, body.dataset_id, workspace), range_dates(body), problems.v1)
    await wait_for_features(views, commands, dataset, settings.feature_selection_wait_seconds)
    made = await make_split(
        workshop,
        commands,
        dataset,
        ranges,
        problems.v1,
        sample_fraction=body.sample_fraction,
        seed=body.seed,
        exclude=body.exclude,
    )
    return Split(**dict(made))


@router.get("/v1/splits", tags=["splits"], responses=documented("invalid", "unavailable"))
async def list_splits(
    workspace: Workspace, views: TheViews, dataset_id: str | None = None, cursor: Cursor = None, limit: Limit = 50
) -> Page[Split]:
    """The workspace's splits, newest first."""
    page = await views.list_splits(workspace, cursor, limit, dataset_id=dataset_id)
    return Page(items=[Split(**dict(one)) for one in page.items], next_cursor=page.next_cursor)


@router.get("/v1/splits/{split_id}", tags=["splits"], responses=documented("not_found", "invalid", "unavailable"))
async def get_split(split_id: str, views: TheViews) -> Split:
    """A split's manifest."""
    made = await views.split(split_id)
    if made is None:
        raise ObjectNotFound("split", split_id)
    return Split(**dict(made))
