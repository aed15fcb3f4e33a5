"""The trainer's share of the control plane: takes tasks up, runs each as a job, writes what becomes of them.

Every state is written through the partition's owner, so a trainer that was replaced writes nothing. A task that its
trainer left behind is tried again as the next attempt, at most `max_attempts` in all; one that the trainer handed back
when it was stopped waits as PENDING."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import ConsumerRecord

from runtime.kafka.transactions import Partition
from schemas.messages import TERMINAL
from schemas.tasks import Command, TaskState
from trainer.metrics import JOBS_WAITING
from trainer.settings import TrainerSettings
from trainer.work import Work

KINDS = ("training", "feature_selection")


class TrainingHandler:
    """The handler of the trainer's control partitions (`runtime.kafka.partition_owner.Handler`)."""

    def __init__(self, settings: TrainerSettings) -> None:
        self._settings = settings
        self._places = {kind: asyncio.Semaphore(settings.jobs) for kind in KINDS}
        self._known: dict[int, set[str]] = {}
        self._work: dict[str, Work] = {}

    async def taken_over(self, partition: Partition, tasks: Sequence[TaskState]) -> None:
        """Take up whatever is not terminal, oldest first."""
        mine = sorted((task for task in tasks if task.kind in KINDS), key=lambda task: (task.created_at, task.task_id))
        self._known[partition.number] = {task.task_id for task in mine}
        for task in mine:
            if task.status not in TERMINAL:
                self._take_up(partition, task)

    async def command(self, partition: Partition, record: ConsumerRecord, command: Command) -> None:
        """Start or cancel; anything else, and what is known already, only moves the position."""
        if command.command in ("cancel", "stop"):
            work = self._work.pop(command.task_id, None)
            await partition.transaction(await work.cancelled() if work else [], command=record)
            return
        known = self._known[partition.number]
        await partition.transaction([], command=record)
        task = command.task
        if (
            command.command == "start"
            and task is not None
            and task.kind in KINDS
            and task.attempt == 0
            and task.task_id not in known
        ):
            known.add(task.task_id)
            self._take_up(partition, task)

    async def given_up(self, partition: Partition) -> None:
        """Hand back what was being worked on, as far as this trainer may still write."""
        del self._known[partition.number]
        left = [work for work in self._work.values() if work.partition is partition]
        for work in left:
            del self._work[work.task_id]
        if not partition.lost:
            await partition.transaction([record for work in left for record in work.handed_back()])

    def _take_up(self, partition: Partition, task: TaskState) -> None:
        work = self._work[task.task_id] = Work(partition, task, self._settings)
        work.running = partition.spawn(self._in_turn(work))

    async def _in_turn(self, work: Work) -> None:
        async with self._place(work.state.kind):
            await work.run()
        self._work.pop(work.task_id, None)

    @asynccontextmanager
    async def _place(self, kind: str) -> AsyncIterator[None]:
        """Wait for a free place: first come, first served, each kind for itself, so that a split never waits for a
        training."""
        with JOBS_WAITING.labels(kind).track_inprogress():
            await self._places[kind].acquire()
        try:
            yield
        finally:
            self._places[kind].release()
