"""The projection: a record of Kafka becomes guarded operations on Redis. Pure.

No record of ours can stop it: one that cannot be read is `Rejected`, with the reason.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from pydantic import ValidationError

from schemas import topics
from schemas.ids import POSITION_PREFIX, is_task_id, microseconds
from schemas.manifests import DatasetManifest, ModelManifest, SplitManifest
from schemas.messages import Alias, DeadLetter, DeadLetterMark, LaneStats, encode
from schemas.tasks import LogEntry, TaskState
from storage import redis_keys as keys
from storage.operations import DEFAULT, Add, Keep, Lane, Letter, Limits, ListRun, Mark, Operation
from storage.predictions import ProjectedBatch, project_predictions

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
"""A dead letter with a larger record is not kept whole: of its value and key the beginning is shown, the rest is read from Kafka."""
Listed = DatasetManifest | SplitManifest | ModelManifest


class Projected(Struct, frozen=True):
    """What a record does: operations, and the task or run whose readers must hear of it."""

    operations: tuple[Operation, ...]
    touched: str | None = None


class Rejected(Struct, frozen=True):
    """A record of ours that cannot be read: passed over, so that it does not hold up the others."""

    reason: str


class KeptLetter(Struct):
    """A dead letter as it is kept in Redis, and where its record stands on `dead-letters.v1`; not `whole`: of its value the beginning."""

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


_marked = msgspec.json.Decoder(_Marked).decode
_mark = msgspec.json.Decoder(DeadLetterMark).decode
_stats = msgspec.json.Decoder(LaneStats).decode
_task = msgspec.json.Decoder(TaskState).decode
_dead_letter = msgspec.json.Decoder(DeadLetter).decode
_alias = msgspec.json.Decoder(Alias).decode
_log = msgspec.json.Decoder(LogEntry).decode


def project(
    topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None, limits: Limits = DEFAULT
) -> Projected | Rejected:
    """Say what a record does to the view. Nothing is raised for any bytes."""
    name = (key or b"").decode("utf-8", "replace")
    try:
        return _PROJECTIONS[topic](partition, offset, name, value, limits)
    except (msgspec.MsgspecError, ValidationError, ValueError) as error:
        return Rejected(str(error)[:500])


def project_all(
    topic: str, partition: int, records: Iterable[tuple[int, bytes | None, bytes | None]], limits: Limits = DEFAULT
) -> ProjectedBatch:
    """Project `(offset, key, value)` records of one partition, in order. Nothing is raised for any bytes."""
    if topic == topics.PREDICTIONS.name:
        return project_predictions(partition, ((offset, value) for offset, _, value in records), limits)
    batch = ProjectedBatch([], set(), [])
    for offset, key, value in records:
        projected = project(topic, partition, offset, key, value, limits)
        if isinstance(projected, Rejected):
            batch.rejected.append((offset, projected.reason))
            continue
        batch.operations += projected.operations
        if projected.touched:
            batch.touched.add(projected.touched)
    return batch


def _project_task(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    if not value:
        return Projected((Keep(keys.record("task", key), offset, ""),), key)
    task = _task(value)
    listed = keys.index("task", task.workspace, task.kind)
    return Projected((Keep(keys.record("task", key), offset, value.decode(), (listed,), member(task.created_at, key)),), key)


def _project_prediction(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    batch = project_predictions(partition, ((offset, value),), limits)
    if batch.rejected:
        raise ValueError(batch.rejected[0][1])
    return Projected(tuple(batch.operations), next(iter(batch.touched), None))


def _project_stats(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    if key.encode().startswith(POSITION_PREFIX):
        return Projected(())
    run_id, attempt, lane = key.rsplit(":", 2)
    kept = Lane(keys.stats(run_id), offset, (value or b"").decode(), f"{int(attempt)}:{int(lane)}")
    found = _stats(value) if value else None
    if found is None or found.epoch or is_task_id(run_id):
        return Projected((kept,), run_id)
    begun = found.begun_at or found.first_scored_at or datetime.fromtimestamp(0, UTC)
    index = keys.index("task", FOREIGN_WORKSPACE, "run")
    return Projected((kept, ListRun(index, run_id, member(begun, run_id))), run_id)


def _project_dead_letter(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    if not value:
        return Projected(())
    if _marked(value).mark is not None:
        mark = _mark(value)
        order = offset + (FINAL if mark.mark == "purged" else 0)
        return Projected((Mark(mark.dead_letter_id, order, value.decode()),), mark.run_id)
    letter = _dead_letter(value)
    name, whole = letter.dead_letter_id, len(value) <= KEPT_BYTES
    if not whole:
        letter.value, letter.key, letter.headers = letter.value[:SHOWN_BYTES], letter.key and letter.key[:SHOWN_BYTES], {}
        letter.all_headers = []
    kept = KeptLetter(letter=letter, partition=partition, offset=offset, whole=whole)
    facts = LetterFacts(letter.reason, letter.topic, letter.run_id)
    return Projected(
        (Letter(name, member(letter.occurred_at, name), encode(facts).decode(), encode(kept).decode(), limits.dead_letters),), letter.run_id
    )


def _project_model(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    kind = "alias" if "@" in key else "model"
    if not value:
        return Projected((Keep(keys.record(kind, key), offset, ""),))
    if kind == "alias":
        _alias(value)
        return Projected((Keep(keys.record(kind, key), offset, value.decode()),))
    model = ModelManifest.model_validate_json(value)
    return Projected((_kept(kind, key, offset, value, model, model.workspace),))


def _project_dataset(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    kind = "split" if key.startswith("split-") else "dataset"
    if not value:
        return Projected((Keep(keys.record(kind, key), offset, ""),))
    if kind == "split":
        split = SplitManifest.model_validate_json(value)
        return Projected((_kept(kind, key, offset, value, split, split.workspace, split.dataset_id),))
    dataset = DatasetManifest.model_validate_json(value)
    return Projected((_kept(kind, key, offset, value, dataset, dataset.workspace),))


def _kept(kind: str, key: str, offset: int, value: bytes, manifest: Listed, *scope: str) -> Keep:
    """A manifest is listed in its workspace, and within each narrower scope."""
    listed = tuple(keys.index(kind, *scope[: end + 1]) for end in range(len(scope)))
    return Keep(keys.record(kind, key), offset, value.decode(), listed, member(manifest.created_at, key))


def _project_log(partition: int, offset: int, key: str, value: bytes | None, limits: Limits) -> Projected:
    if not value:
        return Projected(())
    entry = _log(value)
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
