"""The projection: a record of Kafka becomes guarded operations on Redis. Pure.

No record of ours can stop it: one that cannot be read is `PassedOver`, with the reason.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeVar

from msgspec import Struct

from schemas import topics
from schemas.decoding import Unreadable, describe, reader
from schemas.ids import POSITION_PREFIX, RUN_ID, alias_key, is_task_id, microseconds, stats_key
from schemas.manifests import DatasetManifest, ModelManifest, SplitManifest
from schemas.messages import Alias, DeadLetter, DeadLetterMark, LaneStats, encode
from schemas.tasks import LogEntry, TaskState
from storage.view import redis_keys as keys
from storage.view.operations import DEFAULT, Add, Keep, KeepLane, Letter, Limits, ListRun, Mark, Operation
from storage.view.predictions import ProjectedBatch, project_predictions

PROJECTED = (
    topics.TASKS,
    topics.PREDICTIONS,
    topics.STATS_CHANGELOG,
    topics.DEAD_LETTERS,
    topics.MODELS,
    topics.DATASETS,
    topics.TASK_LOGS,
)
FINAL = 1 << 52
"""Above any offset: a purged letter stays purged, whatever is tried with it afterwards."""
FOREIGN_WORKSPACE = "default"
"""Where runs of other systems are listed: it is this workspace's champion that scores rows which name no model."""
SHOWN_BYTES = 4096
KEPT_BYTES = 16_384
"""A dead letter with a larger record is not kept whole: of its value and key the beginning is shown, the rest is read
from Kafka."""
STATS_KEY = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.@-]{0,99}):([1-9][0-9]{0,9}):(0|[1-9][0-9]{0,9})", re.ASCII)
Listed = DatasetManifest | SplitManifest | ModelManifest


class Projected(Struct, frozen=True):
    """What a record does: operations, and the task or run whose readers must hear of it."""

    operations: tuple[Operation, ...]
    touched: str | None = None


class PassedOver(Struct, frozen=True):
    """A record of ours that cannot be read: passed over, so that it does not hold up the others."""

    reason: str


class KeptLetter(Struct):
    """A dead letter as it is kept in Redis, and where its record stands on `dead-letters.v1`; not `whole`: of its value
    the beginning."""

    letter: DeadLetter
    partition: int
    offset: int
    whole: bool


class LetterFacts(Struct, array_like=True):
    """What dead letters are filtered by."""

    reason: str
    topic: str
    run_id: str | None


class _Marked(Struct):
    """Tells marks from letters."""

    mark: str | None = None


T = TypeVar("T")
_marked = reader(_Marked)
_mark = reader(DeadLetterMark)
_stats = reader(LaneStats)
_task = reader(TaskState)
_dead_letter = reader(DeadLetter)
_alias = reader(Alias)
_log = reader(LogEntry)
_model = reader(ModelManifest)
_split = reader(SplitManifest)
_dataset = reader(DatasetManifest)


class _Wrong(ValueError):
    """What the record says cannot be; why."""


def project(
    topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None, limits: Limits = DEFAULT
) -> Projected | PassedOver:
    """Say what a record does to the view. Nothing is raised for any bytes."""
    try:
        return _PROJECTIONS[topic](partition, offset, (key or b"").decode(), value, limits)
    except ValueError as error:
        return PassedOver(describe(error))


def _read(read: Callable[[bytes | None], T | Unreadable], value: bytes | None) -> T:
    found = read(value)
    if isinstance(found, Unreadable):
        raise _Wrong(found.reason)
    return found


def _keyed(key: str, named: str) -> None:
    """The key is what the record says it is: it becomes a name in Redis."""
    if key != named:
        raise _Wrong(f"the key {key!r:.80} is not that of {named}")


def _known_form(key: str) -> str:
    if not RUN_ID.fullmatch(key):
        raise _Wrong(f"the key {key!r:.80} has not the form of an id")
    return key


def project_all(
    topic: str, partition: int, records: Iterable[tuple[int, bytes | None, bytes | None]], limits: Limits = DEFAULT
) -> ProjectedBatch:
    """Project `(offset, key, value)` records of one partition, in order. Nothing is raised for any bytes."""
    if topic == topics.PREDICTIONS.name:
        return project_predictions(partition, ((offset, value) for offset, _, value in records), limits)
    batch = ProjectedBatch([], set(), [])
    for offset, key, value in records:
        projected = project(topic, partition, offset, key, value, limits)
        if isinstance(projected, PassedOver):
            batch.rejected.append((offset, projected.reason))
            continue
        batch.operations += projected.operations
        if projected.touched:
            batch.touched.add(projected.touched)
    return batch


def _project_task(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    if value is None:
        return Projected((Keep(keys.record("task", _known_form(key)), offset, ""),), key)
    task = _read(_task, value)
    _keyed(key, task.task_id)
    listed = keys.index("task", task.workspace, task.kind)
    return Projected(
        (Keep(keys.record("task", key), offset, value.decode(), (listed,), member(task.created_at, key)),), key
    )


def _project_prediction(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    batch = project_predictions(partition, ((offset, value),), limits)
    if batch.rejected:
        raise _Wrong(batch.rejected[0][1])
    return Projected(tuple(batch.operations), next(iter(batch.touched), None))


def _project_stats(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    if key.encode().startswith(POSITION_PREFIX):
        return Projected(())
    if found := STATS_KEY.fullmatch(key):
        run_id, attempt, lane = found.groups()
    else:
        raise _Wrong(f"the key {key!r:.80} is none of statistics")
    if not value:
        raise _Wrong("statistics have no tombstones: the processor writes none")
    stats = _read(_stats, value)
    _keyed(key, stats_key(stats.run_id, stats.attempt, stats.lane).decode())
    if stats.partition != partition:
        raise _Wrong(f"statistics of partition {stats.partition} in partition {partition}")
    kept = KeepLane(keys.stats(run_id), offset, value.decode(), f"{attempt}:{lane}", stats.read, partition)
    if stats.epoch or is_task_id(run_id):
        return Projected((kept,), run_id)
    begun = stats.begun_at or stats.first_scored_at or datetime.fromtimestamp(0, UTC)
    index = keys.index("task", FOREIGN_WORKSPACE, "run")
    return Projected((kept, ListRun(index, run_id, member(begun, run_id))), run_id)


def _project_dead_letter(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    if value is None:
        return Projected(())
    if _read(_marked, value).mark is not None:
        mark = _read(_mark, value)
        order = offset + (FINAL if mark.mark == "purged" else 0)
        return Projected((Mark(mark.dead_letter_id, order, value.decode()),), mark.run_id)
    letter = _read(_dead_letter, value)
    name, whole = letter.dead_letter_id, len(value) <= KEPT_BYTES
    if not whole:
        letter.value, letter.key, letter.headers = (
            letter.value[:SHOWN_BYTES],
            letter.key and letter.key[:SHOWN_BYTES],
            {},
        )
        letter.all_headers = []
    kept = KeptLetter(letter=letter, partition=partition, offset=offset, whole=whole)
    facts = LetterFacts(letter.reason, letter.topic, letter.run_id)
    return Projected(
        (
            Letter(
                name,
                member(letter.occurred_at, name),
                encode(facts).decode(),
                encode(kept).decode(),
                limits.dead_letters,
            ),
        ),
        letter.run_id,
    )


def _project_model(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    kind = "alias" if "@" in key else "model"
    if value is None:
        return Projected((Keep(keys.record(kind, _known_form(key)), offset, ""),))
    if kind == "alias":
        alias = _read(_alias, value)
        _keyed(key, alias_key(alias.alias, alias.workspace))
        return Projected((Keep(keys.record(kind, key), offset, value.decode()),))
    model = _read(_model, value)
    _keyed(key, model.model_version)
    return Projected((_kept(kind, key, offset, value, model, model.workspace),))


def _project_dataset(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    kind = "split" if key.startswith("split-") else "dataset"
    if value is None:
        return Projected((Keep(keys.record(kind, _known_form(key)), offset, ""),))
    if kind == "split":
        split = _read(_split, value)
        _keyed(key, split.split_id)
        return Projected((_kept(kind, key, offset, value, split, split.workspace, split.dataset_id),))
    dataset = _read(_dataset, value)
    _keyed(key, dataset.dataset_id)
    return Projected((_kept(kind, key, offset, value, dataset, dataset.workspace),))


def _kept(kind: str, key: str, offset: int, value: bytes, manifest: Listed, *scope: str) -> Keep:
    """A manifest is listed in its workspace, and within each narrower scope."""
    listed = tuple(keys.index(kind, *scope[: end + 1]) for end in range(len(scope)))
    return Keep(keys.record(kind, key), offset, value.decode(), listed, member(manifest.created_at, key))


def _project_log(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    if value is None:
        return Projected(())
    entry = _read(_log, value)
    return Projected((Add(keys.logs(entry.task_id), offset, f"{offset} {value.decode()}", limits.logs),), entry.task_id)


_PROJECTIONS: dict[str, Callable[[int, int, str, bytes | None, Limits], Projected]] = {
    topics.TASKS.name: _project_task,
    topics.PREDICTIONS.name: _project_prediction,
    topics.STATS_CHANGELOG.name: _project_stats,
    topics.DEAD_LETTERS.name: _project_dead_letter,
    topics.MODELS.name: _project_model,
    topics.DATASETS.name: _project_dataset,
    topics.TASK_LOGS.name: _project_log,
}


def member(created_at: datetime, name: str) -> str:
    """Member of an index by time: sorts by time, then by name."""
    return f"{microseconds(created_at):017d}{name}"


MEMBER_TIME_DIGITS = 17
