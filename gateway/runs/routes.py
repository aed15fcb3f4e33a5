"""Runs by id: `/v1/runs`."""

import json
import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from gateway.dependencies import (
    TheChanges,
    TheCommands,
    TheComparisons,
    TheFeed,
    ThePages,
    TheRanges,
    TheSettings,
    TheViews,
    TheWorkshop,
    Workspace,
)
from gateway.errors import Invalid, documented, problem
from gateway.predictions.comparison_answers import diff_answer
from gateway.predictions.comparisons import all_rows, begun
from gateway.predictions.exports import export
from gateway.runs import control as runs
from gateway.runs import replays
from gateway.runs.answers import attempt_answer, run_answer
from gateway.runs.events import Stream
from schemas import ids
from schemas.http.runs import (
    Attempts,
    PredictionPage,
    ReplayCreate,
    Retry,
    Run,
    RunCreate,
    RunDiff,
    Seek,
    SpeedSet,
    Step,
)
from schemas.http.shared import Page
from schemas.shown import attachment
from storage.view import cursors
from storage.view.cursors import After
from storage.view.run_view import run_view

router = APIRouter(prefix="/v1/runs", tags=["runs"])
FAILURES = documented("not_found", "invalid", "unavailable")
ORDER_FAILURES = documented("not_found", "invalid", "conflict", "unavailable")
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": (
            "Events `status`, `prediction` (id: row index), `stats`, and at last `end`; `gone` when rows are not kept"
            " any more."
        ),
    },
    204: {"description": "The run is over and its last event was received."},
}
AfterText = Annotated[
    str,
    Query(
        max_length=4000,
        pattern=f"^(?:{cursors.TEXT.pattern})$",
        description=(
            "row index behind which to begin, -1: at the first row; or `next_after` of a run that another system feeds"
        ),
    ),
]
Attempt = Annotated[int | None, Query(ge=1, lt=1 << 31, description="which attempt; default: the newest")]
LAST_EVENT_ID = re.compile(rf"(?:([1-9][0-9]{{0,8}}):)?({cursors.TEXT.pattern})", re.ASCII)


@router.post("", status_code=201, responses=documented("invalid", "conflict", "unavailable"))
async def create_run(
    body: RunCreate, workspace: Workspace, views: TheViews, commands: TheCommands, workshop: TheWorkshop
) -> Run:
    """Start a run: the rows of a split's simulation set are replayed and scored."""
    task = await runs.start(views, commands, workshop, workspace, body)
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
async def get_run(run_id: str, views: TheViews, attempt: Attempt = None) -> Run:
    """A run with its statistics, as it is or as an earlier attempt was."""
    return run_answer(await runs.find(views, run_id, attempt))


@router.get("/{run_id}/attempts", responses=FAILURES)
async def list_attempts(run_id: str, views: TheViews) -> Attempts:
    """All attempts of a run with their statistics, newest first. A seek back and a retry begin the next one."""
    await runs.find(views, run_id)
    return Attempts(items=[attempt_answer(run) for run in await views.attempts(run_id)])


@router.post("/{run_id}/stop", responses=ORDER_FAILURES)
async def stop_run(
    run_id: str, views: TheViews, commands: TheCommands, changes: TheChanges, settings: TheSettings
) -> Run:
    """Stop a run; waits a little for its final numbers. A run that is over stays as it is."""
    return run_answer(
        await runs.stop(views, commands, changes, await runs.find(views, run_id), settings.stop_wait_seconds)
    )


@router.post("/{run_id}/pause", responses=ORDER_FAILURES)
async def pause_run(run_id: str, views: TheViews, commands: TheCommands, changes: TheChanges) -> Run:
    """Hold a run where it is; waits a little until every row that was sent is counted."""
    run = await runs.find(views, run_id)
    await runs.order(commands, run, "pause")
    return run_answer(await runs.wait_for(views, changes, run, runs.paused, runs.ORDER_WAIT_SECONDS))


@router.post("/{run_id}/resume", responses=ORDER_FAILURES)
async def resume_run(run_id: str, views: TheViews, commands: TheCommands, changes: TheChanges) -> Run:
    """Let a paused run go on."""
    run = await runs.find(views, run_id)
    await runs.order(commands, run, "resume")
    return run_answer(
        await runs.wait_for(views, changes, run, lambda now: now.status != "PAUSED", runs.ORDER_WAIT_SECONDS)
    )


@router.post("/{run_id}/step", responses=ORDER_FAILURES)
async def step_run(
    run_id: str, views: TheViews, commands: TheCommands, changes: TheChanges, body: Step | None = None
) -> Run:
    """Send some rows of a paused run at once; it stays paused. Waits a little until they are counted."""
    rows = (body or Step()).rows
    run = await runs.find(views, run_id)
    runs.allowed(run, "step")
    runs.check_read(run)
    await runs.order(commands, run, "step", {"rows": rows})
    return run_answer(await runs.wait_for(views, changes, run, runs.stepped(run, rows), runs.ORDER_WAIT_SECONDS))


@router.post("/{run_id}/seek", responses=ORDER_FAILURES)
async def seek_run(run_id: str, body: Seek, views: TheViews, commands: TheCommands, changes: TheChanges) -> Run:
    """Go on at another row. Forward, the rows between are counted as passed over; back, a new attempt begins at that
    row.

    A paused run stays paused. Earlier attempts stay readable.
    """
    run = await runs.find(views, run_id)
    runs.allowed(run, "seek")
    runs.check_row(run, body.row_index)
    await runs.order(commands, run, "seek", {"row_index": body.row_index})
    return run_answer(
        await runs.wait_for(views, changes, run, runs.sought(run, body.row_index), runs.ORDER_WAIT_SECONDS)
    )


@router.post("/{run_id}/retry", responses=documented("not_found", "invalid", "conflict", "expired", "unavailable"))
async def retry_run(
    run_id: str,
    views: TheViews,
    commands: TheCommands,
    changes: TheChanges,
    ranges: TheRanges,
    workshop: TheWorkshop,
    body: Retry | None = None,
) -> Run:
    """Try a run that has ended again, from any row: a new attempt of the same run. Earlier attempts stay readable.

    A replay whose copy of the rows is removed reads them from the topic again; when they are not there either it is
    410."""
    body = body or Retry()
    run = await runs.find(views, run_id)
    runs.allowed(run, "retry")
    runs.check_row(run, body.from_row)
    await replays.check_rows(workshop, ranges, run)
    arguments: dict[str, object] = {"row_index": body.from_row}
    if "rows_per_second" in body.model_fields_set:
        arguments["rows_per_second"] = body.rows_per_second
    await runs.order(commands, run, "retry", arguments)
    return run_answer(
        await runs.wait_for(views, changes, run, lambda now: now.attempt > run.attempt, runs.ORDER_WAIT_SECONDS)
    )


@router.post(
    "/{run_id}/replay",
    status_code=201,
    responses=documented("not_found", "invalid", "conflict", "expired", "unavailable"),
)
async def replay_run(
    run_id: str,
    workspace: Workspace,
    views: TheViews,
    commands: TheCommands,
    ranges: TheRanges,
    body: ReplayCreate | None = None,
) -> Run:
    """Send recorded rows of a run through the topic again, as a new run: all of them, or a range; with another model
    version if wanted.

    The rows get the indices 0, 1, … in the order of the original and keep their sample ids, times and labels; each is
    sent once. Nothing of the original changes. Rows of other systems can be replayed too. Until the rows are read,
    `total_rows` is null."""
    wanted = body or ReplayCreate()
    run = await runs.find(views, run_id, wanted.attempt)
    task = await replays.order(views, commands, ranges, workspace, run, wanted)
    view = run_view(task.task_id, task, ())
    assert view is not None
    return run_answer(view)


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
async def list_predictions(
    run_id: str,
    views: TheViews,
    pages: ThePages,
    after: AfterText = "-1",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    attempt: Attempt = None,
) -> Response:
    """Predictions in row order, in runs of other systems within each lane. None is missing before `next_after`: while a
    run goes on, ask again with it."""
    known = ids.RUN_ID.fullmatch(run_id)
    page = (
        await pages.page(run_id, _place(run_id, after), limit, attempt=attempt or 1, fixed=attempt is not None)
        if known
        else None
    )
    if page is None or (page.run.task is not None and page.run.task.kind != "run"):
        raise await runs.missing(views, run_id, attempt)
    items = b",".join(value for _, value in page.rows)  # as they are in Kafka: already JSON in the documented shape
    following = page.next_after if isinstance(page.next_after, int) else cursors.written(page.next_after)
    rest = b'],"next_after":%s,"complete":%s}' % (
        json.dumps(following).encode(),
        b"true" if page.complete else b"false",
    )
    return Response(b'{"items":[' + items + rest, media_type="application/json")


@router.get("/{run_id}/events", responses=FAILURES | EVENTS, response_class=StreamingResponse)
async def stream_events(
    run_id: str,
    views: TheViews,
    feed: TheFeed,
    after: AfterText = "-1",
    attempt: Attempt = None,
    last_event_id: Annotated[
        str | None, Header(description="id of the last event received; goes before `after`")
    ] = None,
    last_event_id_of_query: Annotated[
        str | None,
        Query(
            alias="lastEventId", description="the same, for clients that cannot set a header; the header goes before it"
        ),
    ] = None,
) -> Response:
    """Follow a run by server-sent events: each prediction once, in row order, from any row on. Close the connection at
    `end` and `gone`.

    A client that comes back with the id of the last event of a run that is over gets 204, by which browsers end their
    reconnecting. An `id` is a row index, from the second attempt on `attempt:row index`. When the next attempt begins
    the stream goes on with its first row; with `attempt` it keeps to that one and ends with it.
    """
    run = await runs.find(views, run_id, attempt)
    where = ("header", "Last-Event-ID") if last_event_id else ("query", "lastEventId")
    came_back = last_event_id or last_event_id_of_query
    resumed, place = _resume_at(run_id, came_back, run.attempt, after, where)
    if attempt is not None and resumed != attempt:
        raise _no_event_id(f"This is an event of attempt {resumed}, not {attempt}.", where)
    if (
        came_back
        and run.terminal
        and resumed == run.attempt
        and await feed.nothing_left(run_id, resumed, place, fixed=attempt is not None)
    ):
        return Response(status_code=204)
    stream = Stream(feed, run_id, place, attempt=resumed, fixed=attempt is not None)
    return StreamingResponse(
        stream.events(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get(
    "/{run_id}/diff/{other_id}", responses=documented("not_found", "conflict", "expired", "invalid", "unavailable")
)
async def diff_runs(
    run_id: str,
    other_id: str,
    views: TheViews,
    comparisons: TheComparisons,
    attempt: Attempt = None,
    other_attempt: Attempt = None,
    only: Annotated[
        Literal["flipped", "pass_to_fail", "fail_to_pass"], Query(description="which rows are listed")
    ] = "flipped",
    cursor: Annotated[
        str | None, Query(max_length=20, pattern="^[0-9]+$", description="`next_cursor` of the former page")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> RunDiff:
    """Compare run a with run b, exactly and over all rows. Runs of one split are joined by row index, others by sample
    id in the order of occurrence. Of a run that goes on, as far as it is now."""
    a, b = await runs.find(views, run_id, attempt), await runs.find(views, other_id, other_attempt)
    comparison = await comparisons.compare(a, b)
    return diff_answer(a, b, comparison, only, -1 if cursor is None else int(cursor), limit)


@router.get(
    "/{run_id}/export",
    responses=documented("not_found", "expired", "invalid", "unavailable")
    | {
        200: {
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
            "description": "A zip.",
        }
    },
    response_class=StreamingResponse,
)
async def export_run(run_id: str, views: TheViews, pages: ThePages, attempt: Attempt = None) -> StreamingResponse:
    """A run as a zip: `predictions.csv`, `predictions.jsonl` and `manifest.json` (the run, its statistics, model and
    source, and what the files hold). Of a run that goes on, as far as it is now."""
    run = await runs.find(views, run_id, attempt)
    answer = run_answer(run)
    model = await views.model(answer.model_version) if answer.model_version else None
    rows = await begun(all_rows(pages, run))  # what cannot be had is said before the zip begins
    headers = {"Content-Disposition": attachment(f"{run_id}-{run.attempt}.zip")}
    return StreamingResponse(export(answer, model, rows), media_type="application/zip", headers=headers)


def _place(run_id: str, text: str) -> After:
    """The place behind which to begin; several row indices are places of runs that other systems feed only."""
    place = cursors.read(text)
    if place is None or not (isinstance(place, int) or not ids.is_task_id(run_id)):
        raise Invalid([problem(("query", "after"), "This is no row index below 2**53.", "value_error.after")])
    return place


def _resume_at(
    run_id: str, last_event_id: str | None, attempt: int, after: str, where: tuple[str, str]
) -> tuple[int, After]:
    """The attempt and the place behind which to go on."""
    if not last_event_id:
        return attempt, _place(run_id, after)
    found = LAST_EVENT_ID.fullmatch(last_event_id)
    place = cursors.read(found[2]) if found else None
    if found and place is not None and place != -1 and (isinstance(place, int) or not ids.is_task_id(run_id)):
        return int(found[1] or 1), place
    raise _no_event_id("This is no id of an event: a row index, or attempt:row index.", where)


def _no_event_id(detail: str, where: tuple[str, str]) -> Invalid:
    return Invalid([problem(where, detail, "value_error.last_event_id")])
