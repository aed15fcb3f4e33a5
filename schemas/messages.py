"""What travels through the data topics, and what all messages share, as msgspec structs: typed decoding on the hot
path, JSON on the wire.

Times are UTC-aware and travel as RFC 3339. FAIL is the positive class everywhere. A missing sensor value is JSON null.
Tasks and orders: `schemas.tasks`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.bounds import Attempt, Count, Id, Lane, Lanes, LetterId, Workspace, untimely
from schemas.bounds import UtcTime as UtcTime

Verdict = Literal["PASS", "FAIL"]
Status = Literal["PENDING", "IN_PROGRESS", "PAUSED", "COMPLETED", "FAILED", "STOPPED"]
TERMINAL: frozenset[Status] = frozenset({"COMPLETED", "FAILED", "STOPPED"})
Ending = Literal["COMPLETED", "FAILED", "STOPPED"]
Index = Annotated[int, Meta(ge=0, le=2**62)]
"""As rows and markers may claim it; what is counted stays below `bounds.INTEGER_MAX`."""
LaneNumber = Lane
Place = Annotated[int, Meta(ge=-1, le=2**53 - 1)]
"""An index or offset, -1 before the first."""
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@-]{1,100}\Z")]
"""Names a run or a dead letter in an order about one."""
Said = Annotated[str, Meta(max_length=10_000)]
"""Words for a person."""


class Row(Struct, kw_only=True, omit_defaults=True):
    """One inspected part. Only `features` is required; see docs/dataflow_architecture.md for what its absence means.

    `features` maps a feature's name to its value, of a category a text; null when missing. `attempt`, `epoch`, `lane`,
    `lanes` are set by our producer. Row i of a run with n lanes travels in lane i % n, so `row_index` grows by exactly
    n within a lane."""

    features: dict[str, float | str | bool | None]
    run_id: str | None = None
    attempt: Attempt | None = 1
    epoch: Index | None = None
    lane: LaneNumber | None = 0
    lanes: Lanes | None = 1
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
    attempt: Attempt | None
    epoch: Index | None
    lane: LaneNumber | None
    lanes: Lanes | None
    row_index: Index | None
    model_version: str
    count: Annotated[int, Meta(ge=1, le=MAX_PACKED_ROWS)]


class PackedRows(PackedHead, array_like=True, gc=False):
    """One row or several consecutive rows of a lane in one record, as a MessagePack array (content type
    `topics.PACKED`).

    `features` holds `count` rows of float32, little-endian, row by row, in the feature order of `model_version`; NaN is
    a missing value. Row j of the record has the row index `row_index + j * lanes`. A row's fields mean what they mean
    in `Row`."""

    features: bytes
    sample_ids: list[str | None]
    timestamps: list[UtcTime | None]
    labels: list[Verdict | None]

    @property
    def even(self) -> bool:
        """Whether every column has `count` rows."""
        return self.count == len(self.sample_ids) == len(self.timestamps) == len(self.labels)


class PackedTexts(PackedRows, array_like=True, gc=False):
    """`PackedRows` of a model that takes texts, whose codes are among the features, with the texts that it does not
    know.

    An entry is the row of the record, the position of the feature, the text. Nothing but dead letters and replays reads
    them."""

    unknown: list[tuple[int, int, str]] = []


class RunEnd(Struct, kw_only=True):
    """Closes a lane (header `type: run-end`). `end_index` is the first row index of the lane that is not sent."""

    run_id: Name
    attempt: Attempt
    epoch: Index
    lane: LaneNumber
    lanes: Lanes
    end_index: Index
    ending: Ending
    message: Said = ""


class RunSkip(Struct, kw_only=True):
    """Tells a lane that its rows from `from_index` up to, not including, `to_index` are passed over on purpose (header
    `type: run-skip`).

    A lane that has not come to `from_index` yet lost rows before it and does not take the marker: they must not count
    as passed over."""

    run_id: Name
    attempt: Attempt
    epoch: Index
    lane: LaneNumber
    lanes: Lanes
    from_index: Index
    to_index: Index


class Source(Struct, frozen=True):
    """Where the row stood."""

    topic: str
    partition: Count
    offset: Count


class Prediction(Struct, kw_only=True):
    """The answer to one row.

    `confidence` is the probability of the predicted class; `prediction` is FAIL when `probability_fail >= threshold`.
    `top_features` holds the largest tree contributions (log-odds towards FAIL) of this row, largest magnitude first;
    `reasons` says how they were computed. `row_index` of another system's row is `offset * lanes + lane`, where its run
    has two lanes for each partition: `partition` on `ingress.rows.v1`, `partitions + partition` on `rows.v1`.
    """

    prediction_id: str
    run_id: Id
    attempt: Attempt
    lane: Lane
    row_index: Count
    sample_id: str
    row_timestamp: UtcTime | None
    prediction: Verdict
    confidence: float
    probability_fail: float
    threshold: float
    model_version: str
    top_features: dict[str, float]
    top_feature_values: dict[str, float | str | None]
    reasons: Literal["exact", "approximate", "none"]
    label: Verdict | None
    scored_at: UtcTime
    source: Source
    redriven: bool = False
    """A repaired row: answered late, so behind rows with a higher index."""
    strongest: dict[str, float | None] | UnsetType = UNSET
    """The row's values of the model's own strongest features, the same for every row of a model; only where there are
    reasons."""


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
    "misplaced",
    "not_owner",
]
"""`misplaced`: it is about a lane of a run that travels in another partition; `not_owner`: no producer of that run can
have sent it."""


class DeadLetter(Struct, kw_only=True):
    """A record that could not be scored, whole, with the reason. `path` points at the field, such as `$.features.S1`.

    `run_id`, `attempt`, `lane`, `row_index` say which run counts it: where they could not be read, that of its key
    (`schemas.ids`) with its offset as index. `value` and `key` are base64.
    """

    dead_letter_id: LetterId
    reason: Reason
    message: str
    path: str | None
    topic: str
    partition: Count
    offset: Count
    key: bytes | None
    value: bytes
    headers: dict[str, str]
    run_id: Id | None
    attempt: Annotated[int, Meta(ge=0, le=2**62)] | None
    lane: Annotated[int, Meta(ge=0, le=2**62)] | None
    row_index: Annotated[int, Meta(ge=0, le=2**62)] | None
    model_version: str | None
    occurred_at: UtcTime
    value_bytes: Count | None = None
    """Length of the record's value; of a larger one than fits the beginning is kept."""
    all_headers: list[tuple[str, bytes | None]] = []
    """Every header in its order, duplicates and values of any bytes too (base64); `headers` is what is shown of
    them."""
    headers_cut: int = 0
    """Headers that did not fit."""

    def problem(self) -> str | None:
        """Why it cannot be a letter of ours."""
        return untimely(occurred_at=self.occurred_at)


class Redrive(Struct, kw_only=True, omit_defaults=True):
    """Value of the header `redrive` of `rows.v1`: which dead letter is sent again, and whose row it is whatever the
    body says."""

    dead_letter_id: Name
    run_id: Name
    row_index: Index
    attempt: Attempt = 1
    lane: LaneNumber = 0


class Purge(Redrive, kw_only=True, omit_defaults=True):
    """Takes a dead letter off the list for good (header `type: purge`). `forget`: its row cannot be redriven
    afterwards."""

    forget: bool = True


class DeadLetterMark(Struct, kw_only=True, omit_defaults=True):
    """What became of a dead letter (header `type: dead-letter-mark`), behind it on its partition; the newest mark of a
    letter holds.

    `answered`: redriven and counted, the answer is `prediction_id`. `dead_letter`: redriven, but now it is
    `new_dead_letter_id`. `ignored`: redriven in vain, `message` says why. `purged`: cannot be redriven.
    """

    mark: Literal["answered", "dead_letter", "ignored", "purged"]
    dead_letter_id: LetterId
    run_id: Id
    marked_at: UtcTime
    message: str = ""
    prediction_id: str | None = None
    new_dead_letter_id: str | None = None


class Confusion(Struct, kw_only=True):
    """Counts of labelled rows; FAIL is positive."""

    tp: Count = 0
    fp: Count = 0
    tn: Count = 0
    fn: Count = 0


HISTOGRAM_BINS = 20
"""Equal bins of P(FAIL) over [0, 1]; the last one is closed."""


class LaneStats(Struct, kw_only=True):
    """Statistics of one lane of one attempt of a run: the value of the Faust table.

    `offset` is the record of `rows.v1`, `ingress_offset` that of `ingress.rows.v1` it stands at in `partition`;
    `begun_at` when the first of another system's rows was handled; `epoch` the highest producer epoch counted;
    `last_row_index` the last row taken, -1 before the first, `last_answered_index` the last that was answered in order;
    `skipped` the dead-lettered rows that may still be redriven, ascending, bounded; `redriven` those that were, as
    (time of the answers in microseconds, row indices), so that their late predictions can be found. `limit_reached`:
    the processor itself has ended the lane, for too many dead letters or for rows that are gone. Sums are added row by
    row in order, so any batching gives the same bits."""

    run_id: Id
    attempt: Attempt
    lane: Lane
    lanes: Lanes
    partition: Count
    offset: Place
    epoch: Count
    ingress_offset: Place = -1
    begun_at: UtcTime | None = None
    last_row_index: Place = -1
    last_answered_index: Place = -1
    skipped: list[Count] = []
    redriven: list[tuple[Count, list[Count]]] = []
    total: Count = 0
    pass_count: Count = 0
    fail_count: Count = 0
    dead_letters: Count = 0
    dead_letters_in_a_row: Count = 0
    limit_reached: bool = False
    passed_over: Count = 0
    confidence_sum: float = 0.0
    probability_fail_sum: float = 0.0
    confusion: Confusion = msgspec.field(default_factory=Confusion)
    histogram: Annotated[list[Count], Meta(min_length=HISTOGRAM_BINS, max_length=HISTOGRAM_BINS)] = msgspec.field(
        default_factory=lambda: [0] * HISTOGRAM_BINS
    )
    last: Prediction | None = None
    first_scored_at: UtcTime | None = None
    last_scored_at: UtcTime | None = None
    finished: Ending | None = None
    message: str = ""

    @property
    def read(self) -> int:
        """Grows with each record that was read of either topic; of a run of ours its `offset`."""
        return self.offset + self.ingress_offset + 1

    def problem(self) -> str | None:
        """Why it cannot be ours: runs of other systems are listed by these times."""
        return untimely(begun_at=self.begun_at, first_scored_at=self.first_scored_at)


class Alias(Struct, kw_only=True):
    """Value of `models.v1` under `alias@workspace`."""

    alias: Id
    workspace: Workspace
    model_version: Id
    set_at: UtcTime


encode = msgspec.json.Encoder().encode
"""Any message to its JSON bytes."""
pack = msgspec.msgpack.Encoder().encode
"""`PackedRows` to its bytes."""
