"""Every metric of the gateway, declared once."""

from prometheus_client import Counter, Gauge, Histogram

REQUEST_SECONDS = Histogram(
    "gateway_request_seconds",
    "From a request's first byte to the end of its answer (event streams: to their first byte).",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600),
)
REQUESTS_OPEN = Gauge("gateway_requests_open", "Requests that are being answered.")
UPLOADED_BYTES = Counter("gateway_uploaded_bytes_total", "Bytes of files received, refused ones included.")
UPLOAD_SECONDS = Histogram(
    "gateway_upload_step_seconds", "Time of an upload's steps.", ["step"], buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
)
