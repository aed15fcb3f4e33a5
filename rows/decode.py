"""From a record's bytes to what is to be done with it. Pure; never raises, whatever the bytes are.

On `ingress.rows.v1` a record is a row of another system and nothing else. On `rows.v1` it is a row (`Opened`), several
packed rows (`Packet`), a marker of our producer (`RunEnd`, `RunSkip`), an order to purge, or `Rejected` with the
reason. A row is decoded in two steps: the envelope, its features left as they are (`opened`), then the features into a
struct made from the model's own list (`FeatureReader`), which is the fast way from JSON to an array. Only what fails is
looked at again, to say where."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any, Protocol, Union

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from rows.identity import MARKERS, Identity, PartitionOf, Place, Unidentified, carried, identify, stranger
from rows.inputs import ModelInputs, Said, numbers
from rows.packed import Packet, unpacked
from rows.redrive import identity_of, read_purge, read_redrive
from rows.rejected import UNREADABLE, Rejected, located
from rows.shapes import shape_of
from rows.times import read_time
from schemas.bounds import Attempt, Lanes, UtcTime
from schemas.manifests import ModelManifest
from schemas.messages import Index, LaneNumber, Purge, Redrive, RunEnd, RunSkip, Verdict
from schemas.topics import (
    CONTENT_TYPE_HEADER,
    INGRESS,
    JSON,
    MAX_KEY_BYTES,
    MAX_ROW_BYTES,
    PACKED,
    REDRIVE_HEADER,
    SCHEMA_VERSION,
    SCHEMA_VERSION_HEADER,
    TYPE_HEADER,
)

LISTED = 5
UNSAID = frozenset({b"", b"null"})
"""Headers that say nothing."""
NUMBER = re.compile(rb"\s*-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\s*")
Item = Union["Opened", Packet, RunEnd, RunSkip, Purge, Rejected]
"""What a record is."""


class SourceRecord(Place, Protocol):
    """What is used of a Kafka record."""

    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class Envelope(Struct, gc=False):
    """`schemas.messages.Row` with its features unread."""

    features: Raw
    run_id: str | None = None
    attempt: Attempt | None = None
    epoch: Index | None = None
    lane: LaneNumber | None = None
    lanes: Lanes | None = None
    row_index: Index | None = None
    sample_id: str | None = None
    timestamp: UtcTime | None = None
    label: Verdict | None = None
    model_version: str | None = None


class _Written(Envelope, gc=False):
    """A row whose time is still text."""

    timestamp: str | None = None  # type: ignore[assignment]


class Opened(Struct, gc=False):
    """A row whose features are still to be read by its model."""

    identity: Identity
    envelope: Envelope


class _Named(Struct):
    """The fields that say whose row it is, and any others whatever they are."""

    run_id: str | None = None
    attempt: Attempt | None = None
    epoch: Index | None = None
    lane: LaneNumber | None = None
    lanes: Lanes | None = None
    row_index: Index | None = None
    model_version: Any = None


_envelope = msgspec.json.Decoder(Envelope).decode
_written = msgspec.json.Decoder(_Written).decode
_named = msgspec.json.Decoder(_Named).decode
_run_end = msgspec.json.Decoder(RunEnd)
_run_skip = msgspec.json.Decoder(RunSkip)


def opened(record: SourceRecord, partition_of: PartitionOf) -> Item:
    """Open one record of a topic of rows. What is rejected has an identity: every dead letter counts in one run."""
    kind: bytes | None = b"row"
    redrive: Redrive | None = None
    packed, wrong = False, None
    for said, value in record.headers:
        name = said.lower()
        if name == TYPE_HEADER:
            kind = value
        elif name == REDRIVE_HEADER:
            redrive = read_redrive(value or b"")
            if redrive is None:
                wrong = Rejected(
                    "invalid_field", "the header 'redrive' does not say which dead letter and whose row it is"
                )
        elif name == CONTENT_TYPE_HEADER and _media_type(value) == PACKED:
            packed = True
        elif name == CONTENT_TYPE_HEADER and not _is_json(_media_type(value)):
            wrong = Rejected("unsupported_encoding", _with_shape(f"{name} {_text(value)!r} is not supported", record))
        elif name == SCHEMA_VERSION_HEADER and (value or b"").strip(b' "') not in UNSAID | {SCHEMA_VERSION}:
            wrong = Rejected("unsupported_encoding", f"{name} {_text(value)!r} is not supported")
    if record.topic == INGRESS.name and (redrive is not None or kind not in (None, b"row")):
        what = "the header 'redrive'" if redrive else f"record type {_text(kind)!r}"
        redrive, wrong = (
            None,
            Rejected("invalid_field", f"{what} is for our own processes, on rows.v1; {INGRESS.name} holds rows only"),
        )
    if record.key is not None and len(record.key) > MAX_KEY_BYTES:
        wrong = Rejected("oversized", f"the key has {len(record.key)} bytes, allowed are {MAX_KEY_BYTES}")
    found = wrong or _opened(record, kind or b"row", redrive, packed, partition_of)
    if isinstance(found, Rejected) and redrive is not None:
        found.identity = identity_of(redrive)
    elif isinstance(found, Rejected) and found.identity is None:
        found.identity = stranger(record, partition_of)
    return found


def _opened(
    record: SourceRecord, kind: bytes | None, redrive: Redrive | None, packed: bool, partition_of: PartitionOf
) -> Item:
    body = record.value
    if body is None:
        return Rejected("undecodable", "the record has no value")
    if packed:
        if redrive or kind != b"row":
            return Rejected("unsupported_encoding", "only rows are packed, and a redriven row travels as JSON")
        return unpacked(record, body, partition_of)
    if kind == b"row":
        return _row(record, body, redrive, partition_of)
    if kind == b"purge":
        return read_purge(body) or Rejected(
            "invalid_field", "the order to purge does not say which dead letter and whose row it is"
        )
    if kind == b"run-end":
        return _marker(_run_end, body)
    if kind == b"run-skip":
        return _marker(_run_skip, body)
    return Rejected("invalid_field", f"record type {_text(kind)!r} is not known")


def _row(record: SourceRecord, body: bytes, redrive: Redrive | None, partition_of: PartitionOf) -> Opened | Rejected:
    if len(body) > MAX_ROW_BYTES:
        limit = Rejected("oversized", f"the row has {len(body)} bytes, allowed are {MAX_ROW_BYTES}")
        return _identified(limit, record, body, partition_of)
    try:
        envelope = _envelope(body)
    except msgspec.ValidationError as error:
        message, path = located(str(error))
        timed = _timed(body) if path == "$.timestamp" else None
        if timed is None:
            wrong = Rejected(
                "invalid_field", _with_shape(message, record) if path in ("$", "$.features") else message, path
            )
            return _identified(wrong, record, body, partition_of)
        envelope = timed
    except RecursionError:
        return Rejected("undecodable", "nested too deeply")
    except UNREADABLE as error:
        return Rejected("undecodable", _with_shape(f"not JSON: {error}", record))
    if envelope.timestamp is not None and envelope.timestamp.tzinfo is not UTC:
        try:
            envelope.timestamp = envelope.timestamp.astimezone(UTC)
        except OverflowError:
            far = Rejected("invalid_field", "the time is out of range", "$.timestamp")
            return _identified(far, record, body, partition_of)
    if redrive is not None:
        return Opened(identity_of(redrive), envelope)
    if record.topic == INGRESS.name and (marked := carried(envelope)):
        return _identified(Rejected(marked.reason, marked.message, marked.path), record, body, partition_of)
    found = identify(envelope, record, partition_of)
    if isinstance(found, Unidentified):
        return Rejected(found.reason, found.message, found.path, None, envelope.model_version)
    return Opened(found, envelope)


def _timed(body: bytes) -> Envelope | None:
    """A row whose time is not written as RFC 3339 wants it, but clear; null when it is not."""
    try:
        envelope: Envelope = _written(body)
    except UNREADABLE:
        return None
    moment = read_time(str(envelope.timestamp))
    envelope.timestamp = moment
    return envelope if moment else None


def _identified(rejected: Rejected, record: SourceRecord, body: bytes, partition_of: PartitionOf) -> Rejected:
    """Add whose row it is, if that much can be read: the run must know which of its rows are dead letters."""
    try:
        named = _named(body)
        found = identify(named, record, partition_of)
    except UNREADABLE:
        return rejected
    identity = None if isinstance(found, Unidentified) else found
    model_version = named.model_version if isinstance(named.model_version, str) else None
    return Rejected(rejected.reason, rejected.message, rejected.path, identity, model_version)


def _marker(
    decoder: msgspec.json.Decoder[RunEnd] | msgspec.json.Decoder[RunSkip], body: bytes
) -> RunEnd | RunSkip | Rejected:
    try:
        marker: RunEnd | RunSkip = decoder.decode(body)
        return marker
    except msgspec.ValidationError as error:
        return Rejected("invalid_field", *located(str(error)))
    except UNREADABLE as error:
        return Rejected("undecodable", f"not JSON: {error}")


class FeatureReader:
    """Reads the features of rows for one model version: values in the model's order, null as None, texts as the model's
    codes."""

    def __init__(self, manifest: ModelManifest, inputs: ModelInputs | None = None) -> None:
        self.features = manifest.features
        self.inputs = inputs or numbers(manifest.features)
        self._known = {*manifest.features, *manifest.ignored_features}
        self._plain = not manifest.ignored_features
        self._decode, self.decode_row = _decoders(manifest, self.inputs)
        """The latter reads a whole row with its features, as `Envelope`; null when msgspec does not take the names."""

    def values(self, features: Any) -> tuple[float | None, ...]:
        """The model's input from the features of a row that `decode_row` read."""
        values: tuple[float | None, ...] = msgspec.structs.astuple(features)
        values = values if self._plain else values[: len(self.features)]
        return tuple(self.inputs.numbers_of(values)) if self.inputs.categories else values

    def read(self, features: Raw) -> tuple[float | None, ...] | Rejected:
        """Return the model's input, or the reason why these are not features of this model."""
        if self._decode is None:
            return self.read_slowly(features)
        try:
            return self.values(self._decode(features))
        except UNREADABLE:
            return self.read_slowly(features)

    def read_slowly(self, features: Raw) -> tuple[float | None, ...] | Rejected:
        """`read`, one name after the other, to say which is wrong; or a list in the model's order."""
        if bytes(memoryview(features)[:1]) == b"[":
            return self._in_order(features)
        try:
            given = msgspec.json.decode(features, type=dict[str, Raw])
        except UNREADABLE:
            return Rejected("invalid_field", "features is an object of names and numbers", "$.features")
        if unknown := [name for name in given if name not in self._known]:
            return Rejected(
                "unknown_feature", f"the model does not know {_listed(unknown)}", f"$.features.{unknown[0]}"
            )
        if missing := [name for name in self.features if name not in given]:
            return Rejected(
                "missing_feature",
                f"the row lacks {_listed(missing)}; a missing value is null",
                f"$.features.{missing[0]}",
            )
        values: list[Said] = []
        for one in self.inputs.inputs:
            try:
                said = given[one.name]
                values.append(msgspec.json.decode(said, type=Said) if one.is_category else _value(said))
            except UNREADABLE as problem:
                return Rejected("invalid_field", str(problem), f"$.features.{one.name}")
        return tuple(self.inputs.numbers_of(values))

    def _in_order(self, features: Raw) -> tuple[float | None, ...] | Rejected:
        """A list is how a packed row is told where its model is not at hand: a category's number is its code there, not
        its text."""
        try:
            said = msgspec.json.decode(features, type=list[Raw])
            values = [msgspec.json.decode(raw, type=str) if bytes(raw)[:1] == b'"' else _value(raw) for raw in said]
        except UNREADABLE as problem:
            return Rejected("invalid_field", located(str(problem))[0], "$.features")
        if len(values) != len(self.features):
            return Rejected(
                "invalid_field", f"the model takes {len(self.features)} features, not {len(values)}", "$.features"
            )
        coded: list[float | None] = []
        for at, value in enumerate(values):
            if not isinstance(value, str):
                coded.append(value)
            elif at in self.inputs.categories:
                coded.append(self.inputs.categories[at].code(value))
            else:
                return Rejected("invalid_field", f"Expected `float | null`, got `str` - at `$[{at}]`", "$.features")
        return tuple(coded)


def _decoders(
    manifest: ModelManifest, inputs: ModelInputs
) -> tuple[Callable[[Raw], Any] | None, Callable[[bytes], Any] | None]:
    """Decoders of features, and of rows, into a struct with a field per feature, the model's first; null for names that
    msgspec refuses."""
    fields: list[Any] = [(f"f{i}", Said if one.is_category else float | None) for i, one in enumerate(inputs.inputs)]
    fields += [(f"i{i}", Raw | UnsetType, UNSET) for i in range(len(manifest.ignored_features))]
    names = dict(zip((field[0] for field in fields), [*manifest.features, *manifest.ignored_features], strict=True))
    try:
        features = msgspec.defstruct("Features", fields, rename=names, forbid_unknown_fields=True, gc=False)
    except ValueError:  # quotes, backslashes and control characters, which a CSV's columns may have
        return None, None
    said = [
        (one.name, one.type, MARKERS.get(one.name))
        for one in msgspec.structs.fields(Envelope)
        if one.name != "features"
    ]
    row = msgspec.defstruct("Row", [("features", features), *said], gc=False)
    return msgspec.json.Decoder(features).decode, msgspec.json.Decoder(row).decode


def _value(raw: Raw) -> float | None:
    """A feature's value. A number beyond what a float holds is missing, as in a CSV. Raises what is `UNREADABLE`."""
    try:
        return msgspec.json.decode(raw, type=float | None)
    except msgspec.ValidationError:
        if NUMBER.fullmatch(bytes(raw)):
            return None
        raise


def _listed(names: list[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _media_type(value: bytes | None) -> bytes:
    """Without quotes and parameters; JSON where nothing is said."""
    if value == JSON:
        return JSON
    media = (value or b"").strip(b" \t\"'").partition(b";")[0].strip(b" \t\"'").lower()
    return JSON if media in UNSAID else media


def _is_json(media: bytes) -> bool:
    return media in (JSON, b"text/json") or (media.startswith(b"application/") and media.endswith(b"+json"))


def _with_shape(message: str, record: SourceRecord) -> str:
    found = shape_of(record.value or b"", record.headers)
    return f"{message}; {found}" if found else message


def _text(value: bytes | None) -> str:
    return (value or b"")[:100].decode("utf-8", "replace")
