"""Runs: accept one, order its owner about, wait until it shows."""

import asyncio
from collections.abc import Callable

from gateway.errors import Invalid, ObjectNotFound, StateConflict, problem
from gateway.models.bundles import check_bundle
from gateway.notifications import Changes
from gateway.web.threads import Workshop
from gateway.writer import Commands, pending
from schemas import ids, topics
from schemas.http.runs import RunOptions
from schemas.http.shared import Problem
from schemas.manifests import ModelManifest, SplitManifest
from schemas.tasks import RunSpec, TaskState
from schemas.transitions import RunOrder, may, states_of
from storage.view.run_view import RunView
from storage.view.views import Views

ORDER_WAIT_SECONDS = 2.0
"""How long an order waits until it shows, before the run is answered as it is."""


async def start(
    views: Views, commands: Commands, workshop: Workshop, workspace: str, options: RunOptions, *, latest: bool = False
) -> TaskState:
    """Accept a run. `latest`: without a model version the latest model scores it, else the champion if there is one.

    Raises `Invalid` for what is named but unknown, `StateConflict` where there is nothing to run or it does not fit.
    """
    problems: list[Problem] = []
    split = await _split(views, workspace, options.split_id, problems)
    model = await _model(views, workspace, options.model_version, problems, latest=latest)
    if problems:
        raise Invalid(problems)
    if split is None:
        raise StateConflict("No split in this workspace: split a dataset first.", "no_split")
    if model is None:
        raise StateConflict("No model in this workspace: train one first.", "no_model")
    await _check_features(views, split, model)
    await check_bundle(workshop, model)
    spec = RunSpec(
        dataset_id=split.dataset_id,
        split_id=split.split_id,
        model_version=model.model_version,
        total_rows=split.simulation.rows,
        rows_per_second=options.rows_per_second,
        warmup_seconds=options.warmup_seconds,
        lanes=options.lanes,
    )
    task = pending(ids.new_run_id(), "run", workspace, spec)
    await commands.accept(task, topics.RUN_COMMANDS)
    return task


async def find(views: Views, run_id: str, attempt: int | None = None) -> RunView:
    """The run, as it is or as an earlier attempt was; raises `ObjectNotFound`."""
    run = await views.run(run_id, attempt) if ids.RUN_ID.fullmatch(run_id) else None
    if run is None or (run.task is not None and run.task.kind != "run"):
        raise await missing(views, run_id, attempt)
    return run


async def missing(views: Views, run_id: str, attempt: int | None = None) -> ObjectNotFound:
    """There is no such run, or it has no such attempt."""
    if attempt is None:
        return ObjectNotFound("run", run_id)
    newest = (await find(views, run_id)).attempt
    return ObjectNotFound("attempt", f"{attempt} of run {run_id}; the newest is {newest}")


async def stop(views: Views, commands: Commands, changes: Changes, run: RunView, wait_seconds: float) -> RunView:
    """Stop a run and wait, bounded, until its final numbers are shown. A run that is over stays as it is."""
    if run.terminal:
        return run
    if run.task is None:
        raise StateConflict(f"Run {run.run_id} is fed by another system; only that can stop it.", "external_run")
    await commands.order(topics.RUN_COMMANDS, run.run_id, "stop")
    return await wait_for(views, changes, run, lambda now: now.terminal, wait_seconds)


async def order(
    commands: Commands, run: RunView, command: RunOrder, arguments: dict[str, object] | None = None
) -> None:
    """Send an order that the run's state allows; else raises `StateConflict`, which names the state."""
    allowed(run, command)
    await commands.order(topics.RUN_COMMANDS, run.run_id, command, arguments)


def allowed(run: RunView, command: RunOrder) -> None:
    """Return when the run's state allows the order; else raises `StateConflict`, which names the state."""
    if run.task is None:
        raise StateConflict(f"Run {run.run_id} is fed by another system; only that can steer it.", "external_run")
    if not may(command, run.status):
        raise StateConflict(
            f"The run is {run.status}; {command} is possible when it is {' or '.join(states_of(command))}.",
            "wrong_state",
        )


def check_read(run: RunView) -> None:
    """Return when the run knows its rows; else raises `StateConflict`: it still reads those that it replays."""
    if run.spec is not None and run.spec.total_rows is None:
        raise StateConflict(f"The run is {run.status} and still reads the rows that it replays.", "wrong_state")


def check_row(run: RunView, row_index: int) -> None:
    """Return when the run has this row; else raises `StateConflict`, which names the state and the last row."""
    rows = run.spec.total_rows if run.spec else None
    if rows is None and row_index:
        raise StateConflict(
            f"The run is {run.status}; how many rows it has is not known before all are read from the topic.",
            "wrong_state",
        )
    if rows is not None and row_index and row_index >= rows:
        raise StateConflict(f"The run is {run.status} and has {rows} rows: the last one is {rows - 1}.", "past_the_end")


def paused(run: RunView) -> bool:
    """Whether it stands still and every row that was sent is counted."""
    return run.terminal or (run.status == "PAUSED" and run.totals.handled >= _sent(run))


def sought(before: RunView, row_index: int) -> Callable[[RunView], bool]:
    """Whether a run has come to the row: in a new attempt, or because what lay before it was passed over."""
    lanes = before.spec.lanes if before.spec else 1

    def reached(run: RunView) -> bool:
        if run.terminal:
            return True
        if run.attempt == before.attempt and before.totals.last_row_index >= row_index:
            return False  # the new attempt is still to come
        passed = [lane for lane in run.lanes if lane.last_row_index + lanes >= row_index]
        return len(passed) >= min(lanes, row_index)

    return reached


def stepped(before: RunView, rows: int) -> Callable[[RunView], bool]:
    """Whether so many rows more are counted, or all there are."""
    total = (before.spec.total_rows if before.spec else None) or 0
    return lambda run: run.terminal or run.totals.handled >= min(before.totals.handled + rows, total)


def _sent(run: RunView) -> int:
    sent = (run.task.progress or {}).get("sent", 0) if run.task else 0
    return sent if isinstance(sent, int) else 0


async def wait_for(
    views: Views, changes: Changes, run: RunView, reached: Callable[[RunView], bool], wait_seconds: float
) -> RunView:
    """Return the run once `reached` says so, or as it is when the time is up."""
    with changes.listen(run.run_id) as news:
        try:
            async with asyncio.timeout(wait_seconds):
                while True:
                    news.clear()
                    run = await views.run(run.run_id) or run
                    if reached(run):
                        break
                    await _news(news)
        except TimeoutError:
            pass
    return run


async def _news(news: asyncio.Event) -> None:
    """Wait for an announcement; one that was lost delays by half a second."""
    try:
        async with asyncio.timeout(0.5):
            await news.wait()
    except TimeoutError:
        pass


async def _split(views: Views, workspace: str, split_id: str | None, problems: list[Problem]) -> SplitManifest | None:
    if split_id is None:
        return await views.latest_split(workspace)
    split = await views.split(split_id)
    if split is None:
        problems.append(problem(("body", "split_id"), f"No split {split_id!r:.80}.", "value_error.split_id"))
    return split


async def _model(
    views: Views, workspace: str, model_version: str | None, problems: list[Problem], *, latest: bool
) -> ModelManifest | None:
    if model_version is None:
        champion = None if latest else await views.champion(workspace)
        return champion or await views.latest_model(workspace)
    model = await views.model(model_version)
    if model is None:
        problems.append(
            problem(("body", "model_version"), f"No model version {model_version!r:.80}.", "value_error.model_version")
        )
    return model


async def _check_features(views: Views, split: SplitManifest, model: ModelManifest) -> None:
    """A model that needs columns which the split's dataset lacks would make a dead letter of every row."""
    if model.dataset_id == split.dataset_id:
        return
    dataset = await views.dataset(split.dataset_id)
    missing = sorted(set(model.features) - set(dataset.features)) if dataset else []
    if missing:
        raise StateConflict(
            f"Model {model.model_version} needs columns that dataset {split.dataset_id} does not have:"
            f" {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}. Choose a model and a split that fit.",
            "model_does_not_fit",
        )
