"""Commands about runs: simulate, watch, stop, pause, resume, speed, runs, predictions."""

from functools import partial
from typing import Annotated

import typer
from rich.live import Live

from client.blocking import Client
from client.command import show_runs
from client.command.data import Cursor, Limit
from client.command.terminal import Json, Terminal
from client.errors import Refused, RequestProblem, TaskFailed
from client.events import RunEvent
from schemas.http.runs import PredictionView, Run, RunCreate, RunStatistics
from schemas.ids import RUN_PREFIX
from schemas.messages import TERMINAL

RUNS = "Runs"
FASTEST = "max"
RunId = Annotated[str | None, typer.Argument(metavar="[RUN]", help="[default: the latest]")]


def speed_of(text: str) -> float | None:
    """`max` or rows per second."""
    if text == FASTEST:
        return None
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number of rows per second nor {FASTEST!r}") from None


def simulate(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Model version. [default: the champion, else the latest]")] = None,
    split: Annotated[str | None, typer.Option(help="[default: the latest]")] = None,
    rows_per_second: Annotated[str, typer.Option("--speed", help=f"Rows per second, or {FASTEST}.")] = "1",
    warmup_seconds: Annotated[float, typer.Option("--warmup", min=0.0, help="Seconds before the first row.")] = 10.0,
    lanes: Annotated[int, typer.Option(min=1, max=64, help="Partitions that the rows are spread over.")] = 1,
    watch: Annotated[bool, typer.Option(help="Watch it.")] = True,
    json: Json = False,
) -> None:
    """Replay a simulation set through Kafka and watch it being scored. Ctrl-C ends the watching, not the run."""
    request = RunCreate(
        model_version=model,
        split_id=split,
        rows_per_second=speed_of(rows_per_second),
        warmup_seconds=warmup_seconds,
        lanes=lanes,
    )
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        started = client.start_run(request)
        if watch:
            return follow(terminal, client, started, after=-1)
        terminal.show(started, lambda: show_runs.run(started))
        terminal.next_step(f"intelliinspect watch {started.run_id}", "shows it live")
    return None


def watch(
    context: typer.Context,
    run_id: RunId = None,
    after: Annotated[
        int | None,
        typer.Option(min=-1, help="Begin behind this row index. [default: the newest rows; with --json all]"),
    ] = None,
    json: Json = False,
) -> None:
    """Watch a run until it ends; with --json one event a line. Ctrl-C ends the watching, not the run."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        run = client.run(run_id or latest_run(client))
        newest = -1 if json else max(run.statistics.last_row_index - show_runs.SHOWN_ROWS, -1)
        follow(terminal, client, run, after=newest if after is None else after)


def follow(terminal: Terminal, client: Client, run: Run, *, after: int) -> None:
    """Show a run until it ends. Raises `TaskFailed` when it fails."""
    picture = show_runs.Picture(run)
    try:
        if terminal.json:
            for event in client.events(run.run_id, after=after):
                picture.take(event)
                terminal.show({"event": _kind(event)} | event.model_dump(mode="json"))
        elif (
            not terminal.out.is_terminal
        ):  # a pipe or a file: a line for each row as it comes, not one picture at the end
            for event in client.events(run.run_id, after=after):
                picture.take(event)
                if (told := show_runs.told(event)) is not None:
                    terminal.out.print(told, soft_wrap=True)
            terminal.out.print(show_runs.run(picture.run))
        else:
            with Live(picture, console=terminal.out, refresh_per_second=8, redirect_stdout=False):
                for event in client.events(run.run_id, after=after):
                    picture.take(event)
    except KeyboardInterrupt:
        terminal.tell(f"The run goes on. Stop it: intelliinspect stop {run.run_id}")
        terminal.tell(f"Watch it again: intelliinspect watch {run.run_id}")
        raise
    if picture.run.status == "FAILED":
        raise TaskFailed(run.run_id, "FAILED", picture.run.error or picture.run.message or "no reason given")


def _kind(event: RunEvent) -> str:
    kinds: dict[type, str] = {Run: "end", RunStatistics: "stats", PredictionView: "prediction"}
    return kinds.get(type(event), "status")


def latest_run(client: Client) -> str:
    """The workspace's latest run; refused when there is none."""
    found = client.runs(limit=1).items
    if not found:
        raise Refused(404, [RequestProblem("this workspace has no run yet: intelliinspect simulate")])
    return found[0].run_id


def stop(context: typer.Context, run_id: RunId = None, json: Json = False) -> None:
    """Stop a run. Its last numbers stay; stopping twice changes nothing."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        run = client.stop_run(run_id or latest_run(client))
        if run.status not in TERMINAL:
            run = client.wait_for_run(run.run_id, timeout_seconds=60)
        terminal.show(run, lambda: show_runs.run(run))


def pause(context: typer.Context, run_id: RunId = None, json: Json = False) -> None:
    """Hold a run where it is."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        run = client.pause_run(run_id or latest_run(client))
        terminal.show(run, lambda: show_runs.run(run))


def resume(context: typer.Context, run_id: RunId = None, json: Json = False) -> None:
    """Let a paused run go on."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        run = client.resume_run(run_id or latest_run(client))
        terminal.show(run, lambda: show_runs.run(run))


def run_and_value(first: str, second: str | None) -> tuple[str | None, str]:
    """`RUN VALUE`, `VALUE RUN` or `VALUE`: the run, null for the latest, and the value."""
    if second is None:
        return None, first
    return (second, first) if second.startswith(RUN_PREFIX) and not first.startswith(RUN_PREFIX) else (first, second)


def speed(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="[RUN]", help="[default: the latest]")],
    second: Annotated[str | None, typer.Argument(metavar="SPEED", help=f"Rows per second, or {FASTEST}.")] = None,
    json: Json = False,
) -> None:
    """Change a run's pace from its next row on."""
    run_id, pace = run_and_value(first, second)
    wanted = speed_of(pace)
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        run = client.set_speed(run_id or latest_run(client), wanted)
        terminal.show(run, lambda: f"{run.run_id}: {show_runs.pace(wanted)}")


def runs(
    context: typer.Context,
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Show this one.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: Json = False,
) -> None:
    """List the runs, or show one."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        if run_id is not None:
            one = client.run(run_id)
            return terminal.show(one, lambda: show_runs.run(one))
        page = client.runs(cursor=cursor, limit=limit)
        terminal.show(page, lambda: show_runs.runs(page))
    return None


def predictions(
    context: typer.Context,
    run_id: RunId = None,
    after: Annotated[int, typer.Option(min=-1, help="Begin behind this row index.")] = -1,
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most. [default: all there are]")] = None,
    json: Json = False,
) -> None:
    """Print the predictions of a run, as a table, or as one JSON document a line."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        for prediction in client.predictions(run_id or latest_run(client), after=after, limit=limit):
            terminal.show(prediction, partial(show_runs.line, prediction))


def register(app: typer.Typer) -> None:
    for command in (simulate, watch, stop, pause, resume, speed, runs, predictions):
        app.command(rich_help_panel=RUNS)(command)
