"""The records of a batch counted one by one, in the order of the log, into what its transaction writes. Pure.

Whether a row is new is `count`'s to say; here its answer, its dead letter, the mark of a redrive and the order to end a
run are made, so that they stand in one transaction with the statistics that they belong to.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

import msgspec

from rows.decode import SourceRecord
from rows.identity import Identity, PartitionOf, foreign, stranger
from rows.packed import row_record
from rows.rejected import Rejected
from schemas.ids import OTHERS_RUN_ID, UNKEYED_RUN_ID, position_key, stats_key
from schemas.messages import DeadLetter, DeadLetterMark, LaneStats, Prediction, Purge, RunEnd, RunSkip, encode
from schemas.tasks import Command
from schemas.topics import MAX_KEY_BYTES
from stream_processor.batch.answers import ScoredRow, dead_letter, forwarded, prediction
from stream_processor.batch.bulk import answer_all
from stream_processor.batch.count import (
    ADMITTED,
    Admission,
    DeadLetterLimits,
    admit,
    check_limits,
    count,
    count_dead_letter,
    end,
    new_lane,
    note,
    pass_over,
    place,
)
from stream_processor.batch.reading import Span
from stream_processor.batch.redrive import answered, dead_again, in_vain, purge, purged

Handled: TypeAlias = ScoredRow | Span | RunEnd | RunSkip | Purge | Rejected
_lane_stats = msgspec.json.Decoder(LaneStats).decode


@dataclass(slots=True)
class BatchOutcome:
    """What the batch's transaction writes, as (key, value), and what happened."""

    predictions: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    dead_letters: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    marks: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    forwarded: dict[int, list[tuple[str, bytes]]] = field(default_factory=dict)
    """By place in `predictions`, headers of the row that its answer carries on."""
    commands: list[tuple[bytes, bytes]] = field(default_factory=list)
    states: list[tuple[bytes, bytes]] = field(default_factory=list)
    position: int = -1
    dead_reasons: Counter[str] = field(default_factory=Counter)
    passed_by: Counter[Admission] = field(default_factory=Counter)
    models_used: set[str] = field(default_factory=set)


class Book:
    """Counts the records of a batch, in order."""

    def __init__(
        self,
        partition: int,
        state: Callable[[bytes], bytes | None],
        now: datetime,
        limits: DeadLetterLimits,
        partition_of: PartitionOf,
        *,
        brief: bool,
        forward: frozenset[str] = frozenset(),
        room: int,
    ) -> None:
        self.answered: list[tuple[SourceRecord, ScoredRow, Prediction]] = []
        """Rows whose reasons may be asked for: all of them, or, when `brief`, at least the last."""
        self._brief, self._forward = brief, forward
        self._room = room
        self._predictions: list[tuple[bytes | None, bytes | Prediction]] = []
        self._partition = partition
        self._state = state
        self._now = now
        self._limits = limits
        self._partition_of = partition_of
        self._lanes: dict[bytes, LaneStats] = {}
        self._outcome = BatchOutcome()

    def enter(self, record: SourceRecord, item: Handled) -> None:
        """Count one record, or a span of them, of which `record` is the first."""
        self._place(item)
        if isinstance(item, ScoredRow):
            self._row(record, item.opened.identity, item)
        elif isinstance(item, Span):
            self._span(record, item)
        elif isinstance(item, Purge):
            self._purge(record, item)
        elif not isinstance(item, Rejected):
            self._marker(record, item)
        else:
            assert item.identity is not None
            self._row(record, item.identity, item)

    def closed(self, last: SourceRecord) -> BatchOutcome:
        """What is to be written; `last` is the batch's last record."""
        outcome = self._outcome
        outcome.predictions = [
            pair if type(pair[1]) is bytes else (pair[0], encode(pair[1]))  # type: ignore[misc]
            for pair in self._predictions
        ]
        read = [(key, lane) for key, lane in self._lanes.items() if max(lane.offset, lane.ingress_offset) >= 0]
        outcome.states = [(key, encode(lane)) for key, lane in read]  # all are of this partition
        outcome.states.append((position_key(self._partition, last.topic), b"%d" % last.offset))
        outcome.position = last.offset
        outcome.models_used = {item.version for _, item, _ in self.answered}
        return outcome

    def _place(self, item: Handled) -> None:
        """Have a row of another system count in the attempt whose lanes are numbered as it is, where the run has
        room."""
        if isinstance(item, ScoredRow):
            item.opened.identity = self._with_room(self._attempted(item.opened.identity))
        elif isinstance(item, Rejected) and item.identity is not None:
            item.identity = self._with_room(self._attempted(item.identity))
        elif isinstance(item, Span) and item.packet.identity.foreign:
            item.packet.identity = self._with_room(self._attempted(item.packet.identity))
            for j, bad in item.packet.bad.items():
                bad.identity = item.packet.identity_of(j)

    def _attempted(self, identity: Identity) -> Identity:
        """The identity; where this partition's lanes of the run were numbered otherwise (before `ingress.rows.v1`), in
        the next attempt."""
        while identity.foreign and any(lane.lanes != identity.lanes for lane in self._both(identity)):
            identity = msgspec.structs.replace(identity, attempt=identity.attempt + 1)
        return identity

    def _both(self, identity: Identity) -> list[LaneStats]:
        """What is known of the lanes in which a run of another system has this partition's rows of either topic."""
        other = (identity.lane + identity.lanes // 2) % identity.lanes
        lanes = (self._known(identity), self._known(msgspec.structs.replace(identity, lane=other)))
        return [lane for lane in lanes if lane is not None]

    def _row(self, record: SourceRecord, identity: Identity, item: ScoredRow | Rejected) -> None:
        if identity.redriven and self._known(identity) is None:
            self._outcome.passed_by["not_skipped"] += 1
            return self._mark(record, in_vain(None, identity, self._now))
        if (lane := self._lane_of(record, identity)) is not None:
            self._enter(record, identity, item, lane, admit(lane, identity, record.offset, record.topic))
        return None

    def _span(self, record: SourceRecord, item: Span) -> None:
        """Each record is admitted once, by its offset; its rows one by one, by their index, unless it is plain that all
        follow."""
        packet = item.packet
        first = packet.identity
        lane = self._lane_of(record if first.owned else row_record(record, packet, 0, item.inputs), first)
        if lane is None:
            return
        plain = self._brief and not packet.bad and item.model and first.owned and record.offset > lane.offset
        if plain and place(lane, first) == "new":
            lane.offset = item.records[-1].offset
            self._predictions += answer_all(item, lane, self._now)
            last = self._predictions[-1][1]
            assert isinstance(last, Prediction)
            self.answered.append((item.records[-1], item.answered(packet.rows.count - 1), last))
            return
        last_record, unread = None, False
        for j, one in enumerate(item.records):
            if one is not last_record:
                last_record, unread = one, note(lane, one.offset, one.topic)
            identity, bad = packet.identity_of(j), packet.bad.get(j)
            admission = place(lane, identity) if unread else "read_again"
            alone = row_record(one, packet, j, item.inputs) if bad else one
            self._enter(alone, identity, bad or item.answered(j), lane, admission)

    def _lane_of(self, record: SourceRecord, identity: Identity) -> LaneStats | None:
        """The lane that a row would count in; null when it cannot count anywhere."""
        lane = self._lane(identity)
        if lane.epoch > 0 and not (identity.owned or identity.redriven):
            self._run_owned(record, identity.run_id)
            return None
        return lane

    def _with_room(self, identity: Identity) -> Identity:
        """The identity, or that in the run which all share for whose own run there is no room: statistics are kept for
        ever."""
        if identity.owned or identity.redriven or self._known(identity) is not None:
            return identity
        self._room -= 1
        if self._room >= 0:
            return identity
        return msgspec.structs.replace(identity, run_id=OTHERS_RUN_ID)

    def _enter(
        self,
        record: SourceRecord,
        identity: Identity,
        item: ScoredRow | Rejected,
        lane: LaneStats,
        admission: Admission,
    ) -> None:
        if admission not in ADMITTED:
            self._outcome.passed_by[admission] += 1
            if admission == "not_skipped":
                self._mark(record, in_vain(lane, identity, self._now))
        elif isinstance(item, Rejected):
            count_dead_letter(lane, admission, identity.row_index)
            letter = self._dead(record, item)
            if identity.redriven:
                self._mark(record, dead_again(identity, letter.dead_letter_id, letter.message, self._now))
            elif identity.owned and check_limits(lane, self._limits):
                self._fail(lane)
        else:
            answer = prediction(record, item, self._now)
            count(lane, admission, answer)
            if record.headers and not identity.owned and (carried := forwarded(record.headers, self._forward)):
                self._outcome.forwarded[len(self._predictions)] = carried
            self._predictions.append((record.key, answer))
            self.answered.append((record, item, answer))
            if identity.redriven:
                self._mark(record, answered(identity, self._now))

    def _run_owned(self, record: SourceRecord, run_id: str) -> None:
        """A row of another system that names a run of ours: it counts where rows count that do not say whose they
        are."""
        identity = self._with_room(stranger(record, self._partition_of))
        if (lane := self._lane(identity)).epoch > 0:
            identity = self._with_room(foreign(UNKEYED_RUN_ID, record, self._partition_of.partitions))
            lane = self._lane(identity)
        owned = Rejected(
            "run_owned", f"run {run_id} is replayed by our producer; its rows carry an epoch", "$.run_id", identity
        )
        self._enter(record, identity, owned, lane, admit(lane, identity, record.offset, record.topic))

    def _purge(self, record: SourceRecord, order: Purge) -> None:
        lane = self._known(order)
        if lane is None or purge(lane, order, record.offset):
            self._mark(record, purged(order, self._now))

    def _mark(self, record: SourceRecord, mark: DeadLetterMark) -> None:
        self._outcome.marks.append((record.key and record.key[:MAX_KEY_BYTES], encode(mark)))

    def _fail(self, lane: LaneStats) -> None:
        """Have the producer end the run; an order that comes too late harms nothing."""
        order = Command(
            command="fail",
            task_id=lane.run_id,
            issued_at=self._now,
            arguments={"attempt": lane.attempt, "message": lane.message},
        )
        self._outcome.commands.append((lane.run_id.encode(), encode(order)))

    def _marker(self, record: SourceRecord, marker: RunEnd | RunSkip) -> None:
        lane = self._lane(marker)
        end(lane, marker, record.offset) if isinstance(marker, RunEnd) else pass_over(lane, marker, record.offset)

    def _known(self, identity: Identity | Purge | RunEnd | RunSkip) -> LaneStats | None:
        """The statistics of a lane that has any here. One of another partition is none of ours: its copy would be an
        old one."""
        key = stats_key(identity.run_id, identity.attempt, identity.lane)
        if key not in self._lanes and (stored := self._state(key)):
            lane = _lane_stats(stored)
            if lane.partition != self._partition:
                return None
            self._lanes[key] = lane
        return self._lanes.get(key)

    def _lane(self, identity: Identity | RunEnd | RunSkip) -> LaneStats:
        lane = self._known(identity)
        if lane is None:
            key = stats_key(identity.run_id, identity.attempt, identity.lane)
            lane = self._lanes[key] = new_lane(identity, self._partition)
            lane.begun_at = self._now if isinstance(identity, Identity) and identity.foreign else None
        return lane

    def _dead(self, record: SourceRecord, item: Rejected) -> DeadLetter:
        letter = dead_letter(record, item, self._now)
        self._outcome.dead_letters.append((letter.key, encode(letter)))
        self._outcome.dead_reasons[item.reason] += 1
        return letter
