"""The runs of one control partition: orders come in, runs begin, halt, go on and end.

Each change of a run is one transaction with its position, its task's state and the order's offset, so whoever takes the
run over goes on exactly there. Before a run sends anything from here, an ownership record is written: its offset is the
epoch of all that follows. Rows are sent only while the ownership was confirmed (by any transaction) less than
`lease_seconds` ago, so a producer that was frozen notices before it sends more than what it held.
"""

import asyncio
import os
import socket
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from msgspec import UNSET

from producer.borne_out import Failures
from producer.errors import Forged, IllegalMove, RunFailed
from producer.metrics import COMMANDS, RUNS_ENDED
from producer.replay.capture import open_rows
from producer.replay.registered import Registered
from producer.replay.retention import Spools
from producer.run import SendingRun, utc_now
from producer.sending.pacing import parse_rate
from producer.sending.positions import Positions
from producer.sending.sender import Sender
from runtime.errors import Fenced, Unavailable
from runtime.kafka.errors import classify
from runtime.kafka.transactions import Partition, Record
from runtime.newest_tasks import newest_tasks
from runtime.quarantine import entry
from schemas.bounds import INTEGER_MAX
from schemas.messages import Ending, Status, encode
from schemas.tasks import FORMER_ATTEMPTS_MAX, Command, FormerAttempt, Marks, RunPosition, RunSpec, TaskState
from schemas.topics import RUN_POSITIONS, TASKS
from schemas.transitions import RunOrder, may
from storage.objects.files import Storage

log = structlog.get_logger()

STORAGE_PAUSE_SECONDS = 1.0
"""Between two rounds of tries while the storage is away."""
MESSAGE_MAX = 2000
"""Letters of the reason of a failure: it stands in markers and in every later position."""
SUPERSEDED = "superseded by a new attempt"
LEAVE_TIMEOUT_SECONDS = 5.0
"""How long a producer that leaves waits for the confirmation of what it sent; the rest is sent again by its
successor."""


class RunOwner:
    """`runs` are those in progress or paused."""

    def __init__(
        self,
        kafka: dict[str, object],
        partition: Partition,
        storage: Storage,
        sender: Sender,
        spools: Spools,
        *,
        lease_seconds: float,
        partitions: int,
        begun: Iterable[str] = (),
    ) -> None:
        """`partitions`: how many control partitions there are. `begun`: the runs that have been started before."""
        self._begun = {*begun}
        self.runs: dict[str, SendingRun] = {}
        self._failures = Failures(kafka)
        self._partitions = partitions
        self._kafka, self._partition, self._sender, self._spools = kafka, partition, sender, spools
        self._open_rows = partial(open_rows, kafka, storage, Registered(kafka))
        self._lease_seconds = lease_seconds
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._confirmed_at = time.monotonic()
        self._writing = asyncio.Lock()
        """Held while records are made and written: no state may be overtaken by an older one."""

    async def begin(
        self, runs: Sequence[SendingRun], *, start_row: int = 0, command: ConsumerRecord | None = None
    ) -> None:
        """Make the runs ours, write their states and let those go on that are not paused."""
        if not runs:
            return
        claims: list[Record] = [
            (RUN_POSITIONS, run.key, encode(run.position(self._owner, "ownership"))) for run in runs
        ]
        for run, epoch in zip(runs, await self._partition.transaction(claims), strict=True):
            run.take_turn(self._sender, epoch)
            if start_row:
                await run.skip_to(start_row)
                await run.lanes.all_confirmed()
            self.runs[run.run_id] = run
        await self._write(runs, command)
        for run in runs:
            self._go(run)

    async def command(self, record: ConsumerRecord, command: Command) -> None:
        """Carry out one order. One that does not fit is passed over."""
        orders = {
            "start": self._start,
            "pause": self._pause,
            "resume": self._resume,
            "speed": self._speed,
            "seek": self._seek,
            "stop": self._stop,
            "fail": self._fail,
            "retry": self._retry,
            "step": self._step,
        }
        outcome = "done"
        try:
            if command.command not in orders:
                raise IllegalMove(f"a run knows no {command.command}")
            await orders[command.command](command, record)
        except IllegalMove as error:
            outcome = "forged" if isinstance(error, Forged) else "ignored"
            log.warning("order ignored", run_id=command.task_id, command=command.command, reason=str(error))
            kept = [entry(record, str(error), "producer")] if isinstance(error, Forged) else []
            await self._partition.transaction(kept, command=record)
        COMMANDS.labels(command.command, outcome).inc()

    async def report_forever(self, interval_seconds: float) -> None:
        """Write positions and progress of the runs that moved, all in one transaction."""
        while True:
            await asyncio.sleep(interval_seconds)
            await self._write([run for run in self.runs.values() if run.changed])

    async def leave(self) -> None:
        """Write how far each run came; nothing is being sent any more."""
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_SECONDS):
                await asyncio.gather(*[run.lanes.all_confirmed() for run in self.runs.values()])
        except (TimeoutError, Unavailable) as error:
            log.warning("leaving with rows unconfirmed", error=repr(error))
        await self._write([*self.runs.values()])

    async def _start(self, command: Command, record: ConsumerRecord) -> None:
        task = command.task
        if task is None or task.kind != "run" or task.task_id in self._begun or (task.attempt, task.epoch) != (0, 0):
            raise IllegalMove("there is no run to start, or it has begun")
        await self._attempt(task, None, 0, record)
        self._begun.add(task.task_id)

    async def _pause(self, command: Command, record: ConsumerRecord) -> None:
        run = await self._halted(command.task_id, "pause")
        run.paused = True
        await run.lanes.all_confirmed()
        await self._write([run], record)

    async def _resume(self, command: Command, record: ConsumerRecord) -> None:
        run = await self._halted(command.task_id, "resume")
        run.resume()
        await self._write([run], record)
        self._go(run)

    async def _speed(self, command: Command, record: ConsumerRecord) -> None:
        rate = _argument(command, "rows_per_second", parse_rate)
        run = await self._halted(command.task_id, "speed")
        run.rate = rate
        if run.pacer is not None:
            run.pacer.change(rate, time.monotonic())
        await self._write([run], record)
        self._go(run)

    async def _stop(self, command: Command, record: ConsumerRecord) -> None:
        run = await self._halted(command.task_id, "stop")
        run.stopping, run.paused = True, False
        await self._write([run], record)
        self._go(run)

    async def _fail(self, command: Command, record: ConsumerRecord) -> None:
        """The stream processor met too many dead letters: the attempt ends as it is, as FAILED. Its statistics must say
        so, too."""
        attempt = _argument(command, "attempt", _index)
        run = self.runs.get(command.task_id)
        if run is None or run.task.attempt != attempt:
            raise IllegalMove("the attempt is over")
        message = await self._failures.message(run.run_id, attempt, run.spec.lanes)
        if message is None:
            raise Forged("the statistics of the run say nothing of a failure")
        run = await self._halted(command.task_id, "stop")
        run.stopping, run.paused, run.failure = True, False, message
        await self._write([run], record)
        self._go(run)

    async def _seek(self, command: Command, record: ConsumerRecord) -> None:
        row_index = _argument(command, "row_index", _index)
        run = await self._halted(command.task_id, "seek")
        if not _has_row(row_index, run.spec):
            self._go(run)
            raise IllegalMove(f"there is no row {row_index} in a run of {run.spec.total_rows} rows")
        if row_index < min(run.positions.next):
            run.will_end("STOPPED", SUPERSEDED)
            await self._announce(run)
            await run.close_lanes("STOPPED", SUPERSEDED)
            former = _former(run.task, "STOPPED", run.spec.lanes)
            await self._attempt(run.task, former, row_index, record, rate=run.rate, paused=run.paused)
            return
        await run.lanes.all_confirmed()  # nobody can tell the lanes of the skip before the rows in front of it
        run.will_skip(row_index)
        await self._announce(run)
        await run.skip_to(row_index)
        await run.lanes.all_confirmed()
        await self._write([run], record)
        self._go(run)

    async def _step(self, command: Command, record: ConsumerRecord) -> None:
        rows = _argument(command, "rows", _index, 1)
        run = await self._halted(command.task_id, "step")
        if run.spec.total_rows is None:
            raise IllegalMove("the rows that it replays are not read yet; resume it")
        run.stepping = True
        try:
            await run.send_rows(self._open_rows, self._confirm_ownership, only=rows)
            await run.lanes.all_confirmed()
        except RunFailed as error:
            await self._end(run, "FAILED", str(error))
            await self._partition.transaction([], command=record)
            return
        except Unavailable as error:  # orders of other runs do not wait for it; what was sent of the step stands
            if error.part != "storage":
                raise
            log.warning("step not done", run_id=run.run_id, reason=str(error))
        finally:
            run.stepping = False
        await self._write([run], record)

    async def _retry(self, command: Command, record: ConsumerRecord) -> None:
        row_index = _argument(command, "row_index", _index, 0)
        if "rows_per_second" in command.arguments:
            _argument(command, "rows_per_second", parse_rate)
        task = None if command.task_id in self.runs else await self._newest(command.task_id)
        if task is None or task.kind != "run" or not may("retry", task.status):
            raise IllegalMove("only a run that has ended can be tried again")
        former = _former(task, task.status, task.ended_lanes)
        pace = (task.progress or {}).get("pace", task.spec.get("rows_per_second"))
        await self._attempt(task, former, row_index, record, rate=command.arguments.get("rows_per_second", pace))

    async def _attempt(
        self,
        task: TaskState,
        former: FormerAttempt | None,
        row_index: int,
        record: ConsumerRecord,
        *,
        rate: object = UNSET,
        paused: bool = False,
    ) -> None:
        """Begin the next attempt, with lanes of its own, at a row. What can never run ends at once, with the reason."""
        self.runs.pop(task.task_id, None)
        task = msgspec.structs.replace(
            task,
            attempt=task.attempt + 1,
            started_at=utc_now(),
            finished_at=None,
            result=None,
            error=None,
            ended_lanes=0,
            former=[*task.former, *([former] if former else [])][-FORMER_ATTEMPTS_MAX:],
        )
        try:
            spec = msgspec.convert(task.spec, RunSpec)
            rows_per_second = parse_rate(spec.rows_per_second if rate is UNSET else rate)
            if spec.lanes < 1:
                raise ValueError(f"a run has at least one lane, not {spec.lanes}")
            if not _has_row(row_index, spec):
                raise ValueError(f"there is no row {row_index} in a run of {spec.total_rows} rows")
        except ValueError as error:
            await self._refuse(task, str(error), record)
            return
        await self._spools.begins(task.task_id)
        run = SendingRun(
            task,
            spec,
            Positions.from_row(0, spec.lanes),
            rate=rows_per_second,
            paused=paused,
            stopping=False,
            marks=Marks(),
        )
        if row_index:
            run.will_skip(row_index)  # the ownership record says so
        await self.begin([run], start_row=row_index, command=record)

    async def _refuse(self, task: TaskState, reason: str, record: ConsumerRecord) -> None:
        """An attempt that cannot begin ends at once; like any other it is known to have been."""
        now = utc_now()
        failed = msgspec.structs.replace(task, status="FAILED", updated_at=now, finished_at=now, error=reason)
        position = RunPosition(
            kind="position",
            run_id=task.task_id,
            attempt=task.attempt,
            epoch=task.epoch,
            owner=self._owner,
            acknowledged=[0],
            rows_per_second=None,
            paused=False,
            written_at=now,
            ended=True,
        )
        key = task.task_id.encode()
        await self._partition.transaction(
            [(RUN_POSITIONS, key, encode(position)), (TASKS, key, encode(failed))], command=record
        )

    async def _halted(self, run_id: str, order: RunOrder) -> SendingRun:
        """The run, sending nothing; raises `IllegalMove` when it is over, or its state does not allow the order."""
        run = self.runs.get(run_id)
        if run is None or run.stopping:
            raise IllegalMove("the run is not in progress")
        if not may(order, run.status):
            raise IllegalMove(f"the run is {run.status}")
        if not await run.halt():
            raise IllegalMove("the run has come to its end")
        return run

    def _go(self, run: SendingRun) -> None:
        if not run.paused:
            run.work = self._partition.spawn(self._work(run))

    async def _work(self, run: SendingRun) -> None:
        ending: Ending = "STOPPED"
        message = ""
        try:
            if not run.stopping:
                await self._send(run)
                ending = "COMPLETED"
            elif run.failure:
                ending, message = "FAILED", run.failure
        except RunFailed as error:
            ending, message = "FAILED", str(error)
        except Exception as error:
            meant = classify(error, run.run_id) if isinstance(error, KafkaError) else error
            if isinstance(meant, Unavailable | Fenced):
                raise
            log.exception("a run cannot go on", run_id=run.run_id)  # a bug; the other runs of this producer do go on
            ending, message = "FAILED", f"It cannot go on: {type(error).__name__}: {error}"[:500]
        run.ending = ending
        await self._end(run, ending, message)

    async def _send(self, run: SendingRun) -> None:
        """Send all rows; a storage that is away is waited for, however long. An order ends the wait as it ends the
        sending."""
        while True:
            try:
                await run.send_rows(self._open_rows, self._confirm_ownership)
            except Unavailable as error:
                if error.part != "storage":
                    raise
                run.wait_for_storage()
                log.warning("the run waits for the storage", run_id=run.run_id, error=str(error))
                await asyncio.sleep(STORAGE_PAUSE_SECONDS)
            else:
                return

    async def _end(self, run: SendingRun, ending: Ending, message: str) -> None:
        message = message[:MESSAGE_MAX]
        marked = not (ending == "FAILED" and run.untouched)
        if marked:
            run.will_end(ending, message)
            await self._announce(run)
            await run.close_lanes(ending, message)
        async with self._writing:
            state = msgspec.structs.replace(
                run.state(ending),
                finished_at=utc_now(),
                error=message or None,
                ended_lanes=run.spec.lanes if marked else 0,
            )
            position = msgspec.structs.replace(
                run.position(self._owner), ended=True, failure=message if ending == "FAILED" else ""
            )
            await self._partition.transaction(
                [(TASKS, run.key, encode(state)), (RUN_POSITIONS, run.key, encode(position))]
            )
            run.ended = True
            del self.runs[run.run_id]
        if run.spec.replay is not None:
            self._spools.over(state)
            self._partition.spawn(self._spools.thin())
        RUNS_ENDED.labels(ending).inc()
        log.info("run ended", run_id=run.run_id, attempt=run.task.attempt, ending=ending, reason=message)

    async def _announce(self, run: SendingRun) -> None:
        """Write what the run is about to tell its lanes: who reads them believes no other."""
        if run.marks is not None:
            async with self._writing:
                await self._partition.transaction([(RUN_POSITIONS, run.key, encode(run.position(self._owner)))])
                self._confirmed_at = time.monotonic()

    async def _confirm_ownership(self) -> None:
        if time.monotonic() - self._confirmed_at > self._lease_seconds:
            await self._write([*self.runs.values()])

    async def _write(self, runs: Sequence[SendingRun], command: ConsumerRecord | None = None) -> None:
        """Write positions and states as they are now; those that have ended meanwhile are left out."""
        async with self._writing:
            records: list[Record] = []
            for run in runs:
                if not run.ended and not run.stepping:
                    state = run.state(run.status)
                    records += [
                        (RUN_POSITIONS, run.key, encode(run.position(self._owner))),
                        (TASKS, run.key, encode(state)),
                    ]
            if records or command is not None:
                await self._partition.transaction(records, command=command)
                self._confirmed_at = time.monotonic()

    async def _newest(self, task_id: str) -> TaskState | None:
        tasks = await newest_tasks(self._kafka, self._partition.number, self._partitions)
        return next((task for task in tasks if task.task_id == task_id), None)


def _has_row(row_index: int, spec: RunSpec) -> bool:
    """Whether a run can go on at this row; right behind the last one it ends. A replay has only the first until its
    rows are read."""
    return 0 <= row_index <= (spec.total_rows or 0)


def _former(task: TaskState, status: Status, ended_lanes: int) -> FormerAttempt:
    return FormerAttempt(
        attempt=task.attempt,
        status=status,
        started_at=task.started_at,
        finished_at=task.finished_at or utc_now(),
        ended_lanes=ended_lanes,
        error=task.error,
    )


def _index(value: object) -> int:
    """A row index, a number of rows, an attempt."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= INTEGER_MAX:
        raise ValueError(f"a whole number from 0 to {INTEGER_MAX} is wanted, not {value!r:.80}")
    return value


def _argument(command: Command, name: str, parse: Any, default: Any = None) -> Any:
    try:
        return parse(command.arguments.get(name, default))
    except (TypeError, ValueError) as error:
        raise IllegalMove(f"{name}: {error}") from error
