"""Own control partitions: a member of the group on a commands topic; each partition has one owner, who handles its
commands in order.

Taking a partition over, in this order: open its transactional producer (fences the former owner), read the group's
committed offset, read `tasks.v1` of the partition to its end, `handler.taken_over`, then its commands from that offset.
A command's offset is committed in the transaction that writes its effect, so each command takes effect once. A
rebalance that leaves a partition here does not disturb its work: transactions wait until the assignment is known.

A command that cannot be read, or whose handling ended the process `TRIES` times, goes to `quarantine.v1` and the
partition goes on; a task that it was to start ends FAILED. The tries are beside the group's offset, so they survive any
crash."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import structlog
from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from runtime.errors import Fenced, Unavailable
from runtime.kafka.clients import group_consumer
from runtime.kafka.errors import classify
from runtime.kafka.reading import partition_for, wait_for_kafka
from runtime.kafka.transactions import ANSWER_TIMEOUT_SECONDS, Partition, Record, in_time
from runtime.newest_tasks import newest_tasks
from runtime.quarantine import entry, read_quarantine
from runtime.tasks import cancel_all, stop_client
from schemas.decoding import Unreadable, reader
from schemas.messages import TERMINAL, encode
from schemas.tasks import Command, TaskState
from schemas.topics import TASKS, Topic

log = structlog.get_logger()

SESSION_TIMEOUT_MS = 10_000
"""After a crash nobody works on a partition for this long. Heartbeats come from the event loop, which is never held
longer than 0.1 s, so even on a loaded machine a third of it is ample."""
REBALANCE_TIMEOUT_MS = 20_000
GIVE_UP_TIMEOUT_SECONDS = 10.0
"""Bound on what a handler may still write when it is asked to stop."""
WATCH_SECONDS = 5.0
TRIES = 5
"""So often a command is begun whose handling ends the process. Fewer than the restarts after which a supervisor sets
the process aside."""


class Handler(Protocol):
    """What a worker does with its partitions. An exception from any of these ends the process."""

    async def taken_over(self, partition: Partition, tasks: list[TaskState]) -> None:
        """The partition is ours: `tasks` is the newest state of each of its tasks, of every kind. Take up what is not
        terminal."""

    async def command(self, partition: Partition, record: ConsumerRecord, command: Command) -> None:
        """Handle one command; ends in exactly one `partition.transaction(..., command=record)`. May come again only if
        that failed."""

    async def given_up(self, partition: Partition) -> None:
        """Let go of the partition within seconds. Its spawned work is cancelled already. Writing is possible unless
        `partition.lost`."""


async def own(
    kafka: dict[str, object],
    *,
    group: str,
    topic: Topic,
    handler: Handler,
    stopping: asyncio.Event,
    session_timeout_ms: int = SESSION_TIMEOUT_MS,
) -> None:
    """Own partitions of the commands topic until `stopping` is set. Raises `Fenced`, `Unavailable`, or what the handler
    raised."""
    await PartitionOwner(kafka, group=group, topic=topic, handler=handler, session_timeout_ms=session_timeout_ms).run(
        stopping
    )


class PartitionOwner(ConsumerRebalanceListener):  # type: ignore[misc]
    """A member of the group, with the partitions that it owns."""

    def __init__(
        self,
        kafka: dict[str, object],
        *,
        group: str,
        topic: Topic,
        handler: Handler,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
    ) -> None:
        self._kafka, self._group, self._topic, self._handler = kafka, group, topic, handler
        self._session_timeout_ms = session_timeout_ms
        self._owned: dict[int, _Owned] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._started = self._assigned = self._silent = False
        self._partitions = 0
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def problems(self) -> dict[str, str]:
        """Why this member is not ready, by part; empty when every partition it owns is taken over."""
        if self._silent:
            return {"kafka": "the broker does not answer"}
        if not self._assigned:
            return {"kafka": "not in the group yet"}
        waiting = [number for number, owned in self._owned.items() if not owned.working]
        return {"kafka": f"taking over partitions {waiting}"} if waiting else {}

    async def run(self, stopping: asyncio.Event) -> None:
        """See `own`."""
        consumer = group_consumer(
            self._kafka,
            self._group,
            self._session_timeout_ms,
            heartbeats=5,
            sticky=True,
            rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
        )
        self._consumer = consumer
        waits: list[asyncio.Future[Any]] = [
            asyncio.create_task(work) for work in (self._poll(), self._watch(), stopping.wait())
        ]
        try:
            await asyncio.wait([*waits, self._failure], return_when=asyncio.FIRST_COMPLETED)
            if stopping.is_set() and not self._failure.done():
                await asyncio.gather(*[self._let_go(owned) for owned in self._owned.values()])
        finally:
            await cancel_all(*waits)
            await self._close()
        if self._failure.done():
            self._failure.result()
        if (
            not stopping.is_set()
        ):  # a library cancelled what it was asked for: to return would look like a stop that somebody wanted
            raise Unavailable("kafka", "the group was left without being asked")

    async def _close(self) -> None:
        await asyncio.gather(
            *[owned.close() for owned in self._owned.values()], *self._leaving.values(), return_exceptions=True
        )
        try:
            async with asyncio.timeout(GIVE_UP_TIMEOUT_SECONDS):
                await stop_client(self._consumer)  # leaves the group: others take over at once
        except Exception as error:
            log.warning("the group was not left cleanly", error=repr(error))

    async def _poll(self) -> None:
        """Hand each record to its partition. A record that comes again after a rebalance is told by its offset."""
        try:
            self._partitions = await wait_for_kafka(
                self._kafka, self._topic.name, timeout_seconds=ANSWER_TIMEOUT_SECONDS
            )
            await self._consumer.start()
            self._started = True
            self._consumer.subscribe([self._topic.name], listener=self)
            while True:
                for tp, records in (await self._consumer.getmany(timeout_ms=1000)).items():
                    if owned := self._owned.get(tp.partition):
                        for record in records:
                            owned.commands.put_nowait(record)
        except Exception as error:
            self._fail(classify(error, f"reading {self._topic.name}"))

    async def _watch(self) -> None:
        """Ask the broker now and then, for `problems`: aiokafka itself waits for it in silence, and for ever."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not self._started:
                continue
            try:
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._consumer.topics()
                    await self._report()
                self._silent = False
            except (Fenced, Unavailable) as error:
                if self._assigned:
                    self._fail(error)
            except (KafkaError, OSError, TimeoutError):
                self._silent = True

    async def _report(self) -> None:
        """Store where partitions without work stand: the markers behind the last command would else be lag for ever."""
        for number, owned in [*self._owned.items()]:
            if not owned.idle or not self._assigned:
                continue
            position = await self._consumer.position(TopicPartition(self._topic.name, number))
            if owned.idle and position > max(owned.partition.committed + 1, owned.reported):
                await owned.partition.reach(self._topic.name, position, still=lambda owned=owned: owned.idle)  # type: ignore[misc]
                owned.reported = position

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """A rebalance begins: no transaction may be under way when the group forgets who owned what."""
        self._assigned = False
        for owned in self._owned.values():
            owned.partition.suspend()
        idle = [asyncio.create_task(owned.partition.idle()) for owned in self._owned.values()]
        if idle:  # a silent broker must not hold the rebalance up: fencing is the guard, this only spares a restart
            await asyncio.wait(idle, timeout=5)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Keep what stays, let go of what is lost, take over what is new. Heartbeats stand still in here: return at
        once."""
        numbers = {tp.partition for tp in assigned}
        for number in [*self._owned]:
            if number not in numbers:
                owned = self._owned.pop(number)
                owned.partition.lose()
                self._leaving[number] = asyncio.create_task(self._leave(owned))
            else:
                self._owned[number].partition.resume()
        for number in sorted(numbers - self._owned.keys()):
            self._owned[number] = owned = _Owned(Partition(self._kafka, self._group, number, self._fail))
            owned.task = asyncio.create_task(self._work(owned, self._leaving.pop(number, None)))
        self._assigned = True
        log.info("partitions assigned", topic=self._topic.name, partitions=sorted(numbers))

    async def _leave(self, owned: "_Owned") -> None:
        try:
            await self._let_go(owned)
            await owned.close()
        except Exception as error:
            self._fail(error)

    async def _let_go(self, owned: "_Owned") -> None:
        await owned.stop()
        if owned.handed_over:
            await in_time(
                self._handler.given_up(owned.partition), "kafka", "a partition is not given up", GIVE_UP_TIMEOUT_SECONDS
            )

    async def _work(self, owned: "_Owned", former: asyncio.Task[None] | None) -> None:
        try:
            if former is not None:
                await former
            await self._take_over(owned)
            while True:
                owned.waits = True
                record = await owned.commands.get()
                owned.waits = False
                await self._handle(owned, record)
        except Exception as error:
            if not owned.partition.lost:
                self._fail(error)

    async def _take_over(self, owned: "_Owned") -> None:
        partition = owned.partition
        await partition.open()
        tp = TopicPartition(self._topic.name, partition.number)
        # not earlier: up to its fencing the former owner could commit
        next_offset, owned.tries = await in_time(self._committed(tp), "kafka", "no committed offset")
        partition.committed = next_offset - 1
        tasks = await in_time(
            newest_tasks(self._kafka, partition.number, self._partitions), "kafka", "tasks cannot be read to their end"
        )
        owned.handed_over = True
        await self._handler.taken_over(partition, tasks)
        owned.working = True
        log.info(
            "partition taken over",
            topic=self._topic.name,
            partition=partition.number,
            tasks=len(tasks),
            next_offset=next_offset,
        )

    async def _committed(self, tp: TopicPartition) -> tuple[int, int]:
        """Where the group goes on, and how often the command there was begun."""
        found = (await self._consumer._coordinator.fetch_committed_offsets([tp])).get(
            tp
        )  # the public call leaves the number out
        if found is None or found.offset < 0:
            return 0, 0
        return found.offset, int(found.metadata) if found.metadata.isdecimal() and len(found.metadata) < 4 else 0

    async def _handle(self, owned: "_Owned", record: ConsumerRecord) -> None:
        partition = owned.partition
        if record.offset <= partition.committed:
            return
        command = self._read(record)
        if isinstance(command, Unreadable):
            await self._pass_over(partition, record, command.reason)
            return
        tries, owned.tries = owned.tries, None
        if tries is not None:  # the first one since the takeover: what ended the former owner may have been this
            tries = tries if record.offset == partition.committed + 1 else 0  # that one is gone
            if (reason := await self._given_up(record, tries)) is not None:
                await self._pass_over(partition, record, reason, command)
                return
            await partition.begin(record, tries + 1)
        try:
            await self._handler.command(partition, record, command)
        except (Unavailable, Fenced):
            if tries is not None:  # not the command's fault
                with suppress(Exception):
                    await partition.begin(record, tries) if tries else None
            raise
        if partition.committed != record.offset:
            raise RuntimeError(f"{command.command} of {command.task_id} was handled without committing its offset")

    def _read(self, record: ConsumerRecord) -> Command | Unreadable:
        command = _command(record.value)
        if isinstance(command, Unreadable):
            return command
        if record.key != command.task_id.encode():
            return Unreadable(f"the key {record.key!r:.80} is not that of {command.task_id}")
        home = partition_for(record.key, self._partitions)
        return command if home == record.partition else Unreadable(f"its key belongs into partition {home}")

    async def _given_up(self, record: ConsumerRecord, tries: int) -> str | None:
        """Why a command is not begun again; null when it is."""
        if not tries:
            return None
        if tries >= TRIES:
            return f"its handling ended the process {tries} times"
        place = f"{record.topic}:{record.partition}:{record.offset}"
        try:
            known = await in_time(
                read_quarantine(self._kafka, lambda _: False), "kafka", "the quarantine cannot be read"
            )
        except (Unavailable, KafkaError, OSError) as error:
            log.warning("it is not known whether a person asked to pass a command over", place=place, error=str(error))
            return None
        return next((one.reason for one in known if one.place == place and one.by_hand), None)

    async def _pass_over(
        self, partition: Partition, record: ConsumerRecord, reason: str, command: Command | None = None
    ) -> None:
        """Put a command into quarantine and go on behind it; a task that it was to start ends, so that nobody waits for
        it."""
        log.error(
            "a command is passed over",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
        )
        records: list[Record] = [entry(record, reason, self._group)]
        if command is not None and command.command == "start" and (task := command.task) is not None:
            newest = {
                one.task_id: one for one in await newest_tasks(self._kafka, partition.number, self._partitions)
            }.get(task.task_id, task)
            if newest.status not in TERMINAL and newest.attempt == 0:
                now = datetime.now(UTC)
                error = f"Its order could not be carried out and is in quarantine: {reason}."
                failed = msgspec.structs.replace(newest, status="FAILED", updated_at=now, finished_at=now, error=error)
                records.append((TASKS, task.task_id.encode(), encode(failed)))
        await partition.transaction(records, command=record)

    def _fail(self, error: Exception) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)


class _Owned:
    """A partition with its queue of commands and the task that works on them."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.commands: asyncio.Queue[ConsumerRecord] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None
        self.tries: int | None = None
        """How often the first command since the takeover was begun before; null behind it."""
        self.handed_over = False
        """The handler has been told of it, so it must be told of the end."""
        self.working = False
        """The handler has taken up its tasks."""
        self.waits = False
        """No command is being handled."""
        self.reported = -1

    @property
    def idle(self) -> bool:
        """Whether every command that came is handled."""
        return self.waits and self.commands.empty()

    async def stop(self) -> None:
        """Stop handling commands and all work of the partition."""
        if self.task is not None:
            await cancel_all(self.task)
        await self.partition.cancel_tasks()

    async def close(self) -> None:
        await self.stop()
        await self.partition.close()


_command = reader(Command)
