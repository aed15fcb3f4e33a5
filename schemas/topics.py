"""Every topic of the system: name, key, partitions, cleanup. A topic is never a bare string elsewhere.

The init step (`devstack.topics`) creates them with these settings; the broker's auto-creation is off.
"""

from dataclasses import dataclass
from typing import Literal

HOUR_MS = 3_600_000
APP_ID = "stream-processor"
"""Faust's app id; its changelog and consumer group carry this name."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. Topics of one `family` have equal partition counts, so an owner of partition p owns p in each of
    them."""

    name: str
    family: Literal["data", "control"]
    cleanup: Literal["delete", "compact"]
    key: str
    holds: str
    retention_ms: int | None = None

    def config(self) -> dict[str, str]:
        """Broker settings for the creation of this topic. Times are the broker's: a writer whose clock is an hour ahead
        would be refused, and one far behind would have its records removed at once."""
        settings = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            "message.timestamp.type": "LogAppendTime",
        }
        settings |= UNPACKED
        if self.retention_ms is not None:
            settings["retention.ms"] = str(self.retention_ms)
        if self.cleanup == "compact":
            settings |= {"segment.ms": str(HOUR_MS), "min.cleanable.dirty.ratio": "0.1"}
        return settings


UNPACKED = {"compression.type": "uncompressed"}
"""The broker unpacks what it is sent and only then compares its size: 10 kB that would be 300 MB in every reader are
refused (ADR 29)."""
MAX_MESSAGE_BYTES = 4 << 20
"""Largest record batch that a topic takes. A row larger than `MAX_ROW_BYTES` is dead-lettered."""
MAX_ROW_BYTES = 1 << 20
MAX_KEY_BYTES = 1 << 16
"""So much of a key is kept with a dead letter, and no row has a larger one: its answer carries the same key."""

ROWS = Topic(
    "rows.v1",
    "data",
    "delete",
    "run_id, or run_id#lane",
    "rows of our producer, a run-end marker per lane, redrives and purges; written by our processes only",
    7 * 24 * HOUR_MS,
)
INGRESS = Topic(
    "ingress.rows.v1",
    "data",
    "delete",
    "any; names the run of rows that name none",
    "rows of other systems: no markers, no epochs, no ownership",
    7 * 24 * HOUR_MS,
)
PREDICTIONS = Topic("predictions.v1", "data", "delete", "as the row", "one prediction per scored row", 7 * 24 * HOUR_MS)
DEAD_LETTERS = Topic(
    "dead-letters.v1",
    "data",
    "delete",
    "as the row",
    "rows that could not be scored: bytes and reason; what became of them",
    30 * 24 * HOUR_MS,
)
STATS_CHANGELOG = Topic(
    f"{APP_ID}-stats-changelog",
    "data",
    "compact",
    "run_id:attempt:lane, __position__p, __ingress__p",
    "the Faust table",
)
TASKS = Topic("tasks.v1", "control", "compact", "task_id", "state of every training, feature selection, pipeline, run")
RUN_COMMANDS = Topic(
    "run-commands.v1", "control", "delete", "task_id", "start, pause, resume, seek, speed, stop", 7 * 24 * HOUR_MS
)
TRAINING_COMMANDS = Topic("training-commands.v1", "control", "delete", "task_id", "start, cancel", 7 * 24 * HOUR_MS)
RUN_POSITIONS = Topic(
    "run-positions.v1", "control", "compact", "run_id", "ownership and last acknowledged row of each lane"
)
MODELS = Topic("models.v1", "control", "compact", "model id, or alias@workspace", "model manifests and aliases")
DATASETS = Topic("datasets.v1", "control", "compact", "dataset or split id", "dataset and split manifests")
TASK_LOGS = Topic("task-logs.v1", "control", "delete", "task_id", "log entries of tasks", 7 * 24 * HOUR_MS)
QUARANTINE = Topic(
    "quarantine.v1",
    "control",
    "delete",
    "topic:partition:offset",
    "records of other topics that no reader takes: where they stood, why, and their bytes",
    30 * 24 * HOUR_MS,
)

INLETS = (ROWS, INGRESS)
"""The topics of rows, which the stream processor reads side by side."""

TOPICS = (
    ROWS,
    INGRESS,
    PREDICTIONS,
    DEAD_LETTERS,
    STATS_CHANGELOG,
    TASKS,
    RUN_COMMANDS,
    TRAINING_COMMANDS,
    RUN_POSITIONS,
    MODELS,
    DATASETS,
    TASK_LOGS,
    QUARANTINE,
)

TYPE_HEADER = "type"
"""Record header of `rows.v1`: a `MessageType`; a record without it is a row."""
CONTENT_TYPE_HEADER = "content-type"
SCHEMA_VERSION_HEADER = "schema-version"
REDRIVE_HEADER = "redrive"
"""On a repaired row that is sent again, a `Redrive`: it counts if and only if its first try is in the lane's
`skipped`."""
JSON = b"application/json"
PACKED = b"application/vnd.intelliinspect.rows+msgpack"
"""Content type of `schemas.messages.PackedRows`."""
SCHEMA_VERSION = b"1"

MARK_TYPE = b"dead-letter-mark"
"""Type of the records of `dead-letters.v1` that say what became of a letter."""

MessageType = Literal["row", "run-end", "run-skip", "purge"]
