"""A batch of records and the current statistics in; predictions, dead letters and the new statistics out. Pure, given its models.

Rows of several model versions are scored together, model by model; then the records are counted one by one in the order of the log, so the
way the log is cut into batches changes nothing but the depth of the reasons. A batch that needs a model which is not at hand is answered by
`Needs`, before anything was counted.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from schemas.ids import position_key, stats_key
from schemas.messages import DeadLetter, DeadLetterMark, LaneStats, Prediction, Purge, RunEnd, RunSkip, encode
from schemas.tasks import Command
from storage.bundles import Matrix, score
from stream_processor.answers import Answered, Model, Reasons, dead_letter, explain, prediction
from stream_processor.bulk import answer_all
from stream_processor.count import (
    ADMITTED,
    NO_LIMITS,
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
from stream_processor.decode import Opened, SourceRecord, opened
from stream_processor.identity import Identity, PartitionOf, stranger
from stream_processor.packed import Packet, fits, matrix_of, row_record
from stream_processor.redrive import answered, dead_again, in_vain, purge, purged
from stream_processor.rejected import Rejected
from stream_processor.spans import Span, Spans


@dataclass(frozen=True, slots=True)
class NoModel:
    """A model version that cannot be used, and why."""

    message: str


Models: TypeAlias = Mapping[str, Model | NoModel]


@dataclass(slots=True)
class Needs:
    """Model versions to be fetched first; `champion` says that a row names none and no champion is known."""

    versions: set[str] = field(default_factory=set)
    champion: bool = False

    def __bool__(self) -> bool:
        return bool(self.versions) or self.champion


@dataclass(slots=True)
class Outcome:
    """What the batch's transaction writes, as (key, value), and what happened."""

    predictions: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    dead_letters: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    marks: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    commands: list[tuple[bytes, bytes]] = field(default_factory=list)
    states: list[tuple[bytes, bytes]] = field(default_factory=list)
    position: int = -1
    dead_reasons: Counter[str] = field(default_factory=Counter)
    passed_by: Counter[Admission] = field(default_factory=Counter)
    models_used: set[str] = field(default_factory=set)


_Handled: TypeAlias = Answered | Span | RunEnd | RunSkip | Purge | Rejected
_lane_stats = msgspec.json.Decoder(LaneStats).decode


def handle(
    records: Sequence[SourceRecord],
    *,
    state: Callable[[bytes], bytes | None],
    models: Models,
    champion: str | Literal[False] | None,
    partition_of: PartitionOf,
    now: datetime,
    reasons: Reasons,
    limits: DeadLetterLimits = NO_LIMITS,
) -> Outcome | Needs:
    """Handle consecutive records of one partition. `champion` scores rows that name no model; None: not known yet, False: there is none."""
    read = _read(records, models, champion, partition_of)
    if isinstance(read, Needs):
        return read
    firsts, items = read
    matrices = _score(items)
    brief = sum(map(len, matrices.values())) > max(reasons.exact_max_rows, reasons.approximate_max_rows)
    book = _Book(records[0].partition, state, now, limits, partition_of, brief=brief)
    for record, item in zip(firsts, items, strict=True):
        book.enter(record, item)
    explain(book.answered, matrices, reasons, brief=brief)
    return book.closed(records[-1])


def _read(
    records: Sequence[SourceRecord], models: Models, champion: str | Literal[False] | None, partition_of: PartitionOf
) -> tuple[list[SourceRecord], list[_Handled]] | Needs:
    """Open the records: what they are, with the first record of each."""
    firsts: list[SourceRecord] = []
    items: list[_Handled] = []
    needs, spans = Needs(), Spans(models, partition_of)
    for record in records:
        taken = spans.take(record)
        if taken is True:
            continue
        item = taken or _resolved(record, opened(record, partition_of), models, champion)
        if isinstance(item, Needs):
            needs.versions |= item.versions
            needs.champion |= item.champion
            continue
        if not taken:
            spans.expect(item.version, item.model) if isinstance(item, Answered) else spans.end()
        firsts.append(record)
        items.append(item)
    return needs or (firsts, items)


def _resolved(
    record: SourceRecord, item: Opened | Packet | RunEnd | RunSkip | Purge | Rejected, models: Models, champion: str | Literal[False] | None
) -> _Handled | Needs:
    """Find the row's model."""
    if isinstance(item, Packet):
        return _with_model(record, item, models)
    if not isinstance(item, Opened):
        return item
    version = item.envelope.model_version or champion
    if version is None:
        return Needs(champion=True)
    if version is False:
        return Rejected("no_champion", "the row names no model version and there is no champion", "$.model_version", item.identity)
    model = models.get(version)
    if model is None:
        return Needs({version})
    if isinstance(model, NoModel):
        return Rejected("unknown_model", model.message, "$.model_version", item.identity, version)
    return Answered(item, version, model)


def _with_model(record: SourceRecord, packet: Packet, models: Models) -> Span | Needs:
    version = packet.rows.model_version
    model = models.get(version)
    if model is None:
        return Needs({version})
    if isinstance(model, NoModel):
        packet.reject_all(Rejected("unknown_model", model.message, "$.model_version", model_version=version))
        return Span(packet, version, None, [record] * packet.rows.count)
    known = model if fits(packet, model.bundle.manifest) else None
    return Span(packet, version, known, [record] * packet.rows.count, blobs=[packet.rows.features])


def _score(items: list[_Handled]) -> dict[str, Matrix]:
    """Read the features and score, model by model; rows with wrong features become `Rejected` in place. Returns each model's input."""
    values: dict[str, list[tuple[float | None, ...]]] = {}
    packed: dict[str, list[Span]] = {}
    used: dict[str, Model] = {}
    for i, item in enumerate(items):
        if isinstance(item, Span) and item.model and item.blobs:
            packed.setdefault(item.version, []).append(item)
        elif isinstance(item, Span) and item.model:
            inputs = values.setdefault(item.version, [])
            item.start = len(inputs)
            inputs += item.values
        elif isinstance(item, Answered):
            read = item.model.reader.read(item.opened.envelope.features)
            if isinstance(read, Rejected):
                read.identity, read.model_version = item.opened.identity, item.version
                items[i] = read
                continue
            inputs = values.setdefault(item.version, [])
            item.row = len(inputs)
            inputs.append(read)
        else:
            continue
        if item.model:
            used[item.version] = item.model
    matrices, probabilities = {}, {}
    for version, model in used.items():
        at = len(values.get(version, []))
        for span in packed.get(version, []):
            span.start, at = at, at + span.packet.rows.count
        matrices[version] = _input(values.get(version, []), packed.get(version, []))
        probabilities[version] = score(model.bundle, matrices[version]).tolist()
    for item in items:
        if isinstance(item, Answered):
            item.probability = probabilities[item.version][item.row]
        elif isinstance(item, Span) and item.model:
            item.probabilities = probabilities[item.version][item.start : item.start + item.packet.rows.count]
    return matrices


def _input(values: list[tuple[float | None, ...]], packed: list[Span]) -> Matrix:
    """The rows that came alone, then those of packed records."""
    parts: list[Matrix] = []
    if values:
        with np.errstate(over="ignore"):
            parts.append(np.array(values, dtype=np.float32))
    if packed:
        parts.append(matrix_of([blob for span in packed for blob in span.blobs], len(packed[0].features or ())))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class _Book:
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
    ) -> None:
        self.answered: list[tuple[SourceRecord, Answered, Prediction]] = []
        """Rows whose reasons may be asked for: all of them, or, when `brief`, at least the last."""
        self._brief = brief
        self._predictions: list[tuple[bytes | None, bytes | Prediction]] = []
        self._partition = partition
        self._state = state
        self._now = now
        self._limits = limits
        self._partition_of = partition_of
        self._lanes: dict[bytes, LaneStats] = {}
        self._outcome = Outcome()

    def enter(self, record: SourceRecord, item: _Handled) -> None:
        if isinstance(item, Answered):
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

    def closed(self, last: SourceRecord) -> Outcome:
        outcome = self._outcome
        outcome.predictions = [pair if type(pair[1]) is bytes else (pair[0], encode(pair[1])) for pair in self._predictions]  # type: ignore[misc]
        outcome.states = [(key, encode(lane)) for key, lane in self._lanes.items() if lane.offset >= 0]
        outcome.states.append((position_key(self._partition), b"%d" % last.offset))
        outcome.position = last.offset
        outcome.models_used = {item.version for _, item, _ in self.answered}
        return outcome

    def _row(self, record: SourceRecord, identity: Identity, item: Answered | Rejected) -> None:
        if identity.redriven and self._known(identity) is None:
            self._outcome.passed_by["not_skipped"] += 1
            return self._mark(record, in_vain(None, identity, self._now))
        if (lane := self._lane_of(record, identity)) is not None:
            self._enter(record, identity, item, lane, admit(lane, identity, record.offset))
        return None

    def _span(self, record: SourceRecord, item: Span) -> None:
        """Each record is admitted once, by its offset; its rows one by one, by their index, unless it is plain that all follow."""
        packet, first = item.packet, item.packet.identity
        lane = self._lane_of(record if first.owned else row_record(record, packet, 0, item.features), first)
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
                last_record, unread = one, note(lane, one.offset)
            identity, bad = packet.identity_of(j), packet.bad.get(j)
            admission = place(lane, identity) if unread else "read_again"
            alone = row_record(one, packet, j, item.features) if bad else one
            self._enter(alone, identity, bad or item.answered(j), lane, admission)

    def _lane_of(self, record: SourceRecord, identity: Identity) -> LaneStats | None:
        """The lane that a row would count in; null when it cannot count anywhere."""
        lane = self._lane(identity)
        if lane.epoch > 0 and not (identity.owned or identity.redriven):
            self._run_owned(record, identity.run_id)
            return None
        if lane.partition != self._partition:
            self._outcome.passed_by["not_skipped"] += 1
            return None
        return lane

    def _enter(self, record: SourceRecord, identity: Identity, item: Answered | Rejected, lane: LaneStats, admission: Admission) -> None:
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
            self._predictions.append((record.key, answer))
            self.answered.append((record, item, answer))
            if identity.redriven:
                self._mark(record, answered(identity, self._now))

    def _run_owned(self, record: SourceRecord, run_id: str) -> None:
        """A row of another system that names a run of ours: it counts where rows count that do not say whose they are."""
        identity = stranger(record.key, record.partition, record.offset, self._partition_of)
        if (lane := self._lane(identity)).epoch > 0:
            identity = stranger(None, record.partition, record.offset, self._partition_of)
            lane = self._lane(identity)
        owned = Rejected("run_owned", f"run {run_id} is replayed by our producer; its rows carry an epoch", "$.run_id", identity)
        self._enter(record, identity, owned, lane, admit(lane, identity, record.offset))

    def _purge(self, record: SourceRecord, order: Purge) -> None:
        lane = self._known(order)
        if lane is None or (lane.partition == self._partition and purge(lane, order, record.offset)):
            self._mark(record, purged(order, self._now))

    def _mark(self, record: SourceRecord, mark: DeadLetterMark) -> None:
        self._outcome.marks.append((record.key, encode(mark)))

    def _fail(self, lane: LaneStats) -> None:
        """Have the producer end the run; an order that comes too late harms nothing."""
        order = Command(
            command="fail", task_id=lane.run_id, issued_at=self._now, arguments={"attempt": lane.attempt, "message": lane.message}
        )
        self._outcome.commands.append((lane.run_id.encode(), encode(order)))

    def _marker(self, record: SourceRecord, marker: RunEnd | RunSkip) -> None:
        lane = self._lane(marker)
        if lane.partition == self._partition:
            end(lane, marker, record.offset) if isinstance(marker, RunEnd) else pass_over(lane, marker, record.offset)

    def _known(self, identity: Identity | Purge) -> LaneStats | None:
        """The statistics of a lane that has any."""
        key = stats_key(identity.run_id, identity.attempt, identity.lane)
        if key not in self._lanes and (stored := self._state(key)):
            self._lanes[key] = _lane_stats(stored)
        return self._lanes.get(key)

    def _lane(self, identity: Identity | RunEnd | RunSkip) -> LaneStats:
        key = stats_key(identity.run_id, identity.attempt, identity.lane)
        lane = self._lanes.get(key)
        if lane is None:
            stored = self._state(key)
            lane = self._lanes[key] = _lane_stats(stored) if stored else new_lane(identity, self._partition)
        return lane

    def _dead(self, record: SourceRecord, item: Rejected) -> DeadLetter:
        letter = dead_letter(record, item, self._now)
        self._outcome.dead_letters.append((letter.key, encode(letter)))
        self._outcome.dead_reasons[item.reason] += 1
        return letter
