"""Commands about data: upload, split, datasets."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from client.blocking import Client
from client.command import show
from client.command.terminal import Json, Terminal
from client.errors import Refused, RequestProblem
from client.upload import UploadOptions
from schemas.http.v1 import Dataset, Range, SplitCreate

DATA = "Data and models"
MOST_QUESTIONS = 6
Cursor = Annotated[str | None, typer.Option(help="Go on where the former list ended.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="How many at most.")]


def upload(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, plain or gzip.")],
    label: Annotated[str | None, typer.Option(help="Label column. [default: detected]")] = None,
    pass_value: Annotated[
        str | None, typer.Option(help="The label's value that means PASS. [default: detected]")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Column that names a row. [default: detected]")] = None,
    time_column: Annotated[str | None, typer.Option(help="Column with the rows' times. [default: detected]")] = None,
    time_format: Annotated[
        str | None, typer.Option(help="How times are written: %d.%m.%Y %H:%M, dmy, epoch-ms, excel, elapsed-s …")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Zone of times that name none, such as Europe/Berlin. [default: UTC]")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Such as cp1252. [default: detected]")] = None,
    separator: Annotated[str | None, typer.Option(help="One of , ; | tab space. [default: detected]")] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal sign, . or ,. [default: detected]")] = None,
    thousands: Annotated[str | None, typer.Option(help="Sign that groups thousands. [default: detected]")] = None,
    header: Annotated[
        str | None, typer.Option(help="yes or no: whether the first line names the columns. [default: detected]")
    ] = None,
    na_values: Annotated[
        list[str] | None, typer.Option("--na-values", "--na-value", help="A word for missing; repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A column that is no feature; repeatable.")] = None,
    max_unread_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of a column that may be no number, or no time.")
    ] = None,
    synthetic_start: Annotated[str | None, typer.Option(help="First time, where the file has none.")] = None,
    synthetic_step_seconds: Annotated[
        float | None, typer.Option(help="Seconds between two rows, where the file has no times.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the features are ranked.")] = True,
    json: Json = False,
) -> None:
    """Upload a CSV file as a new dataset and rank its features. What cannot be told from the file is asked, at a
    terminal."""
    given = {
        "label": label,
        "pass_value": pass_value,
        "id_column": id_column,
        "time_column": time_column,
        "time_format": time_format,
        "time_zone": time_zone,
        "encoding": encoding,
        "separator": separator,
        "decimal": decimal,
        "thousands": thousands,
        "header": header,
        "na_values": na_values or None,
        "exclude": exclude or None,
        "max_unread_share": max_unread_share,
        "synthetic_start": synthetic_start,
        "synthetic_step_seconds": synthetic_step_seconds,
    }
    options = UploadOptions(**{name: value for name, value in given.items() if value is not None})  # type: ignore[typeddict-item]
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        stored = _send_asking(terminal, client, file, options)
        if wait:
            terminal.wait_for(client, stored.feature_selection_task_id, "ranking features")
        terminal.show(stored, lambda: show.dataset(stored))
        terminal.next_step("intelliinspect split", f"makes training, test and simulation sets of {stored.dataset_id}")


def _send_asking(terminal: Terminal, client: Client, file: Path, options: UploadOptions) -> Dataset:
    """Send the file; at a terminal ask for the settings that it is refused for want of, and send it again."""
    for _ in range(MOST_QUESTIONS):
        try:
            return _send(terminal, client, file, options)
        except Refused as refused:
            wanted = next((one for problem in refused.problems if (one := _setting(problem))), None)
            if wanted is None or terminal.json or not sys.stdin.isatty():
                raise
            terminal.explain(refused)
            answer = typer.prompt(f"{wanted} (empty: give up)", default="", show_default=False).strip()
            if not answer:
                raise
            options[wanted] = answer  # type: ignore[literal-required]
    return _send(terminal, client, file, options)


def _setting(problem: RequestProblem) -> str | None:
    """The setting that would answer a problem."""
    if problem.type == "value_error.label_missing":
        return "label"
    name = problem.field.removeprefix("body.")
    return name if name in UploadOptions.__annotations__ else None


def _send(terminal: Terminal, client: Client, file: Path, options: UploadOptions) -> Dataset:
    with terminal.bytes_bar() as bar:
        sending = bar.add_task(f"uploading {escape(file.name)}", total=file.stat().st_size)

        def progress(sent: int, total: int) -> None:
            if sent == total:
                bar.update(sending, completed=sent, description="reading, checking and storing")
            else:
                bar.update(sending, completed=sent)

        return client.upload(file, progress=progress, **options)


def split(
    context: typer.Context,
    dataset_id: Annotated[str | None, typer.Argument(help="[default: the latest]")] = None,
    train_start: Annotated[
        str | None, typer.Option(help="ISO 8601; a bare date means the whole day. All six, or none.")
    ] = None,
    train_end: Annotated[str | None, typer.Option()] = None,
    test_start: Annotated[str | None, typer.Option()] = None,
    test_end: Annotated[str | None, typer.Option()] = None,
    simulation_start: Annotated[str | None, typer.Option()] = None,
    simulation_end: Annotated[str | None, typer.Option()] = None,
    sample_fraction: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the rows, stratified.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    exclude: Annotated[list[str] | None, typer.Option(help="A feature that the sets leave out; repeatable.")] = None,
    suggest: Annotated[bool, typer.Option("--suggest", help="Only show what 60/20/20 by time would be.")] = False,
    json: Json = False,
) -> None:
    """Split a dataset by time; without dates 60/20/20 of the rows."""
    dates = (train_start, train_end, test_start, test_end, simulation_start, simulation_end)
    if any(dates) and not all(dates):
        raise typer.BadParameter("give all six dates, or none for 60/20/20 of the rows")
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        wanted = dataset_id or latest_dataset(client)
        if suggest:
            suggested = client.suggest_split(wanted)
            return terminal.show(suggested, lambda: show.ranges(suggested))
        if all(dates):
            ends = [date or "" for date in dates]
            train, test, simulation = (Range(start=ends[i], end=ends[i + 1]) for i in (0, 2, 4))
        else:
            found = client.suggest_split(wanted)
            train, test, simulation = found.train, found.test, found.simulation
        request = SplitCreate(
            dataset_id=wanted,
            train=train,
            test=test,
            simulation=simulation,
            sample_fraction=sample_fraction,
            seed=seed,
            exclude=exclude or [],
        )
        with terminal.percent_bar() as bar:
            bar.add_task("splitting", total=None, detail="")
            made = client.split(request)
        terminal.show(made, lambda: show.split(made))
        terminal.next_step("intelliinspect train", f"trains a model on {made.split_id}")
    return None


def latest_dataset(client: Client) -> str:
    """The workspace's latest dataset; refused when there is none."""
    found = client.datasets(limit=1).items
    if not found:
        raise Refused(404, [RequestProblem("this workspace has no dataset yet: intelliinspect upload FILE.csv")])
    return found[0].dataset_id


def datasets(
    context: typer.Context,
    dataset_id: Annotated[str | None, typer.Argument(help="Show this one.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: Json = False,
) -> None:
    """List the datasets, or show one."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        if dataset_id is not None:
            one = client.dataset(dataset_id)
            return terminal.show(one, lambda: show.dataset(one))
        page = client.datasets(cursor=cursor, limit=limit)
        terminal.show(page, lambda: show.datasets(page))
    return None


def register(app: typer.Typer) -> None:
    for command in (upload, split, datasets):
        app.command(rich_help_panel=DATA)(command)
