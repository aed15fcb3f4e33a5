"""Rows of a lane that follow each other, read together: from one packed record, or from consecutive JSON records of our producer. Pure.

A JSON row of the usual kind (our headers, the model that the rows before it named) is decoded in one step, features and all; whatever is
unusual about a record leaves it to `decode.opened`, so nothing is judged here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from itertools import repeat
from typing import Any

import msgspec
from msgspec import Raw

from schemas.messages import PackedRows, Source
from schemas.topics import CONTENT_TYPE_HEADER, JSON, MAX_ROW_BYTES, SCHEMA_VERSION, SCHEMA_VERSION_HEADER, TYPE_HEADER
from stream_processor.answers import Answered, Model
from stream_processor.decode import Envelope, Opened, SourceRecord
from stream_processor.identity import Identity, PartitionOf, identify
from stream_processor.packed import Packet

USUAL = ((TYPE_HEADER, b"row"), (CONTENT_TYPE_HEADER, JSON), (SCHEMA_VERSION_HEADER, SCHEMA_VERSION))


@dataclass(slots=True)
class Span:
    """Rows that follow in their lane, with their probabilities; `start`: where in the model's input they stand.

    `records` and `values` are those of JSON rows, one each; without them all rows stand in `packet`'s record. Without a model all are bad.
    """

    packet: Packet
    version: str
    model: Model | None
    records: list[SourceRecord] = field(default_factory=list)
    values: list[tuple[float | None, ...]] = field(default_factory=list)
    start: int = -1
    probabilities: Sequence[float] = ()

    @property
    def features(self) -> list[str] | None:
        """The names of the features, when the model is known."""
        return self.model.reader.features if self.model else None

    def answered(self, j: int) -> Answered:
        """Row j, as if it had come alone."""
        assert self.model is not None
        rows = self.packet.rows
        envelope = Envelope(Raw(b""), sample_id=rows.sample_ids[j], timestamp=rows.timestamps[j], label=rows.labels[j])
        return Answered(Opened(self.packet.identity_of(j), envelope), self.version, self.model, self.start + j, self.probabilities[j])

    def places(self, record: SourceRecord) -> Iterable[tuple[bytes | None, Source]]:
        """Key and place of each row; `record` is the first."""
        if not self.records:
            return repeat((record.key, Source(record.topic, record.partition, record.offset)), self.packet.rows.count)
        topic, partition = record.topic, record.partition
        return [(one.key, Source(topic, partition, one.offset)) for one in self.records]


class Spans:
    """Joins the JSON rows of a batch into spans."""

    def __init__(self, models: Mapping[str, object], partition_of: PartitionOf) -> None:
        self._partition_of = partition_of
        self._version = ""
        self._model: Model | None = None
        self._decode: Any = None
        self._span: Span | None = None
        self._following = -1
        for version, model in models.items():  # the last one used comes last
            if isinstance(model, Model):
                self.expect(version, model)

    def expect(self, version: str, model: Model) -> None:
        """Take rows of this model version from now on."""
        self._version, self._model = version, model
        self._decode, self._span = model.reader.decode_row, None

    def end(self) -> None:
        """Another record comes between: the next row begins a new span."""
        self._span = None

    def take(self, record: SourceRecord) -> Span | bool:
        """Join the row to the span before it (true) or begin a new one (which is returned); false: it has to be looked at more closely."""
        body = record.value
        if self._decode is None or body is None or record.headers != USUAL or len(body) > MAX_ROW_BYTES:
            return False
        try:
            row = self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if row.model_version != self._version or (row.timestamp is not None and row.timestamp.tzinfo is not UTC):
            return False
        if self._span is not None and row.row_index == self._following and self._same_lane(row):
            self._add(self._span, record, row)
            return True
        return self._begin(record, row)

    def _same_lane(self, row: Any) -> bool:
        first = self._span.packet.identity  # type: ignore[union-attr]
        return bool(
            row.run_id == first.run_id
            and row.lane == first.lane
            and row.epoch == first.epoch
            and row.attempt == first.attempt
            and row.lanes == first.lanes
        )

    def _begin(self, record: SourceRecord, row: Any) -> Span | bool:
        identity = identify(row, key=record.key, partition=record.partition, offset=record.offset, partition_of=self._partition_of)
        if not isinstance(identity, Identity) or not identity.owned:
            return False
        whose = (identity.run_id, identity.attempt, identity.epoch, identity.lane, identity.lanes, identity.row_index)
        rows = PackedRows(*whose, self._version, 0, b"", [], [], [])
        self._span = Span(Packet(identity, rows), self._version, self._model)
        self._following = identity.row_index
        self._add(self._span, record, row)
        return self._span

    def _add(self, span: Span, record: SourceRecord, row: Any) -> None:
        rows = span.packet.rows
        rows.count += 1
        rows.sample_ids.append(row.sample_id)
        rows.timestamps.append(row.timestamp)
        rows.labels.append(row.label)
        span.records.append(record)
        span.values.append(span.model.reader.values(row.features))  # type: ignore[union-attr]
        self._following += rows.lanes
