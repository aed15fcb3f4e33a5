"""Commands about data: upload, split, datasets."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from client import show
from client.blocking import Client
from client.errors import Problem, Refused
from client.terminal import Json, Terminal
from client.upload import UploadOptions
from schemas.api_v1 import Dataset, Range, SplitCreate

DATA = "Data and models"
Cursor = Annotated[str | None, typer.Option(help="Go on where the former list ended.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="How many at most.")]


def upload(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, plain or gzip.")],
    label: Annotated[str | None, typer.Option(help="Label column. [default: detected]")] = None,
    pass_value: Annotated[str | None, typer.Option(help="The label's value that means PASS. [default: detected]")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column that names a row. [default: detected]")] = None,
    time_column: Annotated[str | None, typer.Option(help="Column with the rows' times. [default: detected]")] = None,
    synthetic_start: Annotated[str | None, typer.Option(help="First time, where the file has none.")] = None,
    synthetic_step_seconds: Annotated[float | None, typer.Option(help="Seconds between two rows, where the file has no times.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the features are ranked.")] = True,
    json: Json = False,
) -> None:
    """Upload a CSV file as a new dataset and rank its features."""
    given = {
        "label": label,
        "pass_value": pass_value,
        "id_column": id_column,
        "time_column": time_column,
        "synthetic_start": synthetic_start,
        "synthetic_step_seconds": synthetic_step_seconds,
    }
    options = UploadOptions(**{name: value for name, value in given.items() if value is not None})  # type: ignore[typeddict-item]
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        stored = _send(terminal, client, file, options)
        if wait:
            terminal.wait_for(client, stored.feature_selection_task_id, "ranking features")
        terminal.show(stored, lambda: show.dataset(stored))
        terminal.next_step("intelliinspect split", f"makes training, test and simulation sets of {stored.dataset_id}")


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
    train_start: Annotated[str | None, typer.Option(help="ISO 8601; a bare date means the whole day. All six, or none.")] = None,
    train_end: Annotated[str | None, typer.Option()] = None,
    test_start: Annotated[str | None, typer.Option()] = None,
    test_end: Annotated[str | None, typer.Option()] = None,
    simulation_start: Annotated[str | None, typer.Option()] = None,
    simulation_end: Annotated[str | None, typer.Option()] = None,
    sample_fraction: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the rows, stratified.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
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
        request = SplitCreate(dataset_id=wanted, train=train, test=test, simulation=simulation, sample_fraction=sample_fraction, seed=seed)
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
        raise Refused(404, [Problem("this workspace has no dataset yet: intelliinspect upload FILE.csv")])
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
