"""Every metric of the producer, declared once."""

from prometheus_client import Counter, Gauge, Histogram

PREFIX = "intelliinspect_producer"

ROWS_SENT = Counter(
    f"{PREFIX}_rows_sent", "rows handed to the Kafka client, those sent again after a takeover included (rows)"
)
ROWS_CONFIRMED = Counter(f"{PREFIX}_rows_confirmed", "rows that the broker has confirmed (rows)")
CONFIRM_SECONDS = Histogram(
    f"{PREFIX}_confirm_seconds",
    "from handing a batch over to its confirmation (seconds)",
    buckets=(0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2, 8, 32),
)
COMMANDS = Counter(f"{PREFIX}_commands", "commands handled (commands)", ["command", "outcome"])
RUNS_ACTIVE = Gauge(f"{PREFIX}_runs_active", "runs in progress or paused (runs)")
RUNS_ENDED = Counter(f"{PREFIX}_runs_ended", "runs that came to their end (runs)", ["ending"])
TAKEOVERS = Counter(f"{PREFIX}_takeovers", "runs taken up where another producer left them (runs)")
ROWS_UNSCORED = Gauge(f"{PREFIX}_rows_unscored", "rows sent and not scored, as far as was asked (rows)")
