"""The whole job on generated data, as a person would do it: upload, split, train, simulate, compare with an offline
recount.

Speaks to the gateway through `client` only; the recount reads the storage, which is what makes it independent. Ctrl-C
at any time stops the run, shows the summary of the rows that were counted, and stops the stack if this demo started it.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from client.blocking import Client
from client.command import show, show_runs
from client.errors import ClientError
from devstack.comparison import compare
from devstack.control import down, up
from devstack.errors import DevstackError
from devstack.generate import Generated, generate
from devstack.settings import DevstackSettings
from devstack.state import is_running
from devstack.status import urls
from schemas.http.runs import PredictionView, Run, RunCreate, RunStatistics
from schemas.http.shared import TaskStatus
from schemas.http.v1 import Dataset, Split, TrainingCreate
from schemas.messages import TERMINAL

ROWS, FEATURES, FAILURE_RATE, SEED = 12_000, 60, 0.15, 7
SHOWN_ROWS = 60
"""How many rows are streamed unless DEMO_ROWS says otherwise; 0 streams the whole simulation set."""
WARMUP_SECONDS = 1.0
TASK_SECONDS, FINAL_SECONDS = 600.0, 30.0
INTERRUPTED = 130


def demo(settings: DevstackSettings, console: Console) -> int:
    """Run it; return the exit code. Raises `DevstackError`: the stack does not start, a step fails, or `Mismatch`."""
    signal.signal(signal.SIGTERM, _interrupt)
    ours = not is_running(settings.folder)
    compared = False
    try:
        state = up(settings, console)
        with Client(state.gateway_url) as client:
            run, split, interrupted = _job(client, settings, console)
            model = client.model(run.model_version) if run.model_version else None
        compare(console, settings.storage, run, split.simulation.path, model)
        compared = True
        if not interrupted and os.environ.get("DEMO_EXIT", "") in ("", "0"):
            console.print(urls(state))
            console.print("running until Ctrl-C; try `.venv/bin/intelliinspect --help`", style="bold")
            _until_interrupted()
    except KeyboardInterrupt:
        console.print("\ninterrupted")
        return 0 if compared else INTERRUPTED
    except ClientError as error:
        raise DevstackError(f"the demo stops: {error}") from error
    finally:
        if ours:
            down(settings, console)
    return 0


def _job(client: Client, settings: DevstackSettings, console: Console) -> tuple[Run, Split, bool]:
    """All steps up to the ended run, and whether Ctrl-C ended it."""
    made = _generate(settings.folder / "demo", console)
    dataset = _upload(client, made.path, console)
    _wait(client, dataset.feature_selection_task_id, "selecting features", console)
    suggestion = client.suggest_split(dataset.dataset_id)
    with console.status("splitting"):
        split = client.split(suggestion)
    console.print(show.split(split))
    training = client.train(TrainingCreate(split_id=split.split_id))
    _wait(client, training.task_id, "training", console)
    training = client.training(training.task_id)
    console.print(show.training(training))
    console.print(
        f"reachable MCC with this data's noise: {made.reachable_mcc:.3f}; its rule: FAIL if {made.rule}", markup=False
    )
    version = training.result.model_version if training.result else None
    options = RunCreate(
        model_version=version, split_id=split.split_id, rows_per_second=1.0, warmup_seconds=WARMUP_SECONDS
    )
    run, interrupted = _watch(
        client, client.start_run(options), console, int(os.environ.get("DEMO_ROWS") or SHOWN_ROWS)
    )
    return run, split, interrupted


def _generate(folder: Path, console: Console) -> Generated:
    folder.mkdir(parents=True, exist_ok=True)
    with _bar(console, f"generating {ROWS:,} rows x {FEATURES} features", ROWS) as update:
        return generate(
            folder / "bosch-like.csv",
            rows=ROWS,
            features=FEATURES,
            failure_rate=FAILURE_RATE,
            seed=SEED,
            progress=update,
        )


def _upload(client: Client, path: Path, console: Console) -> Dataset:
    size = path.stat().st_size
    with _bar(console, f"uploading {path.name} ({show.size(size)})", size) as update:
        dataset = client.upload(path, progress=lambda sent, _: update(sent))
    console.print(show.dataset(dataset))
    return dataset


def _wait(client: Client, task_id: str, what: str, console: Console) -> None:
    with _bar(console, what, 100) as update:

        def show_status(status: TaskStatus) -> None:
            progress = status.progress or {}
            update(int(progress.get("percent", 0)), str(progress.get("status", "")))

        client.wait_for(task_id, timeout_seconds=TASK_SECONDS, on_status=show_status)


def _watch(client: Client, run: Run, console: Console, rows: int) -> tuple[Run, bool]:
    """Show the run until `rows` are counted, it ends, or Ctrl-C; then stop it. Its numbers are final."""
    interrupted = False
    try:
        _show_events(client, run, console, rows)
    except KeyboardInterrupt:
        interrupted = True
        console.print("\nstopping the run")
    run = client.stop_run(run.run_id)
    if run.status not in TERMINAL:
        run = client.wait_for_run(run.run_id, timeout_seconds=FINAL_SECONDS)
    return run, interrupted


def _show_events(client: Client, run: Run, console: Console, rows: int) -> None:
    picture = show_runs.Picture(run)
    with Live(picture, console=console, refresh_per_second=8, redirect_stdout=False, auto_refresh=console.is_terminal):
        for event in client.events(run.run_id, after=-1):
            picture.take(event)
            if isinstance(event, PredictionView) and not console.is_terminal:
                console.print(show_runs.line(event))
            if rows and isinstance(event, RunStatistics) and event.total_predictions >= rows:
                break
    if not console.is_terminal:
        console.print()  # the picture ends without a line feed there


@contextmanager
def _bar(console: Console, what: str, total: int) -> Iterator[Callable[..., None]]:
    """A progress bar; yields the function that moves it, and says what is being done. Off a terminal, a line when it
    begins and ends."""
    began = time.monotonic()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} % {task.fields[doing]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, doing="")
        yield lambda done, doing="": progress.update(task, completed=done, doing=doing)
    console.print(f"{what}: done in {time.monotonic() - began:.1f} s")


def _until_interrupted() -> None:
    while True:
        signal.pause()


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
