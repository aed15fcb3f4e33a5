"""Commands that play a run again: seek, step, retry, attempts, replay, diff, export."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from client.blocking import Client
from client.command import show_play, show_runs
from client.command.runs import FASTEST, RUNS, RunId, follow, latest_run, run_and_value, speed_of
from client.command.terminal import Json, Terminal
from schemas.http.runs import ReplayCreate, Retry

Attempt = Annotated[int | None, typer.Option(min=1, help="Which attempt. [default: the newest]")]
TIMES = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"]


def seek(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="[RUN]", help="[default: the latest]")],
    second: Annotated[str | None, typer.Argument(metavar="ROW", help="The next row to be sent.")] = None,
    json: Json = False,
) -> None:
    """Go on at another row: rows between are passed over; back, a new attempt begins there."""
    run_id, row = run_and_value(first, second)
    row_index = whole(row, "a row index", 0)
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        run = client.seek_run(run_id or latest_run(client), row_index)
        terminal.show(run, lambda: show_runs.run(run))


def step(
    context: typer.Context,
    first: Annotated[str | None, typer.Argument(metavar="[RUN]", help="[default: the latest]")] = None,
    second: Annotated[str | None, typer.Argument(metavar="[ROWS]", help="How many rows.")] = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=1000, help="How many rows.")] = 1,
    json: Json = False,
) -> None:
    """Send the next row of a paused run, or so many; it stays paused."""
    run_id = first
    if second is not None or (first is not None and first.isdecimal()):
        run_id, count = run_and_value(first or "", second)
        rows = whole(count, "a number of rows", 1)
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        run = client.step_run(run_id or latest_run(client), rows)
        terminal.show(run, lambda: show_runs.run(run))


def whole(text: str, what: str, least: int) -> int:
    """The whole number that was typed; wrong usage says so."""
    if not text.isdecimal() or int(text) < least:
        raise typer.BadParameter(f"{text!r} is not {what}, {least} or above")
    return int(text)


def retry(
    context: typer.Context,
    run_id: RunId = None,
    from_row: Annotated[int, typer.Option(min=0, help="The first row to be sent.")] = 0,
    rows_per_second: Annotated[
        str | None, typer.Option("--speed", help=f"Rows per second, or {FASTEST}. [default: as before]")
    ] = None,
    watch: Annotated[bool, typer.Option(help="Watch it.")] = True,
    json: Json = False,
) -> None:
    """Try a run that has ended again, as a new attempt; earlier ones stay readable."""
    given = {} if rows_per_second is None else {"rows_per_second": speed_of(rows_per_second)}
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        run = client.retry_run(run_id or latest_run(client), Retry(from_row=from_row, **given))
        if watch:
            return follow(terminal, client, run, after=-1)
        return terminal.show(run, lambda: show_runs.run(run))


def attempts(context: typer.Context, run_id: RunId = None, json: Json = False) -> None:
    """List the attempts of a run with their figures."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        found = client.attempts(run_id or latest_run(client))
        terminal.show(found, lambda: show_play.attempts(found))


def replay(
    context: typer.Context,
    run_id: RunId = None,
    attempt: Attempt = None,
    from_row: Annotated[int | None, typer.Option(min=0, help="First row index of the original.")] = None,
    from_time: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Rows put on the topic since then, UTC without an offset.")
    ] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="Only rows in this partition of rows.v1.")] = None,
    from_offset: Annotated[int | None, typer.Option(min=0, help="First offset of the range.")] = None,
    to_offset: Annotated[int | None, typer.Option(min=0, help="First offset behind the range.")] = None,
    model: Annotated[str | None, typer.Option(help="Model version for all rows. [default: the one each names]")] = None,
    rows_per_second: Annotated[
        str | None, typer.Option("--speed", help=f"Rows per second, or {FASTEST}. [default: as the original]")
    ] = None,
    lanes: Annotated[int | None, typer.Option(min=1, max=64, help="[default: as the original]")] = None,
    watch: Annotated[bool, typer.Option(help="Watch it.")] = True,
    json: Json = False,
) -> None:
    """Send recorded rows of a run, or of another system, through the topic again, as a new run."""
    given: dict[str, Any] = {
        "attempt": attempt,
        "from_row": from_row,
        "from_time": from_time,
        "partition": partition,
        "from_offset": from_offset,
        "to_offset": to_offset,
        "model_version": model,
        "lanes": lanes,
    }
    request = {name: value for name, value in given.items() if value is not None}
    if rows_per_second is not None:
        request["rows_per_second"] = speed_of(rows_per_second)
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        run = client.replay_run(run_id or latest_run(client), ReplayCreate(**request))
        if watch:
            return follow(terminal, client, run, after=-1)
        terminal.show(run, lambda: show_runs.run(run))
        return terminal.next_step(f"intelliinspect watch {run.run_id}", "shows it live")


def diff(
    context: typer.Context,
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    other_id: Annotated[str, typer.Argument(metavar="OTHER")],
    attempt: Attempt = None,
    other_attempt: Annotated[
        int | None, typer.Option(min=1, help="Which attempt of OTHER. [default: the newest]")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many flipped rows are listed.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on behind a former page.")] = None,
    json: Json = False,
) -> None:
    """Compare two runs over all their rows: what flipped, every metric, the scores."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        found = client.diff_runs(
            run_id, other_id, attempt=attempt, other_attempt=other_attempt, limit=limit, cursor=cursor
        )
        terminal.show(found, lambda: show_play.diff(found))


def export(
    context: typer.Context,
    run_id: RunId = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Zip file to write. [default: RUN-ATTEMPT.zip]")
    ] = None,
    attempt: Attempt = None,
    json: Json = False,
) -> None:
    """Write a run to a zip: predictions as CSV and JSON lines, and a manifest."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        run = client.run(run_id or latest_run(client), attempt=attempt)
        target = out or Path(f"{run.run_id}-{run.attempt}.zip")
        saved = partial(_saved, client, run.run_id, run.attempt)
        document = saved(target)
        terminal.show(document, lambda: f"{document['path']}  {document['bytes']:,} bytes")


def _saved(client: Client, run_id: str, attempt: int, target: Path) -> dict[str, Any]:
    path = client.export_run(run_id, target, attempt=attempt)
    return {"path": str(path), "bytes": path.stat().st_size}


def register(app: typer.Typer) -> None:
    for command in (seek, step, retry, attempts, replay, diff, export):
        app.command(rich_help_panel=RUNS)(command)
