"""A batch of records and the current statistics in; predictions, dead letters and the new statistics out. Pure, given
its models.

Rows of several model versions are scored together, model by model; then the records are counted one by one in the order
of the log, so the way the log is cut into batches changes nothing but the depth of the reasons. A batch that needs a
model which is not at hand is answered by `Needs`, before anything was counted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from models.bundle import score
from models.kinds.base import Matrix
from rows.admission import Admission, Epochs
from rows.decode import Item, Opened, SourceRecord, opened
from rows.identity import PartitionOf
from rows.packed import Packet, fits
from rows.rejected import Rejected
from schemas.ids import MODEL_VERSION
from stream_processor.batch.answers import LoadedModel, Reasons, ScoredRow, explain
from stream_processor.batch.count import NO_LIMITS, DeadLetterLimits
from stream_processor.batch.counting import BatchOutcome, Book, Handled
from stream_processor.batch.reading import Span, SpanReader


@dataclass(frozen=True, slots=True)
class NoModel:
    """A model version that cannot be used, and why."""

    message: str


NAMELESS = NoModel("that is not the name of a model version")
Models: TypeAlias = Mapping[str, LoadedModel | NoModel]


@dataclass(slots=True)
class Needs:
    """Model versions to be fetched first; `champion` says that a row names none and no champion is known, `epochs` that
    a record claims an epoch which is not known."""

    versions: set[str] = field(default_factory=set)
    champion: bool = False
    epochs: bool = False

    def __bool__(self) -> bool:
        return bool(self.versions) or self.champion or self.epochs


def handle(
    records: Sequence[SourceRecord],
    *,
    state: Callable[[bytes], bytes | None],
    models: Models,
    champion: str | Literal[False] | None,
    partition_of: PartitionOf,
    epochs: Epochs,
    now: datetime,
    reasons: Reasons,
    limits: DeadLetterLimits = NO_LIMITS,
    forward: frozenset[str] = frozenset(),
    caught_up: bool = False,
    room: int = 1 << 30,
) -> BatchOutcome | Needs:
    """Handle consecutive records of one partition of a topic. `caught_up`: what `epochs` does not know by now is made
    up.

    `champion` scores rows that name no model; None: not known yet, False: there is none. `room`: so many lanes of runs
    of other systems may be new in the partition.
    """
    admission = Admission(epochs, partition_of)
    read = _read(records, models, champion, partition_of, admission)
    if admission.unknown and not caught_up:
        return Needs(epochs=True)
    if isinstance(read, Needs):
        return read
    firsts, items, spans = read
    matrices = _score(items, spans)
    brief = sum(map(len, matrices.values())) > max(reasons.exact_max_rows, reasons.approximate_max_rows)
    book = Book(records[0].partition, state, now, limits, partition_of, brief=brief, forward=forward, room=room)
    for record, item in zip(firsts, items, strict=True):
        book.enter(record, item)
    explain(book.answered, matrices, reasons, brief=brief)
    return book.closed(records[-1])


def _read(
    records: Sequence[SourceRecord],
    models: Models,
    champion: str | Literal[False] | None,
    partition_of: PartitionOf,
    admission: Admission,
) -> tuple[list[SourceRecord], list[Handled], SpanReader] | Needs:
    """Open the records: what they are, with the first record of each, and what is read of the models' inputs."""
    firsts: list[SourceRecord] = []
    items: list[Handled] = []
    needs, spans = Needs(), SpanReader(models, partition_of, admission)
    for record in records:
        taken = spans.take(record)
        if taken is True:
            continue
        item = taken or _resolved(record, admission.admitted(record, opened(record, partition_of)), models, champion)
        if isinstance(item, Needs):
            needs.versions |= item.versions
            needs.champion |= item.champion
            continue
        if not taken:
            spans.expect(item.version, item.model) if isinstance(item, ScoredRow) else spans.end()
        firsts.append(record)
        items.append(item)
    return needs or (firsts, items, spans)


def _resolved(
    record: SourceRecord, item: Item, models: Models, champion: str | Literal[False] | None
) -> Handled | Needs:
    """Find the row's model."""
    if isinstance(item, Packet):
        return _with_model(record, item, models)
    if not isinstance(item, Opened):
        return item
    version = item.envelope.model_version or champion
    if version is None:
        return Needs(champion=True)
    if version is False:
        return Rejected(
            "no_champion", "the row names no model version and there is no champion", "$.model_version", item.identity
        )
    model = _model(models, version)
    if model is None:
        return Needs({version})
    if isinstance(model, NoModel):
        return Rejected("unknown_model", model.message, "$.model_version", item.identity, version)
    return ScoredRow(item, version, model)


def _model(models: Models, version: str) -> LoadedModel | NoModel | None:
    """What is at hand of a model version. A text that can name none is asked for nowhere: it would be a path in the
    storage."""
    return models.get(version) or (None if MODEL_VERSION.fullmatch(version) else NAMELESS)


def _with_model(record: SourceRecord, packet: Packet, models: Models) -> Span | Needs:
    version = packet.rows.model_version
    model = _model(models, version)
    if model is None:
        return Needs({version})
    if isinstance(model, NoModel):
        packet.reject_all(Rejected("unknown_model", model.message, "$.model_version", model_version=version))
        return Span(packet, version, None, [record] * packet.rows.count)
    known = model if fits(packet, model.bundle.manifest) else None
    return Span(packet, version, known, [record] * packet.rows.count)


def _score(items: list[Handled], spans: SpanReader) -> dict[str, Matrix]:
    """Read the features that are still to be read, and score, model by model; rows with wrong features become
    `Rejected` in place.

    Returns each model's input.
    """
    used: dict[str, LoadedModel] = {}
    for i, item in enumerate(items):
        if isinstance(item, Span) and item.model:
            if item.start < 0:
                inputs = spans.input_of(item.version, item.model)
                item.start = inputs.rows
                inputs.add_packed(item.packet.rows.features)
            used[item.version] = item.model
        elif isinstance(item, ScoredRow):
            read = item.model.reader.read(item.opened.envelope.features)
            if isinstance(read, Rejected):
                read.identity, read.model_version = item.opened.identity, item.version
                items[i] = read
                continue
            inputs = spans.input_of(item.version, item.model)
            item.row = inputs.rows
            inputs.add(read)
            used[item.version] = item.model
    matrices = {version: spans.inputs[version].matrix() for version in used}
    probabilities = {version: score(model.bundle, matrices[version]).tolist() for version, model in used.items()}
    for item in items:
        if isinstance(item, ScoredRow):
            item.probability = probabilities[item.version][item.row]
        elif isinstance(item, Span) and item.model:
            item.probabilities = probabilities[item.version][item.start : item.start + item.packet.rows.count]
    return matrices
