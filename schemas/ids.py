"""Identities and keys: how objects are named and how records are keyed.

`(run_id, attempt, row_index)` names a row for ever; everything else is derived from it.
"""

import hashlib
import re
import secrets
import uuid
from datetime import datetime

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


TASK_ID = re.compile(rf"(?:{RUN_PREFIX})?[0-9a-f]{{8}}-[0-9a-f]{{4}}-4[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}|task-[0-9a-f]{{12}}")


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


def position_key(partition: int) -> bytes:
    """Key of the position reached in a partition of `rows.v1`."""
    return b"__position__%d" % partition


def prediction_id(run_id: str, attempt: int, row_index: int) -> str:
    """The one name of a row's answer."""
    return f"{run_id}:{attempt}:{row_index}"


def external_run_id(key: bytes | None, partition: int, *, keyed_partition: int | None) -> str:
    """The run of rows that another system sends without `run_id`: one per record key.

    `keyed_partition` is where the default partitioner puts the key. A key found in another partition gets a run of its own,
    because row indices of such runs are offsets, which are unique only within a partition.
    """
    if key is None:
        return f"ext-partition-{partition}"
    text = key.decode("utf-8", "replace")
    name = text if RUN_ID.fullmatch("x" + text) and len(text) <= 64 else hashlib.sha256(key).hexdigest()[:16]
    return f"ext-{name}" if keyed_partition == partition else f"ext-{name}@{partition}"


def others_run_id(partition: int) -> str:
    """The run of rows of other systems in a partition in which no more runs have room."""
    return f"ext-others@{partition}"


def is_external_key(key: bytes, partition: int) -> bool:
    """Whether a key of the Faust table is of another system's run in this partition."""
    run_id, _, lane = key.decode("utf-8", "replace").partition(":")
    return lane == f"1:{partition}" and not is_task_id(run_id)


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
