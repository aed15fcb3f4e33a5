"""Datasets: the ML upload and `/v1/datasets`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from gateway.datasets.ingest import store
from gateway.dependencies import Cursor, Limit, TheOutbox, TheSettings, TheViews, TheWorkshop, Workspace
from gateway.errors import Invalid, ObjectNotFound, documented
from gateway.web.problems import ml, v1
from gateway.web.style import pass_rate, shown_path
from schemas import ids
from schemas.http.shared import Page, StoreResponse
from schemas.http.v1 import (
    Dataset,
    DatasetColumns,
    DatasetPreview,
    DatasetSummary,
    DatasetTimeline,
    Range,
    Ranges,
    SetCount,
    SplitCounts,
    SuggestedSplit,
)
from schemas.manifests import DatasetManifest
from storage.tables.datasets import preview
from storage.tables.ranges import read_ranges, readable, show
from storage.tables.splits import check_sets, count_sets, suggest
from storage.tables.timeline import timeline
from storage.view.views import Views

UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "CSV, plain or gzip"},
                        "label": {"type": "string", "description": "label column; detected when left out"},
                        "pass_value": {"type": "string", "description": "the label's value that means PASS"},
                        "id_column": {"type": "string"},
                        "time_column": {"type": "string", "description": "`synthetic_timestamp` for no times"},
                        "time_format": {
                            "type": "string",
                            "description": "strptime, dd.MM.yyyy, dmy, epoch-ms, excel, elapsed-s, …",
                        },
                        "time_zone": {"type": "string", "description": "of times without one, such as Europe/Berlin"},
                        "encoding": {"type": "string"},
                        "separator": {"type": "string"},
                        "decimal": {"type": "string", "enum": [".", ","]},
                        "thousands": {"type": "string"},
                        "header": {"type": "string", "enum": ["yes", "no"]},
                        "na_values": {
                            "type": "string",
                            "description": "more words for missing; JSON list, or between commas",
                        },
                        "exclude": {
                            "type": "string",
                            "description": "columns that are no features; JSON list, or between commas",
                        },
                        "max_unread_share": {"type": "number", "minimum": 0, "maximum": 1},
                        "synthetic_start": {"type": "string", "format": "date-time"},
                        "synthetic_step_seconds": {"type": "number", "exclusiveMinimum": 0},
                    },
                }
            }
        },
    }
}
"""OpenAPI of an upload, which is read as a stream rather than by FastAPI."""
UPLOAD_FAILURES = documented("invalid", "too_large", "unavailable", "full")
READ_FAILURES = documented("not_found", "invalid", "unavailable")

router = APIRouter()


@router.post("/dataset/store", status_code=202, tags=["ML"], responses=UPLOAD_FAILURES, openapi_extra=UPLOAD)
async def store_dataset(
    request: Request,
    workspace: Workspace,
    settings: TheSettings,
    workshop: TheWorkshop,
    views: TheViews,
    outbox: TheOutbox,
) -> StoreResponse:
    """Store a CSV file as a new dataset and start its feature selection."""
    manifest = await store(request, workspace, settings, workshop, views, outbox)
    return StoreResponse(
        dataset_path=shown_path(settings.storage_url, manifest.path),
        dataset_id=manifest.dataset_id,
        task_id=ids.feature_selection_id(manifest.dataset_id),
        report=manifest.report,
    )


@router.post("/v1/datasets", status_code=201, tags=["datasets"], responses=UPLOAD_FAILURES, openapi_extra=UPLOAD)
async def create_dataset(
    request: Request,
    workspace: Workspace,
    settings: TheSettings,
    workshop: TheWorkshop,
    views: TheViews,
    outbox: TheOutbox,
) -> Dataset:
    """Store a CSV file as a new dataset and start its feature selection."""
    return _dataset(await store(request, workspace, settings, workshop, views, outbox))


@router.get("/v1/datasets", tags=["datasets"], responses=documented("invalid", "unavailable"))
async def list_datasets(
    workspace: Workspace, views: TheViews, cursor: Cursor = None, limit: Limit = 50
) -> Page[DatasetSummary]:
    """The workspace's datasets, newest first."""
    page = await views.list_datasets(workspace, cursor, limit)
    return Page(items=[_summary(manifest) for manifest in page.items], next_cursor=page.next_cursor)


@router.get("/v1/datasets/{dataset_id}", tags=["datasets"], responses=READ_FAILURES)
async def get_dataset(dataset_id: str, views: TheViews) -> Dataset:
    """A dataset's manifest."""
    return _dataset(await find(views, dataset_id))


@router.get("/v1/datasets/{dataset_id}/columns", tags=["datasets"], responses=READ_FAILURES)
async def get_columns(dataset_id: str, views: TheViews) -> DatasetColumns:
    """The file's columns."""
    manifest = await find(views, dataset_id)
    return DatasetColumns(dataset_id=dataset_id, columns=manifest.columns)


@router.get("/v1/datasets/{dataset_id}/preview", tags=["datasets"], responses=READ_FAILURES)
async def get_preview(
    dataset_id: str,
    views: TheViews,
    workshop: TheWorkshop,
    offset: Annotated[int, Query(ge=0, le=10_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> DatasetPreview:
    """Rows as stored."""
    manifest = await find(views, dataset_id)
    rows = (await workshop.look(preview, manifest, offset + limit))[offset:]
    columns = list(rows[0]) if rows else [column.name for column in manifest.columns]
    return DatasetPreview(
        dataset_id=dataset_id,
        columns=columns,
        rows=[list(row.values()) for row in rows],
        offset=offset,
        row_count=manifest.row_count,
    )


@router.get("/v1/datasets/{dataset_id}/timeline", tags=["datasets"], responses=READ_FAILURES)
async def get_timeline(
    dataset_id: str, views: TheViews, workshop: TheWorkshop, spans: Annotated[int, Query(ge=1, le=1000)] = 120
) -> DatasetTimeline:
    """How many records and failures there are in each of `spans` equal spans of time."""
    found = await workshop.look(timeline, await find(views, dataset_id), spans)
    return DatasetTimeline(
        dataset_id=dataset_id,
        start=found.start,
        step_seconds=found.step_seconds,
        rows=found.rows,
        failures=found.failures,
    )


@router.post("/v1/datasets/{dataset_id}/suggest-split", tags=["datasets"], responses=READ_FAILURES)
async def suggest_split(dataset_id: str, views: TheViews, workshop: TheWorkshop) -> SuggestedSplit:
    """Ranges that give 60/20/20 of the rows by time."""
    ranges = await workshop.look(suggest, await find(views, dataset_id))
    if isinstance(ranges, list):
        raise Invalid(ml(ranges))
    train, test, simulation = (
        Range(start=show(one.start), end=show(one.end)) for one in (ranges.train, ranges.test, ranges.simulation)
    )
    return SuggestedSplit(dataset_id=dataset_id, train=train, test=test, simulation=simulation)


@router.post("/v1/datasets/{dataset_id}/count-split", tags=["datasets"], responses=READ_FAILURES)
async def count_split(dataset_id: str, body: Ranges, views: TheViews, workshop: TheWorkshop) -> SplitCounts:
    """How many rows and failures each range holds, and every reason why a split with these ranges would be refused.
    Changes nothing."""
    dataset, dates = await find(views, dataset_id), range_dates(body)
    ranges = read_ranges(dates, first=dataset.first_timestamp, last=dataset.last_timestamp)
    known = readable(dates)
    counts, outside = await workshop.look(count_sets, dataset, known)
    wrong = [*(ranges if isinstance(ranges, list) else []), *check_sets(known, counts)]
    shown = {name: SetCount(rows=count.rows, failures=count.failures) for name, count in counts.items()}
    return SplitCounts(
        dataset_id=dataset_id,
        train=shown.get("train"),
        test=shown.get("test"),
        simulation=shown.get("simulation"),
        outside=outside,
        problems=v1(wrong),
    )


def range_dates(body: Ranges) -> dict[str, str | None]:
    """The six dates by their names in `storage.tables.ranges.FIELDS`."""
    sets: dict[str, Range] = {"train": body.train, "test": body.test, "simulation": body.simulation}
    return {f"{name}_{end}_date": getattr(one, end) for name, one in sets.items() for end in ("start", "end")}


async def find(views: Views, dataset_id: str) -> DatasetManifest:
    """The dataset; raises `ObjectNotFound`."""
    manifest = await views.dataset(dataset_id)
    if manifest is None:
        raise ObjectNotFound("dataset", dataset_id)
    return manifest


def _dataset(manifest: DatasetManifest) -> Dataset:
    return Dataset(**dict(manifest), feature_selection_task_id=ids.feature_selection_id(manifest.dataset_id))


def _summary(manifest: DatasetManifest) -> DatasetSummary:
    return DatasetSummary(
        dataset_id=manifest.dataset_id,
        workspace=manifest.workspace,
        file_name=manifest.file_name,
        file_size=manifest.file_size,
        created_at=manifest.created_at,
        row_count=manifest.row_count,
        column_count=manifest.column_count,
        feature_count=len(manifest.features),
        label=manifest.label.value,
        labels=manifest.labels,
        pass_rate_percentage=pass_rate(manifest.labels.pass_count, manifest.labels.fail_count),
        first_timestamp=manifest.first_timestamp,
        last_timestamp=manifest.last_timestamp,
        feature_selection_task_id=ids.feature_selection_id(manifest.dataset_id),
    )
