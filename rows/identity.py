"""Who a row is: its run, attempt, lane and index, from what the record says and where it stood. Pure.

Rows of our producer carry an `epoch` and travel on `rows.v1`. Those of other systems travel on `ingress.rows.v1` and
belong to a run named by `run_id` or by the record's key; partition and offset give lane and index, so identity is
unique and repeatable (ADR 33). A record that does not say whose it is belongs to the run of its key, never ours. A
redriven row has the identity of its first try, which a header tells (`rows.redrive`).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Protocol

from msgspec import Struct

from schemas.ids import RUN_ID, external_run_id, foreign_lane, foreign_lanes, is_task_id, row_key
from schemas.messages import Reason
from schemas.topics import INGRESS

MARKERS: Final = {"attempt": 1, "epoch": None, "lane": 0, "lanes": 1}
"""What only rows of our producer carry, and what a packed row of another system says in its place, as null does."""


class PartitionOf:
    """Where the default partitioner puts a key. `foreign_on_rows`: rows of other systems are taken on `rows.v1`,
    too."""

    def __init__(
        self, partitions: int, partitioner: Callable[[bytes, int], int], *, foreign_on_rows: bool = False
    ) -> None:
        self.partitions, self.foreign_on_rows = partitions, foreign_on_rows
        self._of = lru_cache(4096)(lambda key: partitioner(key, partitions))

    def __call__(self, key: bytes) -> int:
        return self._of(key)


class Place(Protocol):
    """Where a record stood."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...


class Identity(Struct, frozen=True, gc=False):
    """`(run_id, attempt, row_index)` names the row for ever. `epoch` is 0 unless our producer sent it; `owned` says
    that it did."""

    run_id: str
    attempt: int
    lane: int
    lanes: int
    row_index: int
    epoch: int = 0
    owned: bool = False
    redrives: str | None = None
    """The dead letter that is sent again."""

    @property
    def redriven(self) -> bool:
        """Whether it is a dead letter's row, sent again."""
        return self.redrives is not None

    @property
    def foreign(self) -> bool:
        """Whether it is another system's row, numbered by where it stood."""
        return not self.owned and self.redrives is None


class Unidentified(Struct, frozen=True):
    """Why a record's identity cannot be told."""

    reason: Reason
    message: str
    path: str | None


def identify(fields: Any, record: Place, partition_of: PartitionOf) -> Identity | Unidentified:
    """Return the identity; `fields` has the attributes run_id, attempt, epoch, lane, lanes, row_index as in
    `schemas.messages.Row`."""
    run_id = fields.run_id
    if run_id is not None and not RUN_ID.fullmatch(run_id):
        return Unidentified("invalid_field", f"a run id matches {RUN_ID.pattern}", "$.run_id")
    if record.topic != INGRESS.name and fields.epoch is not None:
        return _owned(fields, record.partition, partition_of)
    if run_id is not None and is_task_id(run_id):
        return Unidentified(
            "run_owned", f"run {run_id} is replayed by our producer; its rows carry an epoch", "$.run_id"
        )
    if record.topic != INGRESS.name and not partition_of.foreign_on_rows:
        return Unidentified(
            "wrong_topic",
            f"rows of other systems travel on {INGRESS.name}; {record.topic} holds those of our producer",
            None,
        )
    return stranger(record, partition_of) if run_id is None else foreign(run_id, record, partition_of.partitions)


def carried(fields: Any, *, packed: bool = False) -> Unidentified | None:
    """What a row on `ingress.rows.v1` may not say, if it does."""
    for name, nothing in MARKERS.items():
        value = getattr(fields, name)
        if value is not None and not (packed and value == nothing):
            return Unidentified(
                "invalid_field", f"only rows of our own producer carry {name}: leave it out", f"$.{name}"
            )
    return None


def stranger(record: Place, partition_of: PartitionOf) -> Identity:
    """Whose a record is that does not say so: the run of its key."""
    return foreign(external_run_id(record.key), record, partition_of.partitions)


def foreign(run_id: str, record: Place, partitions: int) -> Identity:
    """The identity of another system's row. Indices of its partitions and of both topics never meet; in each they grow
    with the offset."""
    lane, lanes = foreign_lane(record.topic, record.partition, partitions), foreign_lanes(partitions)
    return Identity(run_id, 1, lane, lanes, record.offset * lanes + lane)


def _owned(fields: Any, partition: int, partition_of: PartitionOf) -> Identity | Unidentified:
    run_id, row_index = fields.run_id, fields.row_index
    attempt, lane, lanes = (1 if fields.attempt is None else fields.attempt), fields.lane or 0, fields.lanes or 1
    if run_id is None:
        return Unidentified("invalid_field", "a row with an epoch names its run", "$.run_id")
    if row_index is None:
        return Unidentified("invalid_field", "a row with an epoch has a row index", "$.row_index")
    if row_index % lanes != lane:
        return Unidentified(
            "invalid_field",
            f"row {row_index} of {lanes} lanes travels in lane {row_index % lanes}, not {lane}",
            "$.lane",
        )
    home = partition_of(row_key(run_id, lane, lanes))
    if home != partition:
        return Unidentified(
            "misplaced", f"lane {lane} of run {run_id} travels in partition {home}, not {partition}", "$.lane"
        )
    return Identity(run_id, attempt, lane, lanes, row_index, fields.epoch, owned=True)
