"""Who a row is: its run, attempt, lane and index, from what the record says and where it stood. Pure.

Rows of our producer carry an `epoch`; all others belong to a run named by `run_id` or by the record's key, with the partition as lane and
the offset as index, so identity is unique and repeatable. A record that does not say whose it is belongs to the run of its key, never ours.
A redriven row has the identity of its first try, which a header tells (`rows.redrive`).
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from schemas.ids import RUN_ID, external_run_id, is_task_id, row_key
from schemas.messages import Reason

PartitionOf = Callable[[bytes], int]
"""Where the default partitioner puts a key of `rows.v1`."""


class Identity(Struct, frozen=True, gc=False):
    """`(run_id, attempt, row_index)` names the row for ever. `epoch` is 0 unless our producer sent it; `owned` says that it did."""

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


class Unidentified(Struct, frozen=True):
    """Why a record's identity cannot be told."""

    reason: Reason
    message: str
    path: str | None


def identify(fields: Any, *, key: bytes | None, partition: int, offset: int, partition_of: PartitionOf) -> Identity | Unidentified:
    """Return the identity; `fields` has the attributes run_id, attempt, epoch, lane, lanes, row_index as in `schemas.messages.Row`."""
    run_id = fields.run_id
    if run_id is not None and not RUN_ID.fullmatch(run_id):
        return Unidentified("invalid_field", f"a run id matches {RUN_ID.pattern}", "$.run_id")
    if fields.epoch is not None:
        return _owned(fields, partition, partition_of)
    if run_id is None:
        return stranger(key, partition, offset, partition_of)
    if is_task_id(run_id):
        return Unidentified("run_owned", f"run {run_id} is replayed by our producer; its rows carry an epoch", "$.run_id")
    home = partition_of(run_id.encode())
    name = run_id if home == partition else external_run_id(run_id.encode(), partition, keyed_partition=home)
    return Identity(name, 1, partition, 1, offset)


def stranger(key: bytes | None, partition: int, offset: int, partition_of: PartitionOf) -> Identity:
    """Whose a record is that does not say so: the run of its key, or of its partition."""
    name = external_run_id(key, partition, keyed_partition=partition_of(key) if key is not None else None)
    return Identity(name, 1, partition, 1, offset)


def _owned(fields: Any, partition: int, partition_of: PartitionOf) -> Identity | Unidentified:
    run_id, lane, lanes, row_index = fields.run_id, fields.lane, fields.lanes, fields.row_index
    if run_id is None:
        return Unidentified("invalid_field", "a row with an epoch names its run", "$.run_id")
    if row_index is None:
        return Unidentified("invalid_field", "a row with an epoch has a row index", "$.row_index")
    if row_index % lanes != lane:
        return Unidentified("invalid_field", f"row {row_index} of {lanes} lanes travels in lane {row_index % lanes}, not {lane}", "$.lane")
    home = partition_of(row_key(run_id, lane, lanes))
    if home != partition:
        return Unidentified("misplaced", f"lane {lane} of run {run_id} travels in partition {home}, not {partition}", "$.lane")
    return Identity(run_id, fields.attempt, lane, lanes, row_index, fields.epoch, owned=True)
