"""Every metric of the gateway, declared once."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("gateway_requests_total", "Answered requests.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "gateway_request_seconds",
    "From a request's first byte to the end of its answer (event streams: to their end).",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10, 120),
)
REQUESTS_OPEN = Gauge("gateway_requests_open", "Requests that are being answered.")
TURNS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
LOOP_LATE_SECONDS = Histogram(
    "gateway_loop_late_seconds", "For how long the event loop could take no other turn.", buckets=TURNS
)
LOOP_BUSY_SECONDS = Histogram(
    "gateway_loop_busy_seconds", "Processor time of the event loop's thread within a tick of 20 ms.", buckets=TURNS
)
UPLOADED_BYTES = Counter("gateway_uploaded_bytes_total", "Bytes of files received, refused ones included.")
UPLOAD_SECONDS = Histogram(
    "gateway_upload_step_seconds",
    "Time of an upload's steps.",
    ["step"],
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
UPLOADS_WAITING = Gauge(
    "gateway_uploads_waiting", "Stored datasets whose record is still to reach Kafka, of all gateways."
)
PROJECTED = Counter("gateway_projected_records_total", "Records applied to the view.", ["topic"])
REJECTED = Counter(
    "gateway_unreadable_records_total",
    "Records of our own topics that were passed over because they cannot be read.",
    ["topic"],
)
PROJECTOR_LAG = Gauge(
    "gateway_projector_lag_records", "Records that this gateway has still to project, markers included."
)
REBUILDS = Counter("gateway_view_rebuilds_total", "How often positions or keys were found missing in Redis.")
EVICTED = Counter("gateway_evicted_keys_total", "Keys that Redis has removed to make room since this process looks.")
APPLY_SECONDS = Histogram(
    "gateway_apply_seconds",
    "Time to apply a batch to Redis.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
)
OPEN_DEAD_LETTERS = Gauge("gateway_open_dead_letters", "Dead letters in the list that wait for somebody.", ["reason"])
WRITE_SECONDS = Histogram(
    "gateway_write_seconds", "Time of a Kafka transaction.", buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
)
EVENT_STREAMS = Gauge("gateway_event_streams", "Clients that listen to a run.")
HISTORY_SECONDS = Histogram(
    "gateway_history_seconds",
    "Time to read a page of predictions from Kafka.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 10),
)
