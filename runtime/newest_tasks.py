"""The newest state of each task of a control partition, as far as states can be believed (ADR 28)."""

import structlog

from runtime.kafka.reading import partition_for, read_to_end
from runtime.run_epochs import RunEpochs
from schemas.decoding import Unreadable, reader
from schemas.messages import TERMINAL
from schemas.tasks import TaskState
from schemas.topics import RUN_POSITIONS, TASKS

log = structlog.get_logger()
_task = reader(TaskState)


async def newest_tasks(kafka: dict[str, object], number: int, partitions: int) -> list[TaskState]:
    """Read `tasks.v1` of a partition to its end. Nobody but the caller may write there, or what is read is of the past.

    Passed over: what cannot be read, what lies in a partition that is not its own, a run's state under an epoch that
    nobody had, and one that goes back behind, or leaps ahead of, the attempt before it. The state before it stands
    then."""
    epochs = RunEpochs(kafka, partitions=partitions)
    async for record in read_to_end(kafka, RUN_POSITIONS.name, [number], wait_for_open_transactions=True):
        epochs.take(record)
    tasks: dict[bytes, TaskState] = {}
    async for record in read_to_end(kafka, TASKS.name, [number], wait_for_open_transactions=True):
        if partition_for(record.key or b"", partitions) != number:
            reason: str | None = "its key belongs into another partition"
        elif record.value is None:
            if (
                gone := tasks.get(record.key)
            ) is not None and gone.status in TERMINAL:  # nobody deletes a task that is at work
                del tasks[record.key]
            continue
        else:
            task = _task(record.value)
            reason = (
                task.reason
                if isinstance(task, Unreadable)
                else unbelievable(task, record.key, tasks.get(record.key), epochs)
            )
        if reason is None:
            assert isinstance(task, TaskState)
            tasks[record.key] = task
        else:
            log.error("a task state is passed over", partition=number, offset=record.offset, reason=reason)
    return list(tasks.values())


def unbelievable(task: TaskState, key: bytes, before: TaskState | None, epochs: RunEpochs) -> str | None:
    """Why a state cannot be the one that follows `before`; null when it can."""
    if key != task.task_id.encode():
        return f"the key {key!r:.80} is not that of {task.task_id}"
    if not epochs.vouches(task):
        return f"attempt {task.attempt}, epoch {task.epoch} of {task.task_id} is not known to {RUN_POSITIONS.name}"
    if before is None:
        return None
    if task.kind != before.kind:
        return f"{task.task_id} is a {before.kind}, not a {task.kind}"
    if (task.attempt, task.epoch) < (before.attempt, before.epoch):
        return f"attempt {task.attempt} of {task.task_id} is over: {before.attempt} has begun"
    if task.kind != "run" and task.attempt > before.attempt + 1:
        return f"attempt {task.attempt} of {task.task_id} follows attempt {before.attempt}"
    return None
