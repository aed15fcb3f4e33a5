"""Every metric of the stream processor, declared once."""

from prometheus_client import Counter, Gauge, Histogram

PREFIX = "intelliinspect_stream_processor"

ROWS_SCORED = Counter(f"{PREFIX}_rows_scored", "rows answered by a prediction (rows)")
DEAD_LETTERS = Counter(f"{PREFIX}_dead_letters", "records that could not be scored (records)", ["reason"])
FENCED_ROWS = Counter(
    f"{PREFIX}_fenced_rows",
    "rows of a run that were neither counted nor answered (rows): read_again, sent_again, stale_epoch, ahead,"
    " after_end, not_skipped",
    ["why"],
)
REWINDS = Counter(
    f"{PREFIX}_rewinds", "times a partition was read again because records were missing in between (times)"
)
GAPS = Counter(
    f"{PREFIX}_gaps",
    "real gaps in the offsets of a topic of rows: removed by retention, or transaction markers (times)",
)
TRANSACTION_SECONDS = Histogram(
    f"{PREFIX}_transaction_seconds",
    "duration of a batch's transaction (seconds)",
    buckets=(0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2, 8, 32),
)
SCORING_SECONDS = Histogram(
    f"{PREFIX}_scoring_seconds",
    "decoding, scoring and counting of a batch (seconds)",
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2),
)
BATCH_ROWS = Histogram(
    f"{PREFIX}_batch_rows", "records in a transaction (records)", buckets=(1, 2, 4, 8, 16, 64, 256, 1024, 4096)
)
LAG = Gauge(
    f"{PREFIX}_lag",
    "offsets behind the end of a partition of rows.v1 or ingress.rows.v1, open transactions included (offsets)",
    ["topic", "partition"],
)
BLOCKED_SECONDS = Gauge(
    f"{PREFIX}_blocked_seconds",
    "how long a partition of a topic of rows waits behind the open transaction of another system (seconds)",
    ["topic", "partition"],
)
LANES_LOST = Counter(
    f"{PREFIX}_lanes_lost", "lanes of runs ended as FAILED because rows of them are not on rows.v1 any more (lanes)"
)
POSITION = Gauge(f"{PREFIX}_position", "next offset of a topic of rows to be scored (offset)", ["topic", "partition"])
SET_ASIDE = Counter(
    f"{PREFIX}_changelog_set_aside", "records of the changelog that are none of the processor's own (records)"
)
MODELS_LOADED = Gauge(f"{PREFIX}_models_loaded", "model versions in memory (models)")
OWNED_PARTITIONS = Gauge(f"{PREFIX}_owned_partitions", "partitions this worker is scoring (partitions)")
