"""What the gateway writes to Kafka: accepted tasks, orders to their owners, registry records.

Each write is one Kafka transaction and is applied to Redis as well before it returns, so that a client reads its own write. A write that
Kafka does not confirm in time raises `Unavailable("kafka")`. Once Kafka has it, it stands: if Redis fails then, the projector catches up.
"""

from typing import Any, NamedTuple

from schemas.messages import Command, TaskState
from schemas.topics import Topic


class Record(NamedTuple):
    """One record to write; value None deletes the key."""

    topic: Topic
    key: str
    value: bytes | None


class Commands:
    """The one writer of a gateway process."""

    async def accept(self, task: TaskState, commands: Topic, *also: Record) -> None:
        """Write the PENDING task, its start command to the topic `commands`, and what else belongs to it, all or nothing."""
        raise NotImplementedError

    async def order(self, commands: Topic, task_id: str, command: str, arguments: dict[str, Any] | None = None) -> Command:
        """Send a command such as `stop` or `cancel` to the owner of the task."""
        raise NotImplementedError

    async def record(self, *records: Record) -> None:
        """Write records to `datasets.v1`, `models.v1`: all or nothing."""
        raise NotImplementedError
