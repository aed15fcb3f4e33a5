"""What the projection does to Redis, as values, and what a batch of it may leave out. Pure; `storage.view.redis_script`
carries it out.

Each operation is guarded: carried out twice, late, or before others it gives the same view. Keyed records carry their
offset and only a newer one replaces them; predictions, dead letters and logs are sets of which the newest are kept.
"""

from collections.abc import Iterable

from msgspec import Struct


class Keep(Struct, frozen=True, array_like=True, tag="keep"):
    """Keep a keyed record and list it under `member` in `indexes`; an empty value deletes it."""

    key: str
    offset: int
    value: str
    indexes: tuple[str, ...] = ()
    member: str = ""


class KeepLane(Struct, frozen=True, array_like=True, tag="lane"):
    """Keep a lane's statistics. What stands at a lower record of the lane, `at`, is an old copy, however
    late it was written; what is not of the `partition` of the first copy is foreign."""

    key: str
    offset: int
    value: str
    field: str
    at: int = -1
    partition: int = 0


class Answers(Struct, frozen=True, array_like=True, tag="answers"):
    """Add predictions of one attempt of a run, as (row index, record value).

    `reach` has per lane its number, lowest and highest row index. `starts` has (lane:bucket, row index, partition,
    offset) for the first prediction of a bucket. `dropped`: more were seen than are kept.
    """

    key: str
    reach_key: str
    offsets_key: str
    entries: tuple[tuple[int, str], ...]
    reach: tuple[tuple[int, int, int], ...]
    starts: tuple[tuple[str, int, int, int], ...]
    dropped: bool = False
    at: int = 0
    """When the last of them was made, in microseconds: runs are thinned in this order."""


class Add(Struct, frozen=True, array_like=True, tag="add"):
    """Add a member to a sorted set of which the highest `limit` are kept."""

    key: str
    score: int
    member: str
    limit: int


class Letter(Struct, frozen=True, array_like=True, tag="letter"):
    """Keep a dead letter; of more than `limit` the oldest by `member` (time, id) are let go, and it is noted that there
    were any."""

    dead_letter_id: str
    member: str
    facts: str
    value: str
    limit: int


class Mark(Struct, frozen=True, array_like=True, tag="mark"):
    """Keep what became of a dead letter, if that is kept; what is highest in `order` holds."""

    dead_letter_id: str
    order: int
    value: str


class ListRun(Struct, frozen=True, array_like=True, tag="listed"):
    """List another system's run once in `index`, under the lowest `member` of its lanes: partitions are read in any
    order."""

    index: str
    run_id: str
    member: str


class Older(Struct, frozen=True, array_like=True, tag="older"):
    """Note that there are dead letters which are on the topic only."""


Operation = Keep | KeepLane | Answers | Add | Letter | Mark | ListRun | Older


class Limits(Struct, frozen=True):
    """How much of what has no end is kept in Redis; the rest is read from Kafka. `runs`: how many runs have predictions
    here."""

    predictions: int = 1000
    logs: int = 1000
    dead_letters: int = 5000
    runs: int = 200


DEFAULT = Limits()


def fold(operations: Iterable[Operation], limits: Limits) -> list[Operation]:
    """Leave out of a batch what cannot be seen after it: older values of a key, and predictions beyond those that are
    kept."""
    newest: dict[tuple[str, str], Keep | KeepLane] = {}
    answers: dict[str, list[Answers]] = {}
    added: list[Operation] = []
    listed: dict[str, ListRun] = {}
    for operation in operations:
        match operation:
            case Keep() | KeepLane():
                name = (operation.key, operation.field if isinstance(operation, KeepLane) else "")
                known = newest.get(name)
                if known is None or _order(known) < _order(operation):
                    newest[name] = operation
            case Answers():
                answers.setdefault(operation.key, []).append(operation)
            case ListRun():
                listed[operation.run_id] = min(operation, listed.get(operation.run_id, operation), key=_member)
            case _:
                added.append(operation)
    return [
        *newest.values(),
        *(_joined(parts, limits.predictions) for parts in answers.values()),
        *added,
        *listed.values(),
    ]


def _order(operation: Keep | KeepLane) -> tuple[int, int]:
    return (operation.at if isinstance(operation, KeepLane) else 0, operation.offset)


def _member(operation: ListRun) -> str:
    return operation.member


def _joined(parts: list[Answers], limit: int) -> Answers:
    """One operation for a run's predictions of a batch."""
    if len(parts) == 1:
        return parts[0]
    reach: dict[int, tuple[int, int, int]] = {}
    starts: dict[str, tuple[str, int, int, int]] = {}
    for part in parts:
        for lane, low, high in part.reach:
            known = reach.get(lane, (lane, low, high))
            reach[lane] = (lane, min(known[1], low), max(known[2], high))
        for start in part.starts:
            if start[0] not in starts or start[3] < starts[start[0]][3]:
                starts[start[0]] = start
    entries = sorted({entry for part in parts for entry in part.entries})
    dropped = len(entries) > limit or any(part.dropped for part in parts)
    first = parts[0]
    return Answers(
        first.key,
        first.reach_key,
        first.offsets_key,
        tuple(entries[-limit:]),
        tuple(reach.values()),
        tuple(starts.values()),
        dropped,
        max(part.at for part in parts),
    )
