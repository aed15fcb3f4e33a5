"""Identities and keys: how objects are named and how records are keyed.

`(run_id, attempt, row_index)` names a row for ever; everything else is derived from it.
"""

import hashlib
import re
import secrets
import uuid
from datetime import datetime

from schemas.topics import INGRESS, ROWS

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}")
RUN_PREFIX = "sim-task-"
MODEL_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}")
"""What can name a folder of the storage, whatever the storage is."""


def new_training_id() -> str:
    """A training's task id: UUID4."""
    return str(uuid.uuid4())


def new_run_id() -> str:
    """A run's task id: `sim-task-` and a UUID4."""
    return RUN_PREFIX + str(uuid.uuid4())


def new_id(prefix: str) -> str:
    """`prefix-` and 12 hexadecimal digits, for `ds`, `split`, `model`, `task`."""
    return f"{prefix}-{secrets.token_hex(6)}"


TASK_ID = re.compile(
    rf"(?:{RUN_PREFIX})?[0-9a-f]{{8}}-[0-9a-f]{{4}}-4[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}|task-[0-9a-f]{{12}}"
)


def is_task_id(text: str) -> bool:
    """Whether the text has the form of a task id; says nothing of whether such a task exists."""
    return TASK_ID.fullmatch(text) is not None


def row_key(run_id: str, lane: int, lanes: int) -> bytes:
    """Record key of a row and of what is derived from it: `run_id`, with `#lane` when the run has several lanes."""
    return (run_id if lanes == 1 else f"{run_id}#{lane}").encode()


def stats_key(run_id: str, attempt: int, lane: int) -> bytes:
    """Key of a lane's statistics in the Faust table. Run ids hold no colon, so the parts can be told apart."""
    return f"{run_id}:{attempt}:{lane}".encode()


POSITION_PREFIX = b"__"
"""Keys of the changelog that start so are the processor's own (positions, ownership), not statistics."""


def position_key(partition: int, topic: str = ROWS.name) -> bytes:
    """Key of the position reached in a partition of `rows.v1` or `ingress.rows.v1`."""
    return (b"__ingress__%d" if topic == INGRESS.name else b"__position__%d") % partition


def prediction_id(run_id: str, attempt: int, row_index: int) -> str:
    """The one name of a row's answer."""
    return f"{run_id}:{attempt}:{row_index}"


def dead_letter_id(topic: str, partition: int, offset: int, row: int | None = None) -> str:
    """The name of a record's dead letter; `row`: which of a packed record's. Those of `ingress.rows.v1` begin with an
    i."""
    return f"{'i' if topic == INGRESS.name else ''}{partition}-{offset}" + ("" if row is None else f"-{row}")


UNKEYED_RUN_ID = "ext-no-key"
"""The run of rows that other systems send without `run_id` and without a key."""


def external_run_id(key: bytes | None) -> str:
    """The run of rows that another system sends without `run_id`: one per record key, in whatever partitions they
    arrive."""
    if key is None:
        return UNKEYED_RUN_ID
    text = key.decode("utf-8", "replace")
    named = RUN_ID.fullmatch("x" + text) and len(text) <= 64
    return f"ext-{text if named else hashlib.sha256(key).hexdigest()[:16]}"


def former_external_run_id(key: bytes | None, run_id: str | None, partition: int, home: int | None) -> str:
    """What a run of another system was called while its rows came on `rows.v1`: outside `home` a name had a run of its
    own."""
    named = key if run_id is None else run_id.encode()
    if named is None:
        return f"ext-partition-{partition}"
    return (run_id or external_run_id(named)) if home == partition else f"{external_run_id(named)}@{partition}"


def foreign_lanes(partitions: int) -> int:
    """Lanes of another system's run: one for each partition of `ingress.rows.v1`, and one for each of `rows.v1` (ADR
    33)."""
    return 2 * partitions


def foreign_lane(topic: str, partition: int, partitions: int) -> int:
    """The lane that another system's row travels in; its row index is `offset * lanes + lane`."""
    return partition if topic == INGRESS.name else partitions + partition


OTHERS_RUN_ID = "ext-others"
"""The run of rows of other systems in partitions in which no more runs have room."""


def is_external_key(key: bytes, partition: int, partitions: int) -> bool:
    """Whether a key of the Faust table is of a lane of another system's run in this partition."""
    run_id, *rest = key.split(b":")
    lanes = (b"%d" % foreign_lane(topic, partition, partitions) for topic in (INGRESS.name, ROWS.name))
    return len(rest) == 2 and rest[1] in lanes and not is_task_id(run_id.decode("utf-8", "replace"))


def alias_key(alias: str, workspace: str) -> str:
    """Key in `models.v1` of an alias, such as `champion@default`."""
    return f"{alias}@{workspace}"


def feature_selection_id(dataset_id: str) -> str:
    """The task that ranks a dataset's features: `task-` and the dataset's 12 digits."""
    return "task-" + dataset_id.removeprefix("ds-")


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exact: times that things are ordered and found by."""
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000 + moment.microsecond
