"""Records of the topics of rows as rows that can be sent again. Pure; never raises on any bytes.

A row is kept as the inside of its JSON object, without what says whose it is: `fragment` of a `Recorded`. So whatever
it held, right or wrong, scores or becomes a dead letter again as it did; sending it costs one concatenation. Which row
of which run a record holds is told by the reader that the stream processor has (`rows`), and so is whether it may be
one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Raw

from producer.replay.counted import Counted
from producer.sending.encoding import Turn, maker
from rows import identity as whose
from rows.admission import Admission, Epochs
from rows.decode import Item, Opened, SourceRecord, opened
from rows.identity import PartitionOf
from rows.inputs import ModelInputs
from rows.packed import Packet, unknown_texts
from rows.rejected import UNREADABLE, Rejected
from schemas.ids import external_run_id, former_external_run_id
from schemas.messages import Reason, RunEnd, RunSkip, encode
from schemas.tasks import Marks, ReplaySource
from schemas.topics import MAX_MESSAGE_BYTES, REDRIVE_HEADER

FeaturesOf = Callable[[str], ModelInputs]
OURS = frozenset({"run_id", "attempt", "epoch", "lane", "lanes", "row_index"})
"""Fields that a row gets anew."""
LARGEST_BYTES = MAX_MESSAGE_BYTES - 8192
"""A row larger than the topic takes once more cannot be replayed; it was a dead letter anyway."""
UNNAMED = frozenset({b"null", b'""'})
NO_ROWS: frozenset[Reason] = frozenset(
    {"undecodable", "unsupported_encoding", "run_owned", "wrong_topic", "misplaced", "not_owner"}
)
"""Why a record was a dead letter that is not to be sent again as a row of the run that counted it."""


class Recorded(NamedTuple):
    """A row of the run: its index there, whether this is its repaired copy, and what it says."""

    row_index: int
    redriven: bool
    fragment: bytes


class UnreadableRow(NamedTuple):
    """A record of the run that is no row in any encoding we know."""

    row_index: int


class Passed(NamedTuple):
    """A marker of the run: rows of the lane from here on were passed over, or are not there."""

    row_index: int


class Anybody:
    """Of a run whose producers are forgotten every epoch is believed."""

    def sends(self, run_id: str, attempt: int, epoch: int) -> bool:
        """Yes."""
        return True

    def lanes(self, run_id: str) -> int | None:
        """Not known."""
        return None

    def marks(self, run_id: str, epoch: int) -> Marks | None:
        """Not known."""
        return None


_object = msgspec.json.Decoder(dict[str, Raw]).decode


class Reader:
    """Reads the rows of one attempt of a run. `model_version` scores rows that name none, or all, as the source says.

    `epochs`: what is known of the run's producers.
    """

    def __init__(
        self,
        source: ReplaySource,
        model_version: str,
        *,
        partition_of: PartitionOf,
        features_of: FeaturesOf,
        epochs: Epochs | None = None,
    ) -> None:
        self._source, self._model_version = source, model_version
        self._partition_of, self._features_of = partition_of, features_of
        self._admission = Admission(epochs or Anybody(), partition_of)
        self._name = source.run_id.encode()
        self._makers: dict[str, tuple[Callable[[Sequence[Any]], Any], ModelInputs]] = {}
        self._counted = Counted()

    def read(self, record: SourceRecord) -> Iterator[Recorded | UnreadableRow | Passed]:
        """Yield what the record holds of the run; nothing when it is another's."""
        body = record.value or b""
        redrive = next((value for name, value in record.headers if name == REDRIVE_HEADER), None)
        if not self._source.external and self._name not in (redrive or body):  # most records, and at no cost
            return
        item = self._admission.admitted(record, opened(record, self._partition_of))
        self._number(record, item)
        if isinstance(item, RunEnd | RunSkip):
            yield from self._passed(item)
        elif isinstance(item, Packet):
            yield from self._packed(item, body)
        elif isinstance(item, Opened | Rejected) and item.identity is not None and self._is_ours(item.identity):
            yield from self._row(item.identity, body, item)

    def _is_ours(self, identity: whose.Identity) -> bool:
        source = self._source
        if identity.foreign:  # in whatever attempt: which it is says how the rows are numbered
            return source.external and identity.run_id == source.run_id
        return (identity.run_id, identity.attempt) == (source.run_id, source.attempt)

    def _number(self, record: SourceRecord, item: Item) -> None:
        """Rows of a run of another system that was numbered formerly, before `ingress.rows.v1`: by their offset."""
        if not self._source.external or self._source.foreign_lanes > 1:
            return
        if isinstance(item, Opened):
            item.identity = self._formerly(record, item.identity, item.envelope.run_id)
        elif isinstance(item, Packet) and item.identity.foreign:
            item.identity = self._formerly(record, item.identity, item.rows.run_id)
        elif isinstance(item, Rejected) and item.identity is not None:
            named = item.identity.run_id
            item.identity = self._formerly(
                record, item.identity, None if named == external_run_id(record.key) else named
            )

    def _formerly(self, record: SourceRecord, identity: whose.Identity, run_id: str | None) -> whose.Identity:
        if not identity.foreign:
            return identity
        named = record.key if run_id is None else run_id.encode()
        home = None if named is None else self._partition_of(named)
        name = former_external_run_id(record.key, run_id, record.partition, home)
        return whose.Identity(name, 1, record.partition, 1, record.offset)

    def _passed(self, marker: RunSkip | RunEnd) -> Iterator[Passed]:
        if (marker.run_id, marker.attempt) == (self._source.run_id, self._source.attempt):
            self._counted.marker(marker)
            yield Passed(marker.from_index if isinstance(marker, RunSkip) else marker.end_index)

    def _row(
        self, identity: whose.Identity, body: bytes, item: Opened | Rejected
    ) -> Iterator[Recorded | UnreadableRow]:
        if identity.owned and not self._counted.row(identity, identity.row_index):
            return
        try:
            if isinstance(item, Rejected) and item.reason in NO_ROWS:
                raise ValueError(item.message)
            fragment = self._fragment(_object(body), identity.row_index)
            if len(fragment) > LARGEST_BYTES:
                raise ValueError("too large")
        except UNREADABLE:
            if not identity.redriven:  # else its first try stands
                yield UnreadableRow(identity.row_index)
            return
        yield Recorded(identity.row_index, identity.redriven, fragment)

    def _packed(self, packet: Packet, body: bytes) -> Iterator[Recorded | UnreadableRow]:
        rows, first = packet.rows, packet.identity
        if not self._is_ours(first):
            return
        indices = range(first.row_index, first.row_index + rows.count * first.lanes, first.lanes)
        counted = {index for index in indices if not first.owned or self._counted.row(first, index)}
        unread = {index for j, index in enumerate(indices) if j in packet.bad}
        try:
            make, inputs = self._maker_of(rows.model_version)
            cells_of: list[list[Any]] = (
                np.frombuffer(rows.features, "<f4").reshape(rows.count, len(inputs.names)).astype(float).tolist()
            )
            if inputs.categories:
                texts = unknown_texts(body)
                cells_of = [inputs.row_of(cells, texts.get(j)) for j, cells in enumerate(cells_of)]
            version = encode(rows.model_version if self._source.keep_models else self._model_version)
            columns = list(zip(indices, cells_of, rows.sample_ids, rows.timestamps, rows.labels, strict=True))
        except UNREADABLE:
            yield from map(UnreadableRow, sorted(counted))
            return
        for row_index, cells, sample_id, timestamp, label in columns:
            if row_index not in counted:
                continue
            if row_index in unread:
                yield UnreadableRow(row_index)
                continue
            parts = [b'"features":' + encode(make(cells)), b'"model_version":' + version]
            parts.append(b'"sample_id":' + encode(sample_id or f"SAMPLE_{row_index}"))
            if timestamp is not None:
                parts.append(b'"timestamp":' + encode(timestamp))
            if label is not None:
                parts.append(b'"label":' + encode(label))
            yield Recorded(row_index, False, b",".join(parts))

    def _maker_of(self, model_version: str) -> tuple[Callable[[Sequence[Any]], Any], ModelInputs]:
        """What makes an object of a row's values for a model version, and what they are."""
        if model_version not in self._makers:
            inputs = self._features_of(model_version)
            self._makers[model_version] = maker(inputs.names), inputs
        return self._makers[model_version]

    def _fragment(self, fields: dict[str, Raw], row_index: int) -> bytes:
        kept = {name: bytes(value) for name, value in fields.items() if name not in OURS}
        if kept.get("sample_id", b"null") in UNNAMED:
            kept["sample_id"] = encode(
                f"SAMPLE_{row_index}"
            )  # as it was shown, so that both runs call the row the same
        if not self._source.keep_models or kept.get("model_version", b"null") in UNNAMED:
            kept["model_version"] = encode(self._model_version)
        return b",".join(encode(name) + b":" + value for name, value in kept.items())


def sent_again(identity: Turn, row_index: int, fragment: bytes) -> bytes:
    """The value of a record of our own with the row."""
    head = (identity.run_id, identity.attempt, identity.epoch, row_index % identity.lanes, identity.lanes, row_index)
    return b'{"run_id":"%s","attempt":%d,"epoch":%d,"lane":%d,"lanes":%d,"row_index":%d,%s}' % (
        head[0].encode(),
        *head[1:],
        fragment,
    )
