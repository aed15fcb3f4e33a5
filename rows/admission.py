"""May a record say what it says about a run of ours? Pure.

What claims to be from a producer must claim an epoch that a producer of that run has had (`run-positions.v1`), and
whatever is about a lane must stand in the partition in which the lane travels: offsets of different partitions cannot
be compared. All else becomes a dead letter of the run of its key, so it changes no number of the run that it names.
"""

from typing import NamedTuple, Protocol

from rows.decode import Item, SourceRecord
from rows.identity import Identity, PartitionOf, stranger
from rows.rejected import Rejected
from schemas.ids import is_task_id, row_key
from schemas.messages import Purge, RunEnd, RunSkip
from schemas.tasks import Marks


class Epochs(Protocol):
    """What is known of the producers of runs (`runtime.run_epochs`)."""

    def sends(self, run_id: str, attempt: int, epoch: int) -> bool:
        """Whether this attempt and epoch can be those of a producer of the run."""

    def lanes(self, run_id: str) -> int | None:
        """How many lanes the run has; null when that is not known."""

    def marks(self, run_id: str, epoch: int) -> Marks | None:
        """What the producer of this epoch said of markers; null when it is not known, or said nothing."""


class Doubt(NamedTuple):
    """Why a record is not believed."""

    reason: str
    path: str
    made_up: bool = False
    """The claim may be one that is not known yet."""


class Admission:
    """Judges the records of one batch. `unknown`: one was refused for a claim that may only be too new to be known."""

    def __init__(self, epochs: Epochs, partition_of: PartitionOf) -> None:
        self.unknown = False
        self._epochs, self._partition_of = epochs, partition_of

    def owns(self, identity: Identity) -> bool:
        """Whether a producer's row that stands where its lane travels is one of the run's; if not, the record is looked
        at closely."""
        return self._claim(identity) is None

    def admitted(self, record: SourceRecord, item: Item) -> Item:
        """Return the item, or `Rejected` when it is about a run of ours and may not be."""
        doubt = self._doubt(record.partition, item)
        if doubt is None:
            return item
        self.unknown |= doubt.made_up
        whose = stranger(record, self._partition_of)
        version = item.model_version if isinstance(item, Rejected) else None
        return Rejected("not_owner" if doubt.made_up else "misplaced", doubt.reason, doubt.path, whose, version)

    def _doubt(self, partition: int, item: Item) -> Doubt | None:
        if isinstance(item, RunEnd | RunSkip):
            return self._misplaced_marker(partition, item) or self._claim(item) or self._unsaid(item)
        if isinstance(item, Purge):
            return self._misplaced_order(partition, item)
        identity = item.identity
        if identity is None or not (identity.owned or identity.redriven):
            return None
        return self._claim(identity) if identity.owned else self._misplaced_order(partition, identity)

    def _claim(self, whose: Identity | RunEnd | RunSkip) -> Doubt | None:
        if not self._epochs.sends(whose.run_id, whose.attempt, whose.epoch):
            claim = f"attempt {whose.attempt} and epoch {whose.epoch}"
            return Doubt(f"no producer of run {whose.run_id} has had {claim}", "$.epoch", made_up=True)
        lanes = self._epochs.lanes(whose.run_id)
        if lanes is not None and lanes != whose.lanes:
            return Doubt(f"run {whose.run_id} has {lanes} lanes, not {whose.lanes}", "$.lanes")
        return None

    def _unsaid(self, marker: RunEnd | RunSkip) -> Doubt | None:
        marks = self._epochs.marks(marker.run_id, marker.epoch)
        if marks is None or said(marks, marker):
            return None
        what, path = ("end", "$.end_index") if isinstance(marker, RunEnd) else ("skip", "$.to_index")
        return Doubt(
            f"the producer of run {marker.run_id} with epoch {marker.epoch} has not announced this {what}",
            path,
            made_up=True,
        )

    def _misplaced_marker(self, partition: int, marker: RunEnd | RunSkip) -> Doubt | None:
        if marker.lane >= marker.lanes:
            return Doubt(f"there is no lane {marker.lane} of {marker.lanes}", "$.lane")
        home = self._partition_of(row_key(marker.run_id, marker.lane, marker.lanes))
        return self._elsewhere(partition, marker.run_id, marker.lane, home)

    def _misplaced_order(self, partition: int, order: Purge | Identity) -> Doubt | None:
        """An order about a letter stands in the letter's partition. Of a run of ours that is not known any more the
        table tells."""
        lanes = self._epochs.lanes(order.run_id)
        if lanes is None:
            home = partition if is_task_id(order.run_id) else order.lane % self._partition_of.partitions
        elif order.lane < lanes:
            home = self._partition_of(row_key(order.run_id, order.lane, lanes))
        else:
            return Doubt(f"there is no lane {order.lane} of {lanes}", "$.lane")
        return self._elsewhere(partition, order.run_id, order.lane, home)

    def _elsewhere(self, partition: int, run_id: str, lane: int, home: int) -> Doubt | None:
        return (
            None
            if home == partition
            else Doubt(f"lane {lane} of run {run_id} travels in partition {home}, not {partition}", "$.lane")
        )


def said(marks: Marks, marker: RunEnd | RunSkip) -> bool:
    """Whether a producer announced this marker."""
    lane, lanes = marker.lane, marker.lanes
    if isinstance(marker, RunEnd):
        told = (marks.ending, marks.message, marks.ends[lane] if lane < len(marks.ends) else None)
        return told == (marker.ending, marker.message, marker.end_index)
    if marker.to_index - lanes < marks.unlisted:
        return True
    return any(first <= marker.from_index and to + (lane - to) % lanes == marker.to_index for first, to in marks.skips)
