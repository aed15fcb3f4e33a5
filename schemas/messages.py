"""What travels through the data topics, and what all messages share, as msgspec structs: typed decoding on the hot path, JSON on the wire.

Times are UTC-aware and travel as RFC 3339. FAIL is the positive class everywhere. A missing sensor value is JSON null.
Tasks and orders: `schemas.tasks`.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Verdict = Literal["PASS", "FAIL"]
Status = Literal["PENDING", "IN_PROGRESS", "PAUSED", "COMPLETED", "FAILED", "STOPPED"]
TERMINAL: frozenset[Status] = frozenset({"COMPLETED", "FAILED", "STOPPED"})
Ending = Literal["COMPLETED", "FAILED", "STOPPED"]
UtcTime = Annotated[datetime, Meta(tz=True)]
Index = Annotated[int, Meta(ge=0)]


class Row(Struct, kw_only=True, omit_defaults=True):
    """One inspected part. Only `features` is required; see docs/dataflow_architecture.md for what its absence means.

    `features` maps a feature's name to its value, null when missing. `attempt`, `epoch`, `lane`, `lanes` are set by our producer.
    Row i of a run with n lanes travels in lane i % n, so `row_index` grows by exactly n within a lane.
    """

    features: dict[str, float | None]
    run_id: str | None = None
    attempt: Annotated[int, Meta(ge=1)] | None = 1
    epoch: Index | None = None
    lane: Index | None = 0
    lanes: Annotated[int, Meta(ge=1)] | None = 1
    row_index: Index | None = None
    sample_id: str | None = None
    timestamp: UtcTime | None = None
    label: Verdict | None = None
    model_version: str | None = None


MAX_PACKED_ROWS = 4096
"""Most rows in one packed record."""


class PackedHead(Struct, array_like=True, gc=False):
    """The beginning of `PackedRows`: whose rows they are."""

    run_id: str | None
    attempt: Annotated[int, Meta(ge=1, le=2**31)] | None
    epoch: Annotated[int, Meta(ge=0, le=2**62)] | None
    lane: Annotated[int, Meta(ge=0, le=2**31)] | None
    lanes: Annotated[int, Meta(ge=1, le=2**31)] | None
    row_index: Annotated[int, Meta(ge=0, le=2**62)] | None
    model_version: str
    count: Annotated[int, Meta(ge=1, le=MAX_PACKED_ROWS)]


class PackedRows(PackedHead, array_like=True, gc=False):
    """One row or several consecutive rows of a lane in one record, as a MessagePack array (content type `topics.PACKED`).

    `features` holds `count` rows of float32, little-endian, row by row, in the feature order of `model_version`; NaN is a missing value.
    Row j of the record has the row index `row_index + j * lanes`. A row's fields mean what they mean in `Row`.
    """

    features: bytes
    sample_ids: list[str | None]
    timestamps: list[UtcTime | None]
    labels: list[Verdict | None]

    @property
    def even(self) -> bool:
        """Whether every column has `count` rows."""
        return self.count == len(self.sample_ids) == len(self.timestamps) == len(self.labels)


class RunEnd(Struct, kw_only=True):
    """Closes a lane (header `type: run-end`). `end_index` is the first row index of the lane that is not sent."""

    run_id: str
    attempt: int
    epoch: int
    lane: int
    lanes: int
    end_index: int
    ending: Ending
    message: str = ""


class RunSkip(Struct, kw_only=True):
    """Tells a lane that its rows from `from_index` up to, not including, `to_index` are passed over on purpose (header `type: run-skip`).

    A lane that has not come to `from_index` yet lost rows before it and does not take the marker: they must not count as passed over.
    """

    run_id: str
    attempt: int
    epoch: int
    lane: int
    lanes: int
    from_index: int
    to_index: int


class Source(Struct, frozen=True):
    """Where the row stood."""

    topic: str
    partition: int
    offset: int


class Prediction(Struct, kw_only=True):
    """The answer to one row.

    `confidence` is the probability of the predicted class; `prediction` is FAIL when `probability_fail >= threshold`.
    `top_features` holds the largest tree contributions (log-odds towards FAIL) of this row, largest magnitude first;
    `reasons` says how they were computed. `row_index` of another system's row is `offset * lanes + lane`, where its run has two lanes for
    each partition: `partition` on `ingress.rows.v1`, `partitions + partition` on `rows.v1`.
    """

    prediction_id: str
    run_id: str
    attempt: int
    lane: int
    row_index: int
    sample_id: str
    row_timestamp: datetime | None
    prediction: Verdict
    confidence: float
    probability_fail: float
    threshold: float
    model_version: str
    top_features: dict[str, float]
    top_feature_values: dict[str, float | None]
    reasons: Literal["exact", "approximate", "none"]
    label: Verdict | None
    scored_at: datetime
    source: Source
    redriven: bool = False
    """A repaired row: answered late, so behind rows with a higher index."""


Reason = Literal[
    "undecodable",
    "invalid_field",
    "missing_feature",
    "unknown_feature",
    "unknown_model",
    "no_champion",
    "oversized",
    "unsupported_encoding",
    "run_owned",
    "wrong_topic",
]


class DeadLetter(Struct, kw_only=True):
    """A record that could not be scored, whole, with the reason. `path` points at the field, such as `$.features.S1`.

    `run_id`, `attempt`, `lane`, `row_index` say which run counts it: where they could not be read, that of its key (`schemas.ids`) with
    its offset as index. `value` and `key` are base64.
    """

    dead_letter_id: str
    reason: Reason
    message: str
    path: str | None
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: dict[str, str]
    run_id: str | None
    attempt: int | None
    lane: int | None
    row_index: int | None
    model_version: str | None
    occurred_at: datetime
    value_bytes: int | None = None
    """Length of the record's value; of a larger one than fits the beginning is kept."""
    all_headers: list[tuple[str, bytes | None]] = []
    """Every header in its order, duplicates and values of any bytes too (base64); `headers` is what is shown of them."""
    headers_cut: int = 0
    """Headers that did not fit."""


class Redrive(Struct, kw_only=True, omit_defaults=True):
    """Value of the header `redrive` of `rows.v1`: which dead letter is sent again, and whose row it is whatever the body says."""

    dead_letter_id: str
    run_id: str
    row_index: Annotated[int, Meta(ge=0, le=2**62)]
    attempt: Annotated[int, Meta(ge=1, le=2**31)] = 1
    lane: Annotated[int, Meta(ge=0, le=2**62)] = 0


class Purge(Redrive, kw_only=True, omit_defaults=True):
    """Takes a dead letter off the list for good (header `type: purge`). `forget`: its row cannot be redriven afterwards."""

    forget: bool = True


class DeadLetterMark(Struct, kw_only=True, omit_defaults=True):
    """What became of a dead letter (header `type: dead-letter-mark`), behind it on its partition; the newest mark of a letter holds.

    `answered`: redriven and counted, the answer is `prediction_id`. `dead_letter`: redriven, but now it is `new_dead_letter_id`.
    `ignored`: redriven in vain, `message` says why. `purged`: cannot be redriven.
    """

    mark: Literal["answered", "dead_letter", "ignored", "purged"]
    dead_letter_id: str
    run_id: str
    marked_at: datetime
    message: str = ""
    prediction_id: str | None = None
    new_dead_letter_id: str | None = None


class Confusion(Struct, kw_only=True):
    """Counts of labelled rows; FAIL is positive."""

    tp: int = 0
    fp: int = 0
    tn: int = 0
    fn: int = 0


HISTOGRAM_BINS = 20
"""Equal bins of P(FAIL) over [0, 1]; the last one is closed."""


class LaneStats(Struct, kw_only=True):
    """Statistics of one lane of one attempt of a run: the value of the Faust table (DESIGN §5).

    `offset` is the record of `rows.v1`, `ingress_offset` that of `ingress.rows.v1` it stands at in `partition`; `begun_at` when the first
    of another system's rows was handled; `epoch` the highest producer epoch counted; `last_row_index` the last row
    taken, -1 before the first, `last_answered_index` the last that was answered in order; `skipped` the dead-lettered rows that may still
    be redriven, ascending, bounded; `redriven` those that were, as (time of the answers in microseconds, row indices), so that their late
    predictions can be found. Sums are added row by row in order, so any batching gives the same bits.
    """

    run_id: str
    attempt: int
    lane: int
    lanes: int
    partition: int
    offset: int
    epoch: int
    ingress_offset: int = -1
    begun_at: datetime | None = None
    last_row_index: int = -1
    last_answered_index: int = -1
    skipped: list[int] = []
    redriven: list[tuple[int, list[int]]] = []
    total: int = 0
    pass_count: int = 0
    fail_count: int = 0
    dead_letters: int = 0
    dead_letters_in_a_row: int = 0
    limit_reached: bool = False
    passed_over: int = 0
    confidence_sum: float = 0.0
    probability_fail_sum: float = 0.0
    confusion: Confusion = msgspec.field(default_factory=Confusion)
    histogram: list[int] = msgspec.field(default_factory=lambda: [0] * HISTOGRAM_BINS)
    last: Prediction | None = None
    first_scored_at: datetime | None = None
    last_scored_at: datetime | None = None
    finished: Ending | None = None
    message: str = ""

    @property
    def read(self) -> int:
        """Grows with each record that was read of either topic."""
        return self.offset + self.ingress_offset


class Alias(Struct, kw_only=True):
    """Value of `models.v1` under `alias@workspace`."""

    alias: str
    workspace: str
    model_version: str
    set_at: datetime


encode = msgspec.json.Encoder().encode
"""Any message to its JSON bytes."""
pack = msgspec.msgpack.Encoder().encode
"""`PackedRows` to its bytes."""
