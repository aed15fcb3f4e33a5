"""Runs by id: `/v1/runs`."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from gateway import runs
from gateway.dependencies import TheChanges, TheCommands, TheFeed, ThePages, TheSettings, TheViews, Workspace
from gateway.errors import Invalid, documented, problem
from gateway.events import Stream
from gateway.run_answers import run_answer
from schemas import ids
from schemas.api import Page
from schemas.api_runs import PredictionPage, Run, RunCreate, SpeedSet
from storage.run_view import run_view

router = APIRouter(prefix="/v1/runs", tags=["runs"])
FAILURES = documented("not_found", "invalid", "unavailable")
ORDER_FAILURES = documented("not_found", "invalid", "conflict", "unavailable")
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "Events `status`, `prediction` (id: row index), `stats`, and at last `end`; `gone` when rows are not kept any more.",
    }
}
After = Annotated[int, Query(ge=-1, lt=1 << 53, description="row index behind which to begin; -1: at the first row")]
ORDER_WAIT_SECONDS = 2.0


@router.post("", status_code=201, responses=documented("invalid", "conflict", "unavailable"))
async def create_run(body: RunCreate, workspace: Workspace, views: TheViews, commands: TheCommands) -> Run:
    """Start a run: the rows of a split's simulation set are replayed and scored."""
    task = await runs.start(views, commands, workspace, body)
    view = run_view(task.task_id, task, ())
    assert view is not None
    return run_answer(view)


@router.get("", responses=documented("invalid", "unavailable"))
async def list_runs(
    workspace: Workspace,
    views: TheViews,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the former page")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Page[Run]:
    """The workspace's runs, newest first."""
    page = await views.list_runs(workspace, cursor, limit)
    return Page(items=[run_answer(run) for run in page.items], next_cursor=page.next_cursor)


@router.get("/{run_id}", responses=FAILURES)
async def get_run(run_id: str, views: TheViews) -> Run:
    """A run with its statistics."""
    return run_answer(await runs.find(views, run_id))


@router.post("/{run_id}/stop", responses=ORDER_FAILURES)
async def stop_run(run_id: str, views: TheViews, commands: TheCommands, changes: TheChanges, settings: TheSettings) -> Run:
    """Stop a run; waits a little for its final numbers. A run that is over stays as it is."""
    return run_answer(await runs.stop(views, commands, changes, await runs.find(views, run_id), settings.stop_wait_seconds))


@router.post("/{run_id}/pause", responses=ORDER_FAILURES)
async def pause_run(run_id: str, views: TheViews, commands: TheCommands, changes: TheChanges) -> Run:
    """Hold a run where it is."""
    run = await runs.find(views, run_id)
    await runs.order(commands, run, "pause")
    return run_answer(await runs.wait_for(views, changes, run, lambda now: now.status == "PAUSED" or now.terminal, ORDER_WAIT_SECONDS))


@router.post("/{run_id}/resume", responses=ORDER_FAILURES)
async def resume_run(run_id: str, views: TheViews, commands: TheCommands, changes: TheChanges) -> Run:
    """Let a paused run go on."""
    run = await runs.find(views, run_id)
    await runs.order(commands, run, "resume")
    return run_answer(await runs.wait_for(views, changes, run, lambda now: now.status != "PAUSED", ORDER_WAIT_SECONDS))


@router.post("/{run_id}/speed", status_code=202, responses=ORDER_FAILURES)
async def set_speed(run_id: str, body: SpeedSet, views: TheViews, commands: TheCommands) -> Run:
    """Change a run's pace from its next row on."""
    run = await runs.find(views, run_id)
    await runs.order(commands, run, "speed", {"rows_per_second": body.rows_per_second})
    return run_answer(run)


@router.get(
    "/{run_id}/predictions",
    responses=documented("not_found", "expired", "invalid", "unavailable") | {200: {"model": PredictionPage}},
    response_class=Response,
)
async def list_predictions(run_id: str, pages: ThePages, after: After = -1, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    """Predictions in row order. None is missing before `next_after`: while a run goes on, ask again with it."""
    page = await pages.page(run_id, after, limit) if ids.RUN_ID.fullmatch(run_id) else None
    if page is None or (page.run.task is not None and page.run.task.kind != "run"):
        raise runs.unknown(run_id)
    items = b",".join(value for _, value in page.rows)  # as they are in Kafka: already JSON in the documented shape
    rest = b'],"next_after":%d,"complete":%s}' % (page.next_after, b"true" if page.complete else b"false")
    return Response(b'{"items":[' + items + rest, media_type="application/json")


@router.get("/{run_id}/events", responses=FAILURES | EVENTS, response_class=StreamingResponse)
async def stream_events(
    run_id: str,
    views: TheViews,
    feed: TheFeed,
    after: After = -1,
    last_event_id: Annotated[str | None, Header(description="row index of the last event received; goes before `after`")] = None,
) -> StreamingResponse:
    """Follow a run by server-sent events: each prediction once, in row order, from any row on. Close the connection at `end` and `gone`."""
    run = await runs.find(views, run_id)
    stream = Stream(feed, run_id, _resume_at(last_event_id, after), attempt=run.attempt)
    return StreamingResponse(
        stream.events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )


def _resume_at(last_event_id: str | None, after: int) -> int:
    if not last_event_id:
        return after
    if last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) < 16:
        return int(last_event_id)
    raise Invalid([problem(("header", "Last-Event-ID"), "This is no row index.", "value_error.last_event_id")])
