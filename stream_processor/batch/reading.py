"""Rows of a lane that follow each other, read together from consecutive records of our producer. Pure.

A record of the usual kind (our headers, the model that the rows before it named) is decoded in one step, features and
all; whatever is unusual about a record leaves it to `decode.opened`, so nothing is judged here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from msgspec import Raw

from rows.admission import Admission
from rows.decode import Envelope, Opened, SourceRecord
from rows.identity import Identity, PartitionOf, identify
from rows.inputs import ModelInputs
from rows.packed import Packet, decode_packed
from rows.rejected import UNREADABLE
from schemas.messages import PackedRows, Source
from schemas.topics import (
    CONTENT_TYPE_HEADER,
    JSON,
    MAX_ROW_BYTES,
    PACKED,
    SCHEMA_VERSION,
    SCHEMA_VERSION_HEADER,
    TYPE_HEADER,
)
from stream_processor.batch.answers import LoadedModel, ScoredRow
from stream_processor.batch.matrix import Input

USUAL = ((TYPE_HEADER, b"row"), (CONTENT_TYPE_HEADER, JSON), (SCHEMA_VERSION_HEADER, SCHEMA_VERSION))
USUAL_PACKED = (USUAL[0], (CONTENT_TYPE_HEADER, PACKED), USUAL[2])


@dataclass(slots=True)
class Span:
    """Rows that follow in their lane, with the record of each and their probabilities. Without a model all rows are
    bad.

    `start`: where in the model's input they stand; -1: they are not there yet, and `packet` holds them.
    """

    packet: Packet
    version: str
    model: LoadedModel | None
    records: list[SourceRecord]
    start: int = -1
    probabilities: Sequence[float] = ()

    @property
    def inputs(self) -> ModelInputs | None:
        """What the features are, when the model is known."""
        return self.model.reader.inputs if self.model else None

    def answered(self, j: int) -> ScoredRow:
        """Row j, as if it had come alone."""
        assert self.model is not None
        rows = self.packet.rows
        envelope = Envelope(Raw(b""), sample_id=rows.sample_ids[j], timestamp=rows.timestamps[j], label=rows.labels[j])
        return ScoredRow(
            Opened(self.packet.identity_of(j), envelope),
            self.version,
            self.model,
            self.start + j,
            self.probabilities[j],
        )

    def follows(self, row: Any) -> bool:
        """Whether a row is of the same lane, attempt and epoch."""
        first = self.packet.identity
        return bool(
            row.run_id == first.run_id
            and row.lane == first.lane
            and row.epoch == first.epoch
            and row.attempt == first.attempt
            and row.lanes == first.lanes
        )

    def places(self) -> Iterator[tuple[bytes | None, Source]]:
        """Key and place of each row."""
        last = None
        for record in self.records:
            if record is not last:
                last, place = record, (record.key, Source(record.topic, record.partition, record.offset))
            yield place


class SpanReader:
    """Joins the rows of a batch's records into spans."""

    def __init__(self, models: Mapping[str, object], partition_of: PartitionOf, admission: Admission) -> None:
        self.inputs: dict[str, Input] = {}
        """By model version."""
        self._partition_of, self._admission = partition_of, admission
        self._version, self._row_bytes = "", 0
        self._model: LoadedModel | None = None
        self._decode: Any = None
        self._span: Span | None = None
        self._following = -1
        for version, model in models.items():  # the last one used comes last
            if isinstance(model, LoadedModel):
                self.expect(version, model)

    def expect(self, version: str, model: LoadedModel) -> None:
        """Take rows of this model version from now on."""
        self._version, self._model, self._row_bytes = version, model, 4 * len(model.reader.features)
        self._decode, self._span = model.reader.decode_row, None
        self._input = self.input_of(version, model)

    def input_of(self, version: str, model: LoadedModel) -> Input:
        """The input of the model version in this batch."""
        return self.inputs.setdefault(version, Input(len(model.reader.features)))

    def end(self) -> None:
        """Another record comes between: the next row begins a new span."""
        self._span = None

    def take(self, record: SourceRecord) -> Span | bool:
        """Join the rows to the span before them (true) or begin a new one (which is returned); false: look at the
        record more closely."""
        body = record.value
        if self._model is None or body is None or len(body) > MAX_ROW_BYTES:
            return False
        if record.headers == USUAL:
            return self._take_row(record, body, self._model)
        return record.headers == USUAL_PACKED and self._take_packed(record, body)

    def _take_row(self, record: SourceRecord, body: bytes, model: LoadedModel) -> Span | bool:
        if self._decode is None:
            return False
        try:
            row = self._decode(body)
        except UNREADABLE:
            return False
        if row.model_version != self._version or (row.timestamp is not None and row.timestamp.tzinfo is not UTC):
            return False
        span = self._span
        joined = span is not None and row.row_index == self._following and span.follows(row)
        if span is None or not joined:
            whose = (row.run_id, row.attempt, row.epoch, row.lane, row.lanes, row.row_index)
            span = self._begin(record, PackedRows(*whose, self._version, 0, b"", [], [], []))
            joined = False
            if span is None:
                return False
        rows = span.packet.rows
        rows.count += 1
        rows.sample_ids.append(row.sample_id)
        rows.timestamps.append(row.timestamp)
        rows.labels.append(row.label)
        span.records.append(record)
        self._input.add(model.reader.values(row.features))
        self._following += span.packet.identity.lanes
        return joined or span

    def _take_packed(self, record: SourceRecord, body: bytes) -> Span | bool:
        try:
            rows = decode_packed(body)
        except UNREADABLE:
            return False
        count, span = rows.count, self._span
        if rows.model_version != self._version or len(rows.features) != self._row_bytes * count or not rows.even:
            return False
        joined = span is not None and rows.row_index == self._following and span.follows(rows)
        if span is None or not joined:
            span = self._begin(record, rows)
            joined = False
            if span is None:
                return False
        else:
            mine = span.packet.rows
            mine.count += count
            mine.sample_ids += rows.sample_ids
            mine.timestamps += rows.timestamps
            mine.labels += rows.labels
        span.records += [record] * count
        self._input.add_packed(rows.features)
        self._following += span.packet.identity.lanes * count
        return joined or span

    def _begin(self, record: SourceRecord, rows: PackedRows) -> Span | None:
        identity = identify(rows, record, self._partition_of)
        if not isinstance(identity, Identity) or not identity.owned or not self._admission.owns(identity):
            return None
        self._span = Span(Packet(identity, rows), self._version, self._model, [], self._input.rows)
        self._following = identity.row_index
        return self._span
