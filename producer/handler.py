"""The handler of run commands: one desk per owned control partition, and taking runs up where another producer left
them."""

import msgspec
import structlog
from aiokafka import ConsumerRecord

from producer.metrics import RUNS_ACTIVE, TAKEOVERS
from producer.replay.retention import Spools
from producer.run import SendingRun
from producer.run_owner import RunOwner
from producer.sending.pacing import parse_rate
from producer.sending.positions import Positions
from producer.sending.sender import Sender
from runtime.kafka.reading import read_to_end
from runtime.kafka.transactions import Partition
from runtime.run_epochs import RunEpochs
from schemas.decoding import reader
from schemas.messages import TERMINAL
from schemas.tasks import Command, RunPosition, RunSpec, TaskState
from schemas.topics import RUN_POSITIONS
from storage.objects.files import Storage

log = structlog.get_logger()
_position = reader(RunPosition)


class Runs:
    """Implements `runtime.kafka.partition_owner.Handler`."""

    def __init__(
        self,
        kafka: dict[str, object],
        storage: Storage,
        sender: Sender,
        *,
        report_interval_seconds: float,
        lease_seconds: float,
        replays_kept: int,
        control_partitions: int,
    ) -> None:
        self._control_partitions = control_partitions
        self._kafka, self._storage, self._sender = kafka, storage, sender
        self._report_interval_seconds, self._lease_seconds = report_interval_seconds, lease_seconds
        self._replays_kept = replays_kept
        self._desks: dict[int, RunOwner] = {}
        RUNS_ACTIVE.set_function(lambda: sum(len(desk.runs) for desk in self._desks.values()))

    async def taken_over(self, partition: Partition, tasks: list[TaskState]) -> None:
        """Go on with every run that has begun: paused ones stay paused, stopped ones end. PENDING ones have their
        command to come."""
        begun = [
            task for task in tasks if task.kind == "run" and task.status not in TERMINAL and task.status != "PENDING"
        ]
        positions = await self._positions(partition.number) if begun else {}
        spools = Spools(self._storage, self._replays_kept)
        for task in tasks:
            spools.over(task)
        desk = RunOwner(
            self._kafka,
            partition,
            self._storage,
            self._sender,
            spools,
            lease_seconds=self._lease_seconds,
            partitions=self._control_partitions,
            begun=[task.task_id for task in tasks if task.kind == "run" and task.attempt],
        )
        self._desks[partition.number] = desk
        runs = [_resumed(task, positions.get((task.task_id, task.attempt))) for task in begun]
        for run in runs:
            log.info(
                "run taken up", run_id=run.run_id, attempt=run.task.attempt, acknowledged=run.positions.acknowledged
            )
        await desk.begin(runs)
        TAKEOVERS.inc(len(runs))
        partition.spawn(desk.report_forever(self._report_interval_seconds))
        partition.spawn(spools.thin())

    async def command(self, partition: Partition, record: ConsumerRecord, command: Command) -> None:
        """Hand the order to the desk."""
        await self._desks[partition.number].command(record, command)

    async def given_up(self, partition: Partition) -> None:
        """Write how far each run came, if that is still ours to say."""
        desk = self._desks.pop(partition.number, None)
        if desk is not None and not partition.lost:
            await desk.leave()

    async def _positions(self, number: int) -> dict[tuple[str, int], RunPosition]:
        """The newest position of each attempt of each run of the partition."""
        found: dict[str, dict[int, RunPosition]] = {}
        epochs = RunEpochs(self._kafka, partitions=self._control_partitions)
        async for record in read_to_end(self._kafka, RUN_POSITIONS.name, [number], wait_for_open_transactions=True):
            if (reason := epochs.take(record)) is not None:
                log.error("a position is passed over", partition=number, offset=record.offset, reason=reason)
            elif record.value is None:
                found.pop(record.key.decode(), None)
            elif isinstance(position := _position(record.value), RunPosition):
                found.setdefault(position.run_id, {})[position.attempt] = position
        return {
            (run_id, attempt): position for run_id, attempts in found.items() for attempt, position in attempts.items()
        }


def _resumed(task: TaskState, position: RunPosition | None) -> SendingRun:
    spec = msgspec.convert(task.spec, RunSpec)
    if position is not None and not _fits(position, spec):
        log.error("a position does not fit its run", run_id=task.task_id, acknowledged=position.acknowledged)
        position = None
    if position is None:  # from the first row: what was sent already is told by its row index
        positions = Positions.from_row(0, spec.lanes)
        return SendingRun(
            task, spec, positions, rate=parse_rate(spec.rows_per_second), paused=task.status == "PAUSED", stopping=False
        )
    run = SendingRun(
        task,
        spec,
        Positions(position.acknowledged),
        rate=position.rows_per_second,
        paused=position.paused,
        stopping=position.stopping,
        marks=position.marks
        and msgspec.structs.replace(position.marks, ending=None, message="", ends=[]),  # where it ends is ours to say
    )
    run.failure = position.failure
    return run


def _fits(position: RunPosition, spec: RunSpec) -> bool:
    """Whether it is one of a run of these lanes and rows: the first row of each lane that is not confirmed."""
    lanes, rows = spec.lanes, spec.total_rows
    return len(position.acknowledged) == lanes and all(
        row % lanes == lane and (rows is None or row < rows + lanes) for lane, row in enumerate(position.acknowledged)
    )
