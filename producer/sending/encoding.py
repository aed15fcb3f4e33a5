"""Rows and markers of a run as records of `rows.v1`. Pure: the same input gives the same bytes.

Packed by `row_packer` (ADR 19), or JSON by msgspec, NaN and missing as null. The features go through a struct made for
the model's feature list: measured half the time of a dict for each row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from schemas.messages import Ending, PackedRows, PackedTexts, Row, RunEnd, RunSkip, encode, pack
from schemas.topics import (
    CONTENT_TYPE_HEADER,
    JSON,
    PACKED,
    SCHEMA_VERSION,
    SCHEMA_VERSION_HEADER,
    TYPE_HEADER,
    MessageType,
)

if TYPE_CHECKING:
    from models.kinds.base import Matrix

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Headers = list[tuple[str, bytes]]


def headers(message_type: MessageType, *, packed: bool = False) -> Headers:
    """The headers of a record of this type."""
    return [
        (TYPE_HEADER, message_type.encode()),
        (CONTENT_TYPE_HEADER, PACKED if packed else JSON),
        (SCHEMA_VERSION_HEADER, SCHEMA_VERSION),
    ]


@dataclass(frozen=True, slots=True)
class Turn:
    """What every record of one producer's turn at an attempt carries."""

    run_id: str
    attempt: int
    epoch: int
    lanes: int
    model_version: str


def row_encoder(identity: Turn, features: Sequence[str]) -> Callable[[int, Sequence[Any]], bytes]:
    """Return a function (row index, values of a row) → record value.

    Values are the features in the given order, then id (text), time (microseconds since 1970, UTC), label ("PASS" or
    "FAIL")."""
    make = maker(features)
    count, run_id, attempt, epoch = len(features), identity.run_id, identity.attempt, identity.epoch
    lanes, model_version = identity.lanes, identity.model_version

    def encode_row(row_index: int, values: Sequence[Any]) -> bytes:
        sample, microseconds, label = values[count:]
        return encode(
            Row(
                features=make(values[:count]),
                run_id=run_id,
                attempt=attempt,
                epoch=epoch,
                lane=row_index % lanes,
                lanes=lanes,
                row_index=row_index,
                sample_id=f"SAMPLE_{sample}",
                timestamp=EPOCH + timedelta(microseconds=microseconds),
                label=label,
                model_version=model_version,
            )
        )

    return encode_row


def maker(features: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    """Return a function that makes of values what encodes as an object with these names."""
    fields = [(f"f{number}", float | str | None) for number in range(len(features))]
    try:
        struct: Any = msgspec.defstruct(
            "Features", fields, rename=dict(zip((name for name, _ in fields), features, strict=True))
        )
    except (
        ValueError
    ):  # msgspec takes no quotes, backslashes or control characters in field names; a CSV's columns may have them
        return lambda values: dict(zip(features, values, strict=True))
    return lambda values: struct(*values)


class Columns(NamedTuple):
    """Some rows by column: features as float32 with NaN for missing, then as the values of `row_encoder`."""

    features: "Matrix"
    samples: Sequence[str]
    microseconds: Sequence[int]
    labels: Sequence[Any]
    unknown: Mapping[tuple[int, int], str] = {}
    """Texts that the model does not know, by row and position of the feature."""

    def every(self, start: int, stop: int, step: int) -> "Columns":
        """Every so manieth row of a range."""
        taken = slice(start, stop, step)
        places = range(len(self.samples))[taken]
        texts = {(places.index(row), at): text for (row, at), text in self.unknown.items() if row in places}
        return Columns(self.features[taken], self.samples[taken], self.microseconds[taken], self.labels[taken], texts)


def row_packer(identity: Turn) -> Callable[[int, Columns], bytes]:
    """Return a function (row index of the first, consecutive rows of its lane) → record value, a
    `schemas.messages.PackedRows`."""

    def pack_rows(row_index: int, columns: Columns) -> bytes:
        rows: dict[str, Any] = {
            "run_id": identity.run_id,
            "attempt": identity.attempt,
            "epoch": identity.epoch,
            "lane": row_index % identity.lanes,
            "lanes": identity.lanes,
            "row_index": row_index,
            "model_version": identity.model_version,
            "count": len(columns.samples),
            "features": columns.features.astype("<f4", copy=False).tobytes(),
            "sample_ids": [f"SAMPLE_{sample}" for sample in columns.samples],
            "timestamps": [EPOCH + timedelta(microseconds=since) for since in columns.microseconds],
            "labels": list(columns.labels),
        }
        if not columns.unknown:
            return pack(PackedRows(**rows))
        return pack(PackedTexts(**rows, unknown=[(row, at, text) for (row, at), text in columns.unknown.items()]))

    return pack_rows


def run_end(identity: Turn, lane: int, end_index: int, ending: Ending, message: str) -> bytes:
    """The marker that closes a lane."""
    return encode(
        RunEnd(
            run_id=identity.run_id,
            attempt=identity.attempt,
            epoch=identity.epoch,
            lane=lane,
            lanes=identity.lanes,
            end_index=end_index,
            ending=ending,
            message=message,
        )
    )


def run_skip(identity: Turn, lane: int, from_index: int, to_index: int) -> bytes:
    """The marker that passes over the rows of a lane from one index up to, not including, another."""
    return encode(
        RunSkip(
            run_id=identity.run_id,
            attempt=identity.attempt,
            epoch=identity.epoch,
            lane=lane,
            lanes=identity.lanes,
            from_index=from_index,
            to_index=to_index,
        )
    )
