"""Replays: a new run whose rows are records of another, taken from the topic again. Which ones is settled here, as
offsets, when it is ordered; the producer reads them before it sends the first (`producer.replay.capture`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

from aiokafka import TopicPartition

from gateway.errors import Invalid, RowsGone, StateConflict, problem
from gateway.runs.answers import ordered_pace
from gateway.runs.offset_ranges import OffsetExtent, OffsetRanges, PartitionOf
from gateway.web.threads import Workshop
from gateway.writer import Commands, pending
from schemas import ids, topics
from schemas.http.runs import ReplayCreate
from schemas.http.shared import Problem
from schemas.manifests import ModelManifest
from schemas.messages import LaneStats
from schemas.tasks import ReplaySource, RunSpec, TaskState, TopicRange
from storage.objects.replays import are_kept
from storage.view.run_view import RunView
from storage.view.views import Views

CLOCK_MARGIN = timedelta(minutes=1)
"""How far the clocks of gateway and producer may be apart: rows are looked for from so long before the run's start."""
REMOVED = (
    "The copy of the rows that this replay sent is removed (PRODUCER_REPLAYS_KEPT), and they are not on the topic any"
    " more. "
)
Lanes = dict[TopicPartition, list[int]]
"""Where lanes of the original travel."""


async def order(
    views: Views, commands: Commands, ranges: OffsetRanges, workspace: str, run: RunView, wanted: ReplayCreate
) -> TaskState:
    """Accept a replay of an attempt of a run. Raises `Invalid`, `StateConflict`, `RowsGone`, `Unavailable`."""
    _check(run, wanted)
    model = await _model(views, workspace, run, wanted)
    since = max(_begin(run), _from_time(wanted) or _begin(run))
    lanes: Lanes = {}

    def partitions_of(partition_of: PartitionOf) -> list[TopicPartition]:
        lanes.update(_lanes(run, partition_of))
        return sorted(lanes)

    extents = await ranges.extents(partitions_of, since)
    source = _source(run, wanted, lanes, extents, _first_known(run, await views.offsets(run.run_id, run.attempt)))
    if source.check == "rows":
        await _look_for_lost_rows(ranges, source, extents)
    spec = RunSpec(
        dataset_id=run.spec.dataset_id if run.spec else None,
        split_id=run.spec.split_id if run.spec else None,
        model_version=model,
        total_rows=None,
        rows_per_second=wanted.rows_per_second if "rows_per_second" in wanted.model_fields_set else _pace(run),
        warmup_seconds=0.0,
        lanes=wanted.lanes or source.lanes,
        replay=source,
    )
    task = pending(ids.new_run_id(), "run", workspace, spec)
    await commands.accept(task, topics.RUN_COMMANDS)
    return task


async def check_rows(workshop: Workshop, ranges: OffsetRanges, run: RunView) -> None:
    """Return when the rows of a replay are kept or can be read from the topic once more, as far as that can be known
    here; the producer sees the rest. Raises `RowsGone`, `Unavailable`."""
    source = run.spec.replay if run.spec else None
    if source is None or await workshop.look(are_kept, run.run_id):
        return
    extents = await ranges.extents(
        lambda _: [TopicPartition(part.topic, part.partition) for part in source.ranges], _begin(run)
    )
    try:
        for part in source.ranges:
            first = extents[TopicPartition(part.topic, part.partition)].first
            if first >= part.to_offset or (first > part.from_offset and source.check == "offsets"):
                raise RowsGone(first, part.partition)
        if source.check == "rows":
            await _look_for_lost_rows(ranges, source, extents)
    except RowsGone as error:
        raise RowsGone(error.first_available, error.partition, REMOVED) from error


def _check(run: RunView, wanted: ReplayCreate) -> None:
    """What is wrong whatever the topic holds."""
    problems: list[Problem] = []
    last = run.totals.last_row_index
    if wanted.from_row is not None and wanted.from_row > last:
        problems.append(problem(("body", "from_row"), f"The last row of the run is {last}.", "value_error.row_index"))
    if wanted.from_offset is not None and wanted.to_offset is not None and wanted.from_offset >= wanted.to_offset:
        problems.append(
            problem(("body", "to_offset"), "It is exclusive and must lie behind from_offset.", "value_error.offset")
        )
    if problems:
        raise Invalid(problems)
    if run.spec is not None and run.spec.replay is not None and run.spec.total_rows is None:
        raise StateConflict(f"The run is {run.status} and still reads the rows that it replays.", "wrong_state")
    if run.totals.last_row_index < 0:
        raise StateConflict(f"The run is {run.status} and has no rows yet.", "wrong_state")


async def _model(views: Views, workspace: str, run: RunView, wanted: ReplayCreate) -> str:
    """The version that scores the rows, or those that name none. Raises when it is unknown or does not fit them."""
    version = wanted.model_version or (run.spec.model_version if run.spec else None)
    if version is None:  # rows of another system, which need not name one
        if run.totals.last is not None:
            return run.totals.last.model_version
        champion = await views.champion(workspace) or await views.latest_model(workspace)
        if champion is None:
            raise StateConflict("No model in this workspace: train one first.", "no_model")
        return champion.model_version
    if wanted.model_version is None:
        return version
    model = await views.model(version)
    if model is None:
        raise Invalid(
            [problem(("body", "model_version"), f"No model version {version!r:.80}.", "value_error.model_version")]
        )
    carried = await views.model(features) if (features := _features_of(run)) else None
    if carried is not None:
        _fits(model, carried)
    return version


def _features_of(run: RunView) -> str | None:
    """The model version whose features the run's rows carry."""
    if run.spec is None:
        return None
    return run.spec.replay.features_of if run.spec.replay else run.spec.model_version


def _fits(model: ModelManifest, carried: ModelManifest) -> None:
    """Rows hold the features of the model that they were sent for; another needs each of those it has, and knows the
    others."""
    missing = sorted({*model.features} - {*carried.features})
    unknown = sorted({*carried.features} - {*model.features, *model.ignored_features})
    for names, what in (
        (missing, "needs columns that the rows do not have"),
        (unknown, "does not know columns of the rows"),
    ):
        if names:
            listed = f"{', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
            raise StateConflict(
                f"Model {model.model_version} {what}: {listed}. Start a new run of a split that fits.",
                "model_does_not_fit",
            )


def _begin(run: RunView) -> datetime:
    """The run put no row on the topic before this."""
    if run.task is None:
        return datetime.fromtimestamp(0, UTC)
    return (run.task.started_at or run.task.created_at) - CLOCK_MARGIN


def _from_time(wanted: ReplayCreate) -> datetime | None:
    moment = wanted.from_time
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _lanes(run: RunView, partition_of: PartitionOf) -> Lanes:
    """Where the lanes of the run are."""
    found: Lanes = {}
    if run.spec is None:
        return {_place(lane): [0] for lane in run.lanes}
    for number in range(run.spec.lanes):
        tp = TopicPartition(topics.ROWS.name, partition_of(ids.row_key(run.run_id, number, run.spec.lanes)))
        found.setdefault(tp, []).append(number)
    return found


def _place(lane: LaneStats) -> TopicPartition:
    """Where the rows of another system's lane are."""
    of_rows = lane.lanes == 1 or lane.lane >= lane.lanes // 2
    return TopicPartition((topics.ROWS if of_rows else topics.INGRESS).name, lane.partition)


def _offset(lane: LaneStats, row_index: int) -> int:
    """The first offset of a lane of another system at or behind a row index."""
    return row_index if lane.lanes == 1 else max(-(-(row_index - lane.lane) // lane.lanes), 0)


def _source(
    run: RunView,
    wanted: ReplayCreate,
    lanes: Lanes,
    extents: dict[TopicPartition, OffsetExtent],
    first_known: dict[TopicPartition, int],
) -> ReplaySource:
    external = run.task is None
    by_offset = wanted.from_offset is not None or wanted.to_offset is not None
    chosen = sorted(tp for tp in lanes if wanted.partition is None or tp.partition == wanted.partition)
    if by_offset and len(chosen) > 1 and wanted.partition is not None:  # of both topics, as long as both are read
        chosen = [tp for tp in chosen if tp.topic == topics.INGRESS.name]
    if not chosen:
        detail = f"The run has rows in {_listed(lanes)} only."
        raise Invalid([problem(("body", "partition"), detail, "value_error.partition")])
    if by_offset and len(chosen) > 1:
        detail = f"The run has rows in {_listed(lanes)}: an offset needs its partition."
        raise Invalid([problem(("body", "partition"), detail, "value_error.partition")])
    check = _check_of(run, wanted)
    parts: list[TopicRange] = []
    from_row = {_place(lane): _offset(lane, wanted.from_row or 0) for lane in run.lanes} if external else {}
    for tp in chosen:
        extent = extents[tp]
        start = extent.at_time if not external or wanted.from_time is not None else 0
        start = max(start, wanted.from_offset or 0, from_row.get(tp, 0))
        if check == "offsets" and _is_lost(start, extent, wanted):
            raise RowsGone(extent.first, tp.partition)
        if check == "count":
            if first_known.get(tp, extent.first) < extent.first:
                raise RowsGone(extent.first, tp.partition)
            start = extent.first
        end = min(_end(run, tp, extent), extent.end if wanted.to_offset is None else wanted.to_offset)
        if start < end:
            parts.append(
                TopicRange(partition=tp.partition, from_offset=start, to_offset=end, lanes=lanes[tp], topic=tp.topic)
            )
    if not parts:
        raise _nothing(wanted, run, extents)
    return ReplaySource(
        run_id=run.run_id,
        attempt=run.attempt,
        lanes=run.spec.lanes if run.spec else 1,
        ranges=parts,
        from_row=wanted.from_row or 0,
        external=external,
        keep_models=wanted.model_version is None,
        features_of=_features_of(run),
        check=check,
        expected_rows=run.totals.total + run.totals.dead_letters if check == "count" else 0,
        foreign_lanes=max((lane.lanes for lane in run.lanes), default=1) if external else 1,
    )


def _check_of(run: RunView, wanted: ReplayCreate) -> Literal["offsets", "rows", "count"]:
    """How it is told that nothing of what is asked for is gone."""
    moment = _from_time(wanted)
    if wanted.from_offset is not None or (moment is not None and moment > _begin(run) + CLOCK_MARGIN):
        return "offsets"
    if run.task is not None:
        return "rows"
    return "count" if wanted.from_row is None and wanted.to_offset is None else "offsets"


def _is_lost(start: int, extent: OffsetExtent, wanted: ReplayCreate) -> bool:
    """Whether records that were asked for by their offset or time may be gone."""
    if wanted.from_offset is not None:
        return wanted.from_offset < extent.first
    return start < extent.first or (wanted.from_time is not None and extent.first > 0 and start == extent.first)


def _end(run: RunView, tp: TopicPartition, extent: OffsetExtent) -> int:
    """Behind the last record of the run: where it was counted to when it is over, else the end of the topic as it is
    now."""
    numbered_formerly = run.task is None and any(
        lane.lanes == 1 for lane in run.lanes
    )  # rows that follow are of the next attempt
    if not run.terminal and not numbered_formerly:
        return extent.end
    counted_to = max((lane.offset + 1 for lane in run.lanes if lane.partition == tp.partition), default=0)
    return counted_to if run.terminal else min(counted_to, extent.end)


def _nothing(wanted: ReplayCreate, run: RunView, extents: dict[TopicPartition, OffsetExtent]) -> Invalid:
    field = next(
        (name for name in ("from_offset", "to_offset", "from_time", "partition") if getattr(wanted, name) is not None),
        "from_row",
    )
    ends = {tp.partition: _end(run, tp, extent) for tp, extent in extents.items()}
    detail = "The run has no rows there; its last records stand before " + ", ".join(
        f"offset {end} of partition {p}" for p, end in ends.items()
    )
    return Invalid([problem(("body", field), detail + ".", "value_error.range")])


async def _look_for_lost_rows(
    ranges: OffsetRanges, source: ReplaySource, extents: dict[TopicPartition, OffsetExtent]
) -> None:
    """Where the topic begins so late that rows may be gone, look at its first ones; what is not found in time the
    producer sees."""
    for part in source.ranges:
        extent = extents[TopicPartition(part.topic, part.partition)]
        if extent.first == 0 or part.from_offset > extent.first:
            continue
        keys = {ids.row_key(source.run_id, lane, source.lanes): lane for lane in part.lanes}
        found = await ranges.first_rows(keys, part.partition, extent)
        if found is None:
            continue
        for lane in part.lanes:
            row_index, offset = found.get(lane, (-1, extent.end))
            wanted = source.from_row + (lane - source.from_row) % source.lanes
            if lane not in found or row_index > wanted:
                raise RowsGone(offset, part.partition)


def _first_known(run: RunView, offsets: Iterable[tuple[int, int, int, int]]) -> dict[TopicPartition, int]:
    """The lowest offset of another system's lane with a prediction that the view remembers."""
    lanes = {lane.lane: lane for lane in run.lanes}
    found: dict[TopicPartition, int] = {}
    for number, row_index, _, _ in offsets:
        if (lane := lanes.get(number)) is not None:
            offset = _offset(lane, row_index)
            found[_place(lane)] = min(offset, found.get(_place(lane), offset))
    return found


def _pace(run: RunView) -> float | None:
    return ordered_pace(run) if run.task else 1.0


def _listed(lanes: Lanes) -> str:
    numbers = [str(number) for number in sorted({tp.partition for tp in lanes})]
    return f"partition {numbers[0]}" if len(numbers) == 1 else f"partitions {', '.join(numbers)}"
