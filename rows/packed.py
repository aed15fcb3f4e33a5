"""Packed records: several consecutive rows of a lane in one record (`schemas.messages.PackedRows`). Pure; never raises
on any bytes.

A packed record becomes a `Packet`. A row of it that cannot be scored stands in `bad` and does not take the others
along; when it is the record that is broken, but says whose rows it holds, every row is bad, so that the run can count
them. Everything that follows knows rows, not records: identity is the row index, and a bad row's dead letter holds that
row alone, as JSON."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Raw, Struct, field

from rows.identity import Identity, PartitionOf, Unidentified, carried, identify
from rows.inputs import ModelInputs, Said
from rows.rejected import UNREADABLE, Rejected, located
from schemas.bounds import UtcTime
from schemas.manifests import ModelManifest
from schemas.messages import PackedHead, PackedRows, Row, Verdict, encode
from schemas.topics import CONTENT_TYPE_HEADER, INGRESS, JSON, MAX_ROW_BYTES

FLOAT32 = np.dtype("<f4")
"""Of packed features."""


class RowRecord(NamedTuple):
    """A row of a packed record as a record of its own."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Packet(Struct, gc=False):
    """The rows of a packed record: `identity` is that of the first, row j has the index `identity.row_index + j *
    identity.lanes`."""

    identity: Identity
    rows: PackedRows
    bad: dict[int, Rejected] = field(default_factory=dict)

    def identity_of(self, j: int) -> Identity:
        """Who row j is."""
        first = self.identity
        return msgspec.structs.replace(first, row_index=first.row_index + j * first.lanes) if j else first

    def row(self, j: int) -> int | None:
        """What tells the rows of this record apart; null when there is but one."""
        return j if self.rows.count > 1 else None

    def reject_all(self, rejected: Rejected) -> "Packet":
        """Have every row rejected for this reason."""
        self.bad = {
            j: msgspec.structs.replace(rejected, identity=self.identity_of(j), row=self.row(j))
            for j in range(self.rows.count)
        }
        return self


class _Loose(PackedHead, array_like=True, gc=False):
    """A record whose rows are looked at one by one."""

    features: bytes
    sample_ids: list[Raw]
    timestamps: list[Raw]
    labels: list[Raw]


class _LooseTexts(_Loose, array_like=True, gc=False):
    """The same of `schemas.messages.PackedTexts`."""

    unknown: list[tuple[int, int, str]] = field(default_factory=list)


decode_packed = msgspec.msgpack.Decoder(PackedRows).decode
_with_texts = msgspec.msgpack.Decoder(_LooseTexts).decode
_loose = msgspec.msgpack.Decoder(_Loose).decode
_head = msgspec.msgpack.Decoder(PackedHead).decode
_COLUMNS: tuple[tuple[str, str, Any], ...] = (
    ("sample_ids", "sample_id", msgspec.msgpack.Decoder(str | None)),
    ("timestamps", "timestamp", msgspec.msgpack.Decoder(UtcTime | None)),
    ("labels", "label", msgspec.msgpack.Decoder(Verdict | None)),
)


def unpacked(record: Any, body: bytes, partition_of: PartitionOf) -> Packet | Rejected:
    """Open a packed record. `Rejected`: it does not even say whose rows it holds."""
    if len(body) > MAX_ROW_BYTES:
        return _broken(
            record,
            body,
            partition_of,
            Rejected("oversized", f"the record has {len(body)} bytes, allowed are {MAX_ROW_BYTES}"),
        )
    try:
        rows = decode_packed(body)
    except UNREADABLE as error:
        return _row_by_row(record, body, partition_of, error)
    identity = _identity(record, rows, partition_of)
    if isinstance(identity, Rejected):
        return identity
    packet = Packet(identity, rows)
    if not rows.even:
        return packet.reject_all(
            Rejected("invalid_field", f"the columns of a record of {rows.count} rows differ in length", "$")
        )
    return packet


def fits(packet: Packet, manifest: ModelManifest) -> bool:
    """Whether there is anything to score: the features are as many as the model takes; if not, every row is
    rejected."""
    rows, columns = packet.rows, len(manifest.features)
    if len(packet.bad) == rows.count:
        return False
    if len(rows.features) == 4 * rows.count * columns:
        return True
    what = f"{len(rows.features)} bytes are not {rows.count} rows of {columns} float32 features of {rows.model_version}"
    packet.reject_all(Rejected("invalid_field", what, "$.features", model_version=rows.model_version))
    return False


def unknown_texts(value: bytes | None) -> dict[int, dict[int, str]]:
    """The texts that a packed record keeps because its model does not know them: by row, then by position of the
    feature."""
    try:
        kept = _with_texts(value or b"").unknown
    except UNREADABLE:
        return {}
    found: dict[int, dict[int, str]] = {}
    for j, at, text in kept:
        found.setdefault(j, {})[at] = text
    return found


def row_record(record: Any, packet: Packet, j: int, inputs: ModelInputs | None) -> RowRecord:
    """Row j as a JSON record, which scores as the row does. Without the model's inputs its features are a list in the
    model's order.

    Of a record that is broken as a whole, the first row keeps the bytes, the others know only who they are.
    """
    rows, identity = packet.rows, packet.identity_of(j)
    if not rows.features and not j:
        return RowRecord(record.topic, record.partition, record.offset, record.key, record.value, record.headers)
    size, rest = divmod(len(rows.features), rows.count)
    values: list[Said] = []
    texts = unknown_texts(record.value).get(j, {})
    if not rest and size % 4 == 0:
        values = [
            None if value != value else value
            for value in np.frombuffer(rows.features, FLOAT32, size // 4, size * j).tolist()
        ]
    if inputs is not None and len(inputs.names) == len(values):
        named: Any = dict(zip(inputs.names, inputs.row_of(values, texts), strict=True))  # type: ignore[arg-type]  # numbers until now
    else:
        named = [texts.get(at, value) for at, value in enumerate(values)]
    said: Any = {name: column[j] if len(column) == rows.count else None for name, column in _said(rows)}
    row = Row(
        features=named,
        run_id=rows.run_id,
        attempt=rows.attempt,
        epoch=rows.epoch,
        lane=rows.lane,
        lanes=rows.lanes,
        row_index=identity.row_index if identity.owned else rows.row_index,
        model_version=rows.model_version,
        **said,
    )
    headers = [(name, JSON if name == CONTENT_TYPE_HEADER else value) for name, value in record.headers]
    return RowRecord(record.topic, record.partition, record.offset, record.key, encode(row), headers)


def _said(rows: PackedRows) -> list[tuple[str, Sequence[Any]]]:
    return [("sample_id", rows.sample_ids), ("timestamp", rows.timestamps), ("label", rows.labels)]


def _identity(record: Any, rows: Any, partition_of: PartitionOf) -> Identity | Rejected:
    marked = carried(rows, packed=True) if record.topic == INGRESS.name else None
    found = marked or identify(rows, record, partition_of)
    if isinstance(found, Unidentified):
        return Rejected(found.reason, found.message, found.path, None, rows.model_version)
    if rows.count > 1 and not found.owned:
        return Rejected(
            "invalid_field",
            "a record of several rows needs an epoch: else rows are told apart by their offset",
            "$.count",
        )
    return found


def _row_by_row(record: Any, body: bytes, partition_of: PartitionOf, error: Exception) -> Packet | Rejected:
    """Open a record that is not as it should be: which rows of it are?"""
    try:
        loose = _loose(body)
    except UNREADABLE:
        return _broken(record, body, partition_of, Rejected("invalid_field", *located(str(error))))
    identity = _identity(record, loose, partition_of)
    if isinstance(identity, Rejected):
        return identity
    rows = _rows(loose, loose.features)
    packet = Packet(identity, rows)
    columns: list[list[Raw]] = [getattr(loose, name) for name, _, _ in _COLUMNS]
    if any(len(column) != rows.count for column in columns):
        return packet.reject_all(
            Rejected("invalid_field", f"the columns of a record of {rows.count} rows differ in length", "$")
        )
    for (name, said, decoder), raws in zip(_COLUMNS, columns, strict=True):
        values: list[Any] = getattr(rows, name)
        for j, raw in enumerate(raws):
            try:
                values.append(decoder.decode(raw))
            except UNREADABLE as problem:
                values.append(None)
                wrong = Rejected(
                    "invalid_field",
                    located(str(problem))[0],
                    f"$.{said}",
                    packet.identity_of(j),
                    rows.model_version,
                    packet.row(j),
                )
                packet.bad.setdefault(j, wrong)
    return packet


def _rows(head: PackedHead, features: bytes) -> PackedRows:
    whose: dict[str, Any] = {name: getattr(head, name) for name in PackedHead.__struct_fields__}
    return PackedRows(**whose, features=features, sample_ids=[], timestamps=[], labels=[])


def _broken(record: Any, body: bytes, partition_of: PartitionOf, rejected: Rejected) -> Packet | Rejected:
    """A record of which no row can be read: each of its rows is rejected if it says at least whose they are, else the
    record is."""
    try:
        head = _head(body)
        identity = _identity(record, head, partition_of)
    except UNREADABLE:
        return Rejected("undecodable", "not a packed record")
    if isinstance(identity, Rejected):
        return msgspec.structs.replace(rejected, model_version=head.model_version)
    return Packet(identity, _rows(head, b"")).reject_all(
        msgspec.structs.replace(rejected, model_version=head.model_version)
    )
