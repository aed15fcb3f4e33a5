"""What the gateway reads: tasks, runs, datasets, splits, models, logs, from the view in Redis.

Every read is one round trip (lists and `latest_…`: two). Raises `RedisUnavailable`, and `ViewRebuilding` while the view
is not whole: a wrong or a missing number is never returned. Unknown objects are None.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from schemas.ids import alias_key
from schemas.manifests import DatasetManifest, ModelManifest, SplitManifest
from schemas.messages import Alias, LaneStats
from schemas.tasks import LogEntry, TaskKind, TaskState
from storage.view import redis_keys as keys
from storage.view.answers import Extent, Reach, extent
from storage.view.projection import MEMBER_TIME_DIGITS
from storage.view.redis_store import RedisStore, ViewRebuilding
from storage.view.run_view import RunView, run_view

T = TypeVar("T")
Decode = Callable[[bytes], T]

_task = msgspec.json.Decoder(TaskState).decode
_stats = msgspec.json.Decoder(LaneStats).decode
_alias = msgspec.json.Decoder(Alias).decode
_log = msgspec.json.Decoder(LogEntry).decode


class Slice(NamedTuple, Generic[T]):
    """Part of a list, newest first; `next_cursor` continues it, None at its end."""

    items: list[T]
    next_cursor: str | None


class StoredPredictions(NamedTuple):
    """Predictions behind a row index as they are in Redis, (row index, JSON) in order; complete within `extent`.

    `redriven`: those of redriven rows that are here; `storage.view.answers.late_rows` tells which there are.
    """

    run: RunView
    extent: Extent
    rows: list[tuple[int, bytes]]
    redriven: dict[int, bytes]


class LanesAnswered(NamedTuple):
    """Predictions of a run's lanes as they are in Redis, (row index, JSON) in order. `whole`: all that there are."""

    reach: Reach
    whole: bool
    rows: list[tuple[int, bytes]]


class WrongCursor(ValueError):
    """The cursor was not made by us."""


class Views:
    """Reads of one gateway process; safe to share between requests."""

    def __init__(
        self, store: RedisStore, waiting: Callable[[str], Awaitable[DatasetManifest | None]] | None = None
    ) -> None:
        """`waiting` finds a dataset whose record is still to reach Kafka."""
        self._store, self._waiting = store, waiting

    async def ready(self) -> None:
        """Return when the view can be read; raise `RedisUnavailable` or `ViewRebuilding`."""
        await self._store.read(lambda _: None)

    async def task(self, task_id: str) -> TaskState | None:
        """Newest state of a task of any kind, as its worker wrote it. For a run use `run`: what is shown differs."""
        return await self._one("task", task_id, _task)

    async def run(self, run_id: str, attempt: int | None = None) -> RunView | None:
        """A run's state and statistics, of its newest attempt or of the one named; null when there is no such run or
        attempt."""
        task, stats = await self._store.read(
            lambda pipe: pipe.hget(keys.record("task", run_id), "value").hgetall(keys.stats(run_id))
        )
        return _run(run_id, task, stats, attempt)

    async def attempts(self, run_id: str) -> list[RunView]:
        """All attempts of a run that left anything, newest first; none when there is no such run."""
        task, stats = await self._store.read(
            lambda pipe: pipe.hget(keys.record("task", run_id), "value").hgetall(keys.stats(run_id))
        )
        state, lanes = _task(task) if task else None, _lanes(stats.values())
        newest = run_view(run_id, state, lanes)
        if newest is None:
            return []
        former = newest.task.former if newest.task else []
        known = {lane.attempt for lane in lanes} | {one.attempt for one in former}
        earlier = (
            run_view(run_id, state, lanes, attempt) for attempt in sorted(known - {newest.attempt}, reverse=True)
        )
        return [newest, *(view for view in earlier if view is not None)]

    async def answered(
        self, run_id: str, attempt: int, after: int, limit: int, *, fixed: bool = False
    ) -> StoredPredictions | None:
        """A run and up to `limit` of its predictions with a row index above `after`. `fixed`: as of this attempt,
        newest or not."""
        name = keys.predictions(run_id, attempt)
        task, stats, reach, count, found, late = await self._store.read(
            lambda pipe: (
                pipe.hget(keys.record("task", run_id), "value")
                .hgetall(keys.stats(run_id))
                .hgetall(keys.reach(run_id, attempt))
                .zcard(name)
                .zrangebyscore(name, f"({after}", "+inf", start=0, num=limit, withscores=True)
                .zrangebyscore(keys.redriven(run_id, attempt), f"({after}", "+inf", start=0, num=limit, withscores=True)
            )
        )
        run = _run(run_id, task, stats, attempt if fixed else None)
        if run is None:
            return None
        rows = [(int(score), value) for value, score in found]
        return StoredPredictions(
            run, extent(run, Reach.read(reach, count)), rows, {int(score): value for value, score in late}
        )

    async def lanes_answered(self, run_id: str, attempt: int, spans: Mapping[int, tuple[int, int]]) -> LanesAnswered:
        """Predictions between the row indices `(after, up to]` of each lane; those of other lanes may be among them."""
        name, wanted = keys.predictions(run_id, attempt), list(spans.values())
        if max(after for after, _ in wanted) < min(last for _, last in wanted):  # they overlap: one look for all
            wanted = [(min(after for after, _ in wanted), max(last for _, last in wanted))]

        def fill(pipe: Any) -> None:
            pipe.hgetall(keys.stats(run_id)).hgetall(keys.reach(run_id, attempt)).zcard(name)
            for after, last in wanted:
                pipe.zrangebyscore(name, f"({after}", last, withscores=True)

        stats, reach, count, *found = await self._store.read(fill)
        run, read = _run(run_id, None, stats, attempt), Reach.read(reach, count)
        whole = run is not None and read.floor == 0 and read.count == run.totals.total - run.totals.redriven
        return LanesAnswered(read, whole, [(int(score), value) for part in found for value, score in part])

    async def redriven(self, run_id: str, attempt: int, up_to: int) -> dict[int, bytes]:
        """Predictions of redriven rows up to a row index, those that are here."""
        (late,) = await self._store.read(
            lambda pipe: pipe.zrangebyscore(keys.redriven(run_id, attempt), "-inf", up_to, withscores=True)
        )
        return {int(score): value for value, score in late}

    async def offsets(self, run_id: str, attempt: int) -> list[tuple[int, int, int, int]]:
        """(lane, row index, partition, offset) of some predictions of each lane: where to start reading in Kafka."""
        (found,) = await self._store.read(lambda pipe: pipe.hgetall(keys.offsets(run_id, attempt)))
        known = ((int(name.split(b":")[0]), value.split()) for name, value in found.items())
        return sorted(
            (lane, int(row_index), int(partition), int(offset)) for lane, (row_index, partition, offset) in known
        )

    async def dataset(self, dataset_id: str) -> DatasetManifest | None:
        """A dataset's manifest. One whose record waits for Kafka can be read while the view is not whole, too."""
        try:
            return await self._one("dataset", dataset_id, DatasetManifest.model_validate_json)
        except ViewRebuilding:
            found = await self._waiting(dataset_id) if self._waiting else None
            if found is None:
                raise
            return found

    async def latest_dataset(self, workspace: str) -> DatasetManifest | None:
        """The workspace's newest dataset."""
        return await self._latest("dataset", DatasetManifest.model_validate_json, workspace)

    async def split(self, split_id: str) -> SplitManifest | None:
        """A split's manifest."""
        return await self._one("split", split_id, SplitManifest.model_validate_json)

    async def latest_split(self, workspace: str, dataset_id: str | None = None) -> SplitManifest | None:
        """The newest split of the workspace, or of one of its datasets."""
        scope = (workspace,) if dataset_id is None else (workspace, dataset_id)
        return await self._latest("split", SplitManifest.model_validate_json, *scope)

    async def model(self, model_version: str) -> ModelManifest | None:
        """A model version's manifest."""
        return await self._one("model", model_version, ModelManifest.model_validate_json)

    async def latest_model(self, workspace: str) -> ModelManifest | None:
        """The workspace's newest model version."""
        return await self._latest("model", ModelManifest.model_validate_json, workspace)

    async def alias(self, alias: str, workspace: str) -> Alias | None:
        """What an alias of the workspace names."""
        return await self._one("alias", alias_key(alias, workspace), _alias)

    async def champion(self, workspace: str) -> ModelManifest | None:
        """The model that alias `champion` names."""
        named = await self.alias("champion", workspace)
        return await self.model(named.model_version) if named else None

    async def list_datasets(self, workspace: str, cursor: str | None = None, limit: int = 50) -> Slice[DatasetManifest]:
        """Datasets of the workspace. Raises `WrongCursor`; so do the other lists."""
        return await self._list("dataset", DatasetManifest.model_validate_json, cursor, limit, workspace)

    async def list_splits(
        self, workspace: str, cursor: str | None = None, limit: int = 50, *, dataset_id: str | None = None
    ) -> Slice[SplitManifest]:
        """Splits of the workspace, or of one of its datasets."""
        scope = (workspace,) if dataset_id is None else (workspace, dataset_id)
        return await self._list("split", SplitManifest.model_validate_json, cursor, limit, *scope)

    async def list_models(self, workspace: str, cursor: str | None = None, limit: int = 50) -> Slice[ModelManifest]:
        """Model versions of the workspace."""
        return await self._list("model", ModelManifest.model_validate_json, cursor, limit, workspace)

    async def list_tasks(
        self, workspace: str, kind: TaskKind, cursor: str | None = None, limit: int = 50
    ) -> Slice[TaskState]:
        """Tasks of one kind."""
        return await self._list("task", _task, cursor, limit, workspace, kind)

    async def list_runs(self, workspace: str, cursor: str | None = None, limit: int = 50) -> Slice[RunView]:
        """Runs that were ordered here; in the workspace `default` also those that other systems feed."""
        members, next_cursor = await self._members(cursor, limit, "task", workspace, "run")
        if not members:
            return Slice([], None)

        def fill(pipe: Any) -> None:
            for run_id in members:
                pipe.hget(keys.record("task", run_id), "value").hgetall(keys.stats(run_id))

        found = await self._store.read(fill)
        runs = [_run(run_id, found[2 * i], found[2 * i + 1]) for i, run_id in enumerate(members)]
        return Slice([run for run in runs if run is not None], next_cursor)

    async def logs(self, task_id: str, after: int = -1, limit: int = 1000) -> list[tuple[int, LogEntry]]:
        """Kept log entries behind the cursor `after`, oldest first, each with its own cursor."""
        (found,) = await self._store.read(
            lambda pipe: pipe.zrangebyscore(keys.logs(task_id), f"({after}", "+inf", start=0, num=limit)
        )
        entries = [value.split(b" ", 1) for value in found]
        return [(int(cursor), _log(entry)) for cursor, entry in entries]

    async def _one(self, kind: str, name: str, decode: Decode[T]) -> T | None:
        (value,) = await self._store.read(lambda pipe: pipe.hget(keys.record(kind, name), "value"))
        return decode(value) if value else None

    async def _latest(self, kind: str, decode: Decode[T], *scope: str) -> T | None:
        page = await self._list(kind, decode, None, 1, *scope)
        return page.items[0] if page.items else None

    async def _list(self, kind: str, decode: Decode[T], cursor: str | None, limit: int, *scope: str) -> Slice[T]:
        members, next_cursor = await self._members(cursor, limit, kind, *scope)
        if not members:
            return Slice([], None)

        def fill(pipe: Any) -> None:
            for name in members:
                pipe.hget(keys.record(kind, name), "value")

        found = await self._store.read(fill)
        return Slice([decode(value) for value in found if value], next_cursor)

    async def _members(self, cursor: str | None, limit: int, kind: str, *scope: str) -> tuple[list[str], str | None]:
        """Ids below the cursor, newest first, and the cursor of the last one when more follow."""
        if cursor is not None and not cursor[:MEMBER_TIME_DIGITS].isdecimal():
            raise WrongCursor(cursor)
        highest = f"({cursor}" if cursor else "+"
        (found,) = await self._store.read(
            lambda pipe: pipe.zrevrangebylex(keys.index(kind, *scope), highest, "-", start=0, num=limit + 1)
        )
        members = [value.decode() for value in found]
        return [name[MEMBER_TIME_DIGITS:] for name in members[:limit]], members[limit - 1] if len(
            members
        ) > limit else None


def _run(run_id: str, task: bytes | None, stats: dict[bytes, bytes], attempt: int | None = None) -> RunView | None:
    return run_view(run_id, _task(task) if task else None, _lanes(stats.values()), attempt)


def _lanes(values: Iterable[bytes]) -> list[LaneStats]:
    """Each value is `offset`, a blank, and the statistics; those that were deleted have none."""
    return [_stats(text) for _, _, text in (value.partition(b" ") for value in values) if text]
