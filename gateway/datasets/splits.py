"""Splits: six dates of a request become three sets of a dataset, once its features are ranked."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from gateway.errors import Invalid, StateConflict, problem, storage_is_full
from gateway.web.threads import Workshop
from gateway.writer import Commands, OutgoingRecord
from runtime.errors import Unavailable
from schemas import ids, topics
from schemas.http import shared as api
from schemas.manifests import DatasetManifest, SplitManifest
from schemas.messages import TERMINAL
from storage.errors import StorageProblem
from storage.tables.ranges import DateRanges, read_ranges
from storage.tables.splits import split
from storage.view.views import Views

POLL_SECONDS = 0.2
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
Dates = Mapping[str, str | None]
Wording = Callable[[Iterable[StorageProblem]], list[api.Problem]]


async def make_split(
    workshop: Workshop,
    commands: Commands,
    dataset: DatasetManifest,
    ranges: DateRanges,
    wording: Wording,
    *,
    sample_fraction: float,
    seed: int,
    exclude: Sequence[str],
) -> SplitManifest:
    """Write the sets and announce the split. Raises `Invalid` with every problem, `StorageFull`."""
    with storage_is_full():
        made = await workshop.run(split, dataset, ranges, sample_fraction=sample_fraction, seed=seed, exclude=exclude)
    if isinstance(made, list):
        raise Invalid(wording(made))
    try:
        await commands.record(OutgoingRecord(topics.DATASETS, made.split_id, made.model_dump_json().encode()))
    except BaseException:
        await asyncio.to_thread(workshop.storage.remove, f"splits/{made.split_id}")
        raise
    return made


def check(dataset: DatasetManifest | None, dates: Dates, wording: Wording) -> tuple[DatasetManifest, DateRanges]:
    """The ranges, or `Invalid` with every problem. Without a dataset all but its bounds is checked, then
    `StateConflict`."""
    ranges = check_dates(dates, wording, *((dataset.first_timestamp, dataset.last_timestamp) if dataset else EVER))
    if dataset is None:
        raise StateConflict("No dataset in this workspace: upload one first.", "no_dataset")
    return dataset, ranges


def check_dates(dates: Dates, wording: Wording, first: datetime = EVER[0], last: datetime = EVER[1]) -> DateRanges:
    """The ranges, or `Invalid` with every problem."""
    ranges = read_ranges(dates, first=first, last=last)
    if isinstance(ranges, list):
        raise Invalid(wording(ranges))
    return ranges


async def wait_for_features(views: Views, commands: Commands, dataset: DatasetManifest, bound_seconds: float) -> None:
    """Return when the dataset's feature selection is complete.

    Raises `StateConflict`, naming the task, when it failed or takes too long, and `Unavailable` when it cannot go on
    for want of Kafka."""
    task_id = ids.feature_selection_id(dataset.dataset_id)
    deadline = asyncio.get_running_loop().time() + bound_seconds
    asked = False
    while True:
        task = await views.task(task_id)
        if task is not None and task.status == "COMPLETED":
            return
        if task is not None and task.status in TERMINAL:
            reason = task.error or f"it was {task.status.lower()}"
            raise StateConflict(
                f"Feature selection {task_id} of {dataset.dataset_id} failed: {reason}",
                "feature_selection_failed",
                task_id,
            )
        if not asked and (problem_of_kafka := await commands.problem()) is not None:
            raise Unavailable("kafka", problem_of_kafka)
        asked = True
        if asyncio.get_running_loop().time() >= deadline:
            detail = (
                f"Feature selection {task_id} of {dataset.dataset_id} is still running; try again when it has"
                " completed."
            )
            raise StateConflict(detail, "feature_selection_running", task_id)
        await asyncio.sleep(POLL_SECONDS)


async def find_dataset(views: Views, dataset_id: str | None, workspace: str) -> DatasetManifest | None:
    """The dataset that a request names, else the workspace's latest; None when it has none. Raises `Invalid` for an
    unknown id."""
    if dataset_id is None:
        return await views.latest_dataset(workspace)
    dataset = await views.dataset(dataset_id)
    if dataset is None:
        raise Invalid([problem(("body", "dataset_id"), f"No dataset {dataset_id!r:.80}.", "value_error.dataset_id")])
    return dataset
