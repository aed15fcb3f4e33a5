"""Records of the topics of rows as rows that can be sent again. Pure.

A row is kept as the inside of its JSON object, without what says whose it is: `fragment` of a `Recorded`. So whatever it held, right or
wrong, scores or becomes a dead letter again as it did; sending it costs one concatenation. Which row of which run a record holds is told
as the stream processor tells it (its `identity` module; the rooms do not import each other, a test compares them).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct

from producer.counted import Counted
from producer.encoding import Identity, maker
from schemas.ids import RUN_ID, external_run_id, foreign_lane, former_external_run_id, is_task_id, row_key
from schemas.messages import PackedRows, Redrive, RunEnd, RunSkip, encode
from schemas.tasks import ReplaySource
from schemas.topics import CONTENT_TYPE_HEADER, INGRESS, JSON, MAX_MESSAGE_BYTES, PACKED, REDRIVE_HEADER, TYPE_HEADER

Index = Annotated[int, Meta(ge=0, le=2**62)]
PartitionOf = Callable[[bytes], int]
FeaturesOf = Callable[[str], Sequence[str]]
OURS = frozenset({"run_id", "attempt", "epoch", "lane", "lanes", "row_index"})
"""Fields that a row gets anew."""
LARGEST_BYTES = MAX_MESSAGE_BYTES - 8192
"""A row larger than the topic takes once more cannot be replayed; it was a dead letter anyway."""
UNNAMED = frozenset({b"null", b'""'})
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, OverflowError)


class SourceRecord(Protocol):
    """What is used of a Kafka record."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Recorded(NamedTuple):
    """A row of the run: its index there, whether this is its repaired copy, and what it says."""

    row_index: int
    redriven: bool
    fragment: bytes


class Unreadable(NamedTuple):
    """A record of the run that is no row in any encoding we know."""

    row_index: int


class Passed(NamedTuple):
    """A marker of the run: rows of the lane from here on were passed over, or are not there."""

    row_index: int


class _Named(Struct):
    """The fields that say whose row it is, and any others whatever they are."""

    run_id: str | None = None
    attempt: Annotated[int, Meta(ge=1, le=2**31)] | None = 1
    epoch: Index | None = None
    lane: Index | None = 0
    lanes: Annotated[int, Meta(ge=1, le=2**31)] | None = 1
    row_index: Index | None = None


_named = msgspec.json.Decoder(_Named).decode
_object = msgspec.json.Decoder(dict[str, Raw]).decode
_redrive = msgspec.json.Decoder(Redrive).decode
_MARKERS: dict[bytes, Callable[[bytes], RunSkip | RunEnd]] = {
    b"run-skip": msgspec.json.Decoder(RunSkip).decode,
    b"run-end": msgspec.json.Decoder(RunEnd).decode,
}
_packed = msgspec.msgpack.Decoder(PackedRows).decode


class Reader:
    """Reads the rows of one attempt of a run. `model_version` scores rows that name none, or all, as the source says."""

    def __init__(self, source: ReplaySource, model_version: str, *, partition_of: PartitionOf, features_of: FeaturesOf) -> None:
        self._source, self._model_version = source, model_version
        self._partition_of, self._features_of = partition_of, features_of
        self._name = source.run_id.encode()
        self._makers: dict[str, tuple[Callable[[Sequence[Any]], Any], int]] = {}
        self._counted = Counted()

    def read(self, record: SourceRecord) -> Iterator[Recorded | Unreadable | Passed]:
        """Yield what the record holds of the run; nothing when it is another's."""
        kind, encoding, redrive = b"row", JSON, None
        for name, value in record.headers:
            if name == TYPE_HEADER:
                kind = value
            elif name == CONTENT_TYPE_HEADER:
                encoding = value.partition(b";")[0].strip().lower()
            elif name == REDRIVE_HEADER:
                redrive = value
        body = record.value or b""
        if not self._source.external and self._name not in (redrive or body):  # most records, and at no cost
            return
        if kind in _MARKERS:
            yield from self._passed(_MARKERS[kind], body)
        elif kind == b"row" and encoding == PACKED:
            yield from self._packed(record, body)
        elif kind == b"row" and redrive is not None:
            yield from self._redriven(redrive, body)
        elif kind == b"row":
            yield from self._row(record, body, readable=encoding == JSON)

    def _passed(self, decode: Callable[[bytes], RunSkip | RunEnd], body: bytes) -> Iterator[Passed]:
        try:
            marker = decode(body)
        except UNREADABLE:
            return
        if (marker.run_id, marker.attempt) == (self._source.run_id, self._source.attempt):
            self._counted.marker(marker)
            yield Passed(marker.from_index if isinstance(marker, RunSkip) else marker.end_index)

    def _redriven(self, header: bytes, body: bytes) -> Iterator[Recorded]:
        try:
            redrive = _redrive(header)
            if (redrive.run_id, redrive.attempt) == (self._source.run_id, self._source.attempt):
                yield Recorded(redrive.row_index, True, self._fragment(_object(body), redrive.row_index))
        except UNREADABLE:
            return  # its first try stands

    def _row(self, record: SourceRecord, body: bytes, *, readable: bool) -> Iterator[Recorded | Unreadable]:
        try:
            if not readable:
                raise ValueError("an encoding that is not known")
            named = _named(body)
            row_index = self._index(record, named)
            if row_index is None or not self._counted.row(named, row_index):
                return
            fields = _object(body)
        except UNREADABLE:
            if self._source.external and self._called(record, None) == self._source.run_id:
                yield Unreadable(self._foreign_index(record))
            return
        fragment = self._fragment(fields, row_index)
        yield Recorded(row_index, False, fragment) if len(fragment) <= LARGEST_BYTES else Unreadable(row_index)

    def _packed(self, record: SourceRecord, body: bytes) -> Iterator[Recorded | Unreadable]:
        try:
            rows = _packed(body)
            first = self._index(record, rows)
        except UNREADABLE:
            if self._source.external and self._called(record, None) == self._source.run_id:
                yield Unreadable(self._foreign_index(record))
            return
        if first is None:
            return
        lanes = rows.lanes or 1
        indices = range(first, first + rows.count * lanes, lanes)
        counted = {row_index for row_index in indices if self._counted.row(rows, row_index)}
        try:
            make, width = self._maker_of(rows.model_version)
            cells_of = np.frombuffer(rows.features, "<f4").reshape(rows.count, width).astype(float).tolist()
            version = encode(rows.model_version if self._source.keep_models else self._model_version)
            columns = zip(indices, cells_of, rows.sample_ids, rows.timestamps, rows.labels, strict=True)
            for row_index, cells, sample_id, timestamp, label in columns:
                if row_index not in counted:
                    continue
                parts = [b'"features":' + encode(make(cells)), b'"model_version":' + version]
                parts.append(b'"sample_id":' + encode(sample_id or f"SAMPLE_{row_index}"))
                if timestamp is not None:
                    parts.append(b'"timestamp":' + encode(timestamp))
                if label is not None:
                    parts.append(b'"label":' + encode(label))
                yield Recorded(row_index, False, b",".join(parts))
        except UNREADABLE:  # a row that came through before counts as read
            yield from map(Unreadable, sorted(counted))

    def _maker_of(self, model_version: str) -> tuple[Callable[[Sequence[Any]], Any], int]:
        """What makes an object of a row's values for a model version, and how many they are."""
        if model_version not in self._makers:
            names = self._features_of(model_version)
            self._makers[model_version] = maker(names), len(names)
        return self._makers[model_version]

    def _index(self, record: SourceRecord, fields: Any) -> int | None:
        """The row's index in the run; null when it is another's. Raises `ValueError` when nobody can tell."""
        source = self._source
        if fields.epoch is not None and record.topic != INGRESS.name:
            lane, lanes, index = fields.lane or 0, fields.lanes or 1, fields.row_index
            if fields.run_id is None or not RUN_ID.fullmatch(fields.run_id) or index is None or index % lanes != lane:
                raise ValueError("not a row of a producer")
            if self._partition_of(row_key(fields.run_id, lane, lanes)) != record.partition:
                raise ValueError("a row of a producer in a partition of others")
            return int(index) if (fields.run_id, fields.attempt) == (source.run_id, source.attempt) else None
        if not source.external:
            return None
        if fields.run_id is not None and (not RUN_ID.fullmatch(fields.run_id) or is_task_id(fields.run_id)):
            raise ValueError("not the name of another system's run")
        return self._foreign_index(record) if self._called(record, fields.run_id) == source.run_id else None

    def _called(self, record: SourceRecord, run_id: str | None) -> str:
        """The run of another system's record."""
        if self._source.foreign_lanes > 1:
            return external_run_id(record.key) if run_id is None else run_id
        named = record.key if run_id is None else run_id.encode()
        return former_external_run_id(record.key, run_id, record.partition, None if named is None else self._partition_of(named))

    def _foreign_index(self, record: SourceRecord) -> int:
        lanes = self._source.foreign_lanes
        return record.offset if lanes == 1 else record.offset * lanes + foreign_lane(record.topic, record.partition, lanes // 2)

    def _fragment(self, fields: dict[str, Raw], row_index: int) -> bytes:
        kept = {name: bytes(value) for name, value in fields.items() if name not in OURS}
        if kept.get("sample_id", b"null") in UNNAMED:
            kept["sample_id"] = encode(f"SAMPLE_{row_index}")  # as it was shown, so that both runs call the row the same
        if not self._source.keep_models or kept.get("model_version", b"null") in UNNAMED:
            kept["model_version"] = encode(self._model_version)
        return b",".join(encode(name) + b":" + value for name, value in kept.items())


def sent_again(identity: Identity, row_index: int, fragment: bytes) -> bytes:
    """The value of a record of our own with the row."""
    head = (identity.run_id, identity.attempt, identity.epoch, row_index % identity.lanes, identity.lanes, row_index)
    return b'{"run_id":"%s","attempt":%d,"epoch":%d,"lane":%d,"lanes":%d,"row_index":%d,%s}' % (head[0].encode(), *head[1:], fragment)
