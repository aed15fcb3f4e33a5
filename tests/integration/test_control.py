"""Owners of control partitions on a real broker: fencing, handover, commands in order and once."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from gateway.errors import ObjectNotFound, StateConflict
from gateway.system.quarantine import Poison
from runtime.errors import Fenced, Unavailable
from runtime.kafka.clients import open_reader
from runtime.kafka.partition_owner import TRIES, PartitionOwner
from runtime.kafka.reading import partition_for, read_to_end
from runtime.kafka.transactions import Partition
from runtime.quarantine import Quarantine, read_quarantine
from schemas.messages import encode
from schemas.tasks import Command, Quarantined, TaskState
from schemas.topics import RUN_COMMANDS, TASKS, Topic
from tests.support.brokers import CONTROL_PARTITIONS, Broker
from tests.support.hostile import BODIES, KEYS
from tests.support.waiting import eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SESSION_TIMEOUT_MS = 3000
SPEC = {"dataset_id": "ds-0", "split_id": "split-0"}


def state(task_id: str, **changes: object) -> TaskState:
    fields = {"kind": "training", "workspace": "w", "status": "IN_PROGRESS", "attempt": 1, "epoch": 0, "spec": SPEC}
    return msgspec.convert({"task_id": task_id, "created_at": NOW, "updated_at": NOW, **fields, **changes}, TaskState)


class Recorder:
    """Answers each command with a task state that carries the command's number, in one transaction."""

    def __init__(self) -> None:
        self.partitions: dict[int, Partition] = {}
        self.found: dict[int, list[TaskState]] = {}
        self.given_up_partitions: list[int] = []
        self.handled = 0
        self.before_commit: Callable[[Command], Awaitable[None]] | None = None
        self.last_words: Callable[[Partition], Awaitable[None]] | None = None

    async def taken_over(self, partition: Partition, tasks: list[TaskState]) -> None:
        self.partitions[partition.number] = partition
        self.found[partition.number] = tasks

    async def command(self, partition: Partition, record: ConsumerRecord, command: Command) -> None:
        if self.before_commit is not None:
            await self.before_commit(command)
        answer = state(command.task_id, result={"number": command.arguments["number"]})
        await partition.transaction([(TASKS, command.task_id.encode(), encode(answer))], command=record)
        self.handled += 1

    async def given_up(self, partition: Partition) -> None:
        self.partitions.pop(partition.number)
        self.given_up_partitions.append(partition.number)
        if self.last_words is not None:
            await self.last_words(partition)


class World:
    """A commands topic and a group of this test alone."""

    def __init__(self, kafka: Broker, sender: AIOKafkaProducer) -> None:
        self.kafka, self._sender = kafka.kwargs, sender
        self.name = f"control-{secrets.token_hex(4)}"
        self.topic = Topic(self.name, "control", "delete", "task_id", "commands of one test")
        self.sent = 0

    async def send(self, task_id: str, count: int = 1) -> None:
        for _ in range(count):
            command = Command(command="start", task_id=task_id, issued_at=NOW, arguments={"number": self.sent})
            self.sent += 1
            await self._sender.send_and_wait(self.topic.name, encode(command), key=task_id.encode())

    async def send_raw(self, value: bytes, key: bytes) -> None:
        await self._sender.send_and_wait(self.topic.name, value, key=key)

    @asynccontextmanager
    async def owner(self, handler: Recorder) -> AsyncIterator[PartitionOwner]:
        owner = PartitionOwner(
            self.kafka, group=self.name, topic=self.topic, handler=handler, session_timeout_ms=SESSION_TIMEOUT_MS
        )
        stopping = asyncio.Event()
        running = asyncio.create_task(owner.run(stopping))
        try:
            yield owner
        finally:
            stopping.set()
            await running

    async def answers(self) -> dict[str, list[int]]:
        """The numbers answered so far per task, in the order of the topic."""
        found: dict[str, list[int]] = {}
        async for record in read_to_end(self.kafka, TASKS.name):
            task = msgspec.json.decode(record.value, type=TaskState)
            if task.task_id.startswith(self.name) and task.result is not None:
                found.setdefault(task.task_id, []).append(task.result["number"])
        return found

    async def answered(self) -> bool:
        return sum(map(len, (await self.answers()).values())) >= self.sent

    def task(self, partition: int) -> str:
        """A task id of this test that lies in the partition."""
        return next(
            f"{self.name}-{n}"
            for n in range(1000)
            if partition_for(f"{self.name}-{n}".encode(), CONTROL_PARTITIONS) == partition
        )


@pytest.fixture
async def world(kafka: Broker) -> AsyncIterator[World]:
    async with AIOKafkaProducer(**kafka.kwargs, enable_idempotence=True, max_request_size=4 << 20) as sender:
        world = World(kafka, sender)
        admin = AIOKafkaAdminClient(**kafka.kwargs)
        await admin.start()
        await admin.create_topics(
            [NewTopic(world.name, CONTROL_PARTITIONS, 1, topic_configs={"max.message.bytes": "4194304"})]
        )
        await admin.close()
        yield world


async def test_commands_are_handled_in_order_and_once_while_owners_come_and_go(world: World) -> None:
    tasks = [world.task(partition) for partition in range(CONTROL_PARTITIONS)]
    finished = asyncio.Event()

    first, second, third = owners = Recorder(), Recorder(), Recorder()

    async def order() -> None:
        while not finished.is_set():
            for task in tasks:
                await world.send(task)
            await eventually(lambda: sum(owner.handled for owner in owners) > world.sent - 20)

    ordering = asyncio.create_task(order())
    async with world.owner(first):
        await eventually(lambda: len(first.partitions) == 4)
        async with world.owner(second):
            await eventually(lambda: len(first.partitions) == len(second.partitions) == 2)
            async with world.owner(third):
                await eventually(lambda: len(third.partitions) >= 1)
        await eventually(lambda: len(first.partitions) == 4)
        finished.set()
        await ordering
        await eventually(world.answered)
    answers = await world.answers()
    assert sorted(number for numbers in answers.values() for number in numbers) == list(range(world.sent))
    assert all(numbers == sorted(numbers) for numbers in answers.values())


def unexpected(error: Exception) -> None:
    raise AssertionError(error)


async def test_opening_a_partition_fences_its_former_owner(world: World) -> None:
    async with AsyncExitStack() as stack:
        former, newer = (Partition(world.kafka, world.name, 0, unexpected) for _ in range(2))
        stack.push_async_callback(former.close)
        stack.push_async_callback(newer.close)
        await former.open()
        record = (TASKS, world.task(0).encode(), encode(state(world.task(0))))
        await former.transaction([record])
        await newer.open()
        with pytest.raises(Fenced):
            await former.transaction([record])
        first, second = await newer.transaction([record, record])
        assert second == first + 1


async def test_a_command_that_cannot_be_read_is_passed_over(world: World) -> None:
    task = world.task(2)
    await world.send(task)
    for nonsense in (b"\xff{", b'{"command":"fly","task_id":"x","issued_at":"2026-01-01T00:00:00Z"}', b""):
        await world.send_raw(nonsense, task.encode())
    await world.send(task)
    async with world.owner(Recorder()):
        await eventually(world.answered)
    async with world.owner(again := Recorder()):  # their offsets are committed: nothing comes again
        await eventually(lambda: len(again.partitions) == 4)
        await world.send(task)
        await eventually(world.answered)
    assert (await world.answers())[task] == [0, 1, 2]


async def test_the_newest_state_of_each_task_is_found_at_takeover(world: World) -> None:
    task, other = world.task(1), world.task(3)
    await world.send(task, 3)
    await world.send(other)
    async with world.owner(Recorder()):
        await eventually(world.answered)
    async with world.owner(successor := Recorder()):
        await eventually(lambda: len(successor.partitions) == 4)
        mine = [found for found in successor.found[1] if found.task_id == task]
        assert [found.result for found in mine] == [{"number": 2}]
        assert [found.result for found in successor.found[3] if found.task_id == other] == [{"number": 3}]


async def test_work_of_a_partition_that_stays_is_not_disturbed_by_a_rebalance(world: World) -> None:
    ticks: dict[int, int] = {}

    async def work(partition: Partition) -> None:
        while True:
            ticks[partition.number] = ticks.get(partition.number, 0) + 1
            await partition.transaction(
                [(TASKS, world.task(partition.number).encode(), encode(state(world.task(partition.number))))]
            )

    async with world.owner(first := Recorder()):
        await eventually(lambda: len(first.partitions) == 4)
        before = dict(first.partitions)
        tasks = {number: partition.spawn(work(partition)) for number, partition in before.items()}
        async with world.owner(second := Recorder()):
            await eventually(lambda: len(second.partitions) == len(first.partitions) == 2)
            assert all(tasks[number].done() for number in second.partitions)
            seen = dict(ticks)
            await eventually(lambda: all(ticks.get(number, 0) > seen.get(number, 0) for number in first.partitions))
            assert all(
                first.partitions[number] is before[number] and not tasks[number].done() for number in first.partitions
            )
            with pytest.raises(Fenced):
                await before[next(iter(second.partitions))].transaction([])


async def test_a_failing_handler_ends_the_owner_and_its_command_comes_again(world: World) -> None:
    async def fail(command: Command) -> None:
        raise ValueError("a bug")

    await world.send(world.task(0))
    handler = Recorder()
    handler.before_commit = fail
    with pytest.raises(ValueError, match="a bug"):
        async with world.owner(handler) as owner:
            await eventually(lambda: owner._failure.done())
    async with world.owner(Recorder()):
        await eventually(world.answered)


async def crashed(world: World, error: Exception) -> None:
    """An owner that ends on the first command of partition 0."""

    async def fail(command: Command) -> None:
        if command.task_id == world.task(0):
            raise error

    handler = Recorder()
    handler.before_commit = fail
    with pytest.raises(type(error)):
        async with world.owner(handler) as owner:
            await eventually(lambda: owner._failure.done())


async def quarantined(world: World) -> list[Quarantined]:
    return [one for one in await read_quarantine(world.kafka) if one.topic == world.name]


async def test_a_command_that_ends_its_owner_again_and_again_is_passed_over_and_its_task_is_failed(
    world: World,
) -> None:
    task = world.task(0)
    pending = state(task, status="PENDING", attempt=0)
    start = Command(command="start", task_id=task, issued_at=NOW, task=pending, arguments={"number": -1})
    await world.send_raw(encode(start), task.encode())
    async with AIOKafkaProducer(**world.kafka) as gateway:
        await gateway.send_and_wait(TASKS.name, encode(pending), key=task.encode())
    for _ in range(TRIES):
        await crashed(world, ValueError("a bug"))
        assert await quarantined(world) == []
    await world.send(task)
    async with world.owner(Recorder()):
        await eventually(world.answered)
    [poison] = await quarantined(world)
    assert (poison.partition, poison.offset, poison.value) == (0, 0, encode(start))
    assert f"ended the process {TRIES} times" in poison.reason
    ended = [one async for one in states(world, task) if one.status == "FAILED"]
    assert [one.error for one in ended] == [
        f"Its order could not be carried out and is in quarantine: {poison.reason}."
    ]
    assert (await world.answers())[task] == [0]


async def states(world: World, task_id: str) -> AsyncIterator[TaskState]:
    async for record in read_to_end(world.kafka, TASKS.name):
        if record.key == task_id.encode():
            yield msgspec.json.decode(record.value, type=TaskState)


async def test_an_owner_that_ends_because_a_part_is_away_is_not_held_against_the_command(world: World) -> None:
    await world.send(world.task(0))
    for _ in range(TRIES + 1):
        await crashed(world, Unavailable("storage", "away"))
    async with world.owner(Recorder()):
        await eventually(world.answered)
    assert await quarantined(world) == []


async def test_a_person_may_have_a_command_passed_over_that_ended_its_owner_once(world: World) -> None:
    await world.send(world.task(0))
    await crashed(world, ValueError("a bug"))
    poison = Poison(world.kafka)
    try:
        with pytest.raises(StateConflict):
            await poison.skip(f"{TASKS.name}:0:0")
        with pytest.raises(ObjectNotFound):
            await poison.skip(f"{RUN_COMMANDS.name}:0:999999999")
    finally:
        await poison.close()
    async with open_reader(world.kafka) as consumer:
        consumer.assign([TopicPartition(world.name, 0)])
        record = await consumer.getone()
    by_hand = Quarantine(world.kafka, "gateway")
    await by_hand.put([(record, "a person asked to pass it over")], by_hand=True)
    await by_hand.close()
    await world.send(world.task(1))
    async with world.owner(handler := Recorder()):
        await eventually(lambda: handler.handled == 1)
        await world.send(world.task(0))
        await eventually(lambda: handler.handled == 2)
    assert (await world.answers())[world.task(0)] == [2]


async def test_hostile_commands_are_in_quarantine_and_those_between_them_are_carried_out(world: World) -> None:
    task = world.task(2)
    for body in BODIES.values():
        await world.send_raw(body, task.encode())
    await world.send(task)
    for key in KEYS:
        await world.send_raw(
            encode(Command(command="start", task_id=task, issued_at=NOW, arguments={"number": 0})), key or b"?"
        )
    await world.send(task)
    async with world.owner(Recorder()):
        await eventually(world.answered)
    assert (await world.answers())[task] == [0, 1]
    await eventually(lambda: in_quarantine(world, len(BODIES) + len(KEYS)))


async def in_quarantine(world: World, count: int) -> bool:
    return len(await quarantined(world)) == count


async def test_failing_background_work_ends_the_owner(world: World) -> None:
    async def work() -> None:
        raise ValueError("a bug")

    async def own() -> None:
        async with world.owner(handler := Recorder()) as owner:
            await eventually(lambda: len(handler.partitions) == 4)
            handler.partitions[0].spawn(work())
            await eventually(lambda: owner._failure.done())

    with pytest.raises(ValueError, match="a bug"):
        await own()


async def test_an_owner_that_is_stopped_may_write_its_last_words(world: World) -> None:
    async def write(partition: Partition) -> None:
        task = world.task(partition.number)
        await partition.transaction([(TASKS, task.encode(), encode(state(task, result={"number": 0})))])

    handler = Recorder()
    handler.last_words = write
    async with world.owner(handler):
        await eventually(lambda: len(handler.partitions) == 4)
    assert sorted(handler.given_up_partitions) == [0, 1, 2, 3]
    assert len(await world.answers()) == 4


async def test_takeover_waits_for_a_transaction_that_another_writer_left_open(world: World) -> None:
    """A gateway that dies between two sends hides what is committed after it; a stale state must not be taken up."""
    task = world.task(0)
    gateway = AIOKafkaProducer(**world.kafka, transactional_id=f"{world.name}-gateway", transaction_timeout_ms=60_000)
    await gateway.start()
    await gateway.begin_transaction()
    await gateway.send_and_wait(TASKS.name, encode(state(task)), key=task.encode())
    async with AIOKafkaProducer(**world.kafka, enable_idempotence=True) as former:
        await former.send_and_wait(TASKS.name, encode(state(task, status="COMPLETED")), key=task.encode())
    async with world.owner(handler := Recorder()) as owner:
        await eventually(lambda: len(handler.partitions) == 3)
        assert "partitions [0]" in owner.problems()["kafka"]
        await gateway.abort_transaction()
        await eventually(lambda: len(handler.partitions) == 4)
        assert [found.status for found in handler.found[0] if found.task_id == task] == ["COMPLETED"]
        assert owner.problems() == {}
    await gateway.stop()


async def test_neither_a_former_owner_nor_a_late_report_takes_the_group_back(world: World) -> None:
    tp = TopicPartition(world.name, 0)
    await world.send(world.task(0), 6)

    async def at(owner: Partition, offset: int) -> int:
        with suppress(Fenced):
            await owner.reach(world.name, offset, still=lambda: True)
        async with AIOKafkaConsumer(**world.kafka, group_id=world.name, enable_auto_commit=False) as looking:
            return int(await looking.committed(tp) or 0)

    former, newer = (Partition(world.kafka, world.name, 0, unexpected) for _ in range(2))
    await former.open()
    assert await at(former, 2) == 2
    await newer.open()
    command = ConsumerRecord(world.name, 0, 4, 0, 0, None, None, None, 0, 0, ())
    await newer.transaction([], command=command)
    assert await at(former, 3) == 5
    assert await at(newer, 3) == 5  # measured before the command came
    assert await at(newer, 6) == 6
    await newer.begin(replace(command, offset=6), 1)
    await newer.reach(world.name, 7, still=lambda: False)
    assert await at(newer, 5) == 6
    await asyncio.gather(former.close(), newer.close())


async def test_the_lag_of_the_group_reaches_zero_behind_transactions_that_were_committed_and_aborted(
    world: World,
) -> None:
    tp, recorder = TopicPartition(world.name, 1), Recorder()
    value = encode(Command(command="start", task_id=world.task(1), issued_at=NOW, arguments={"number": 7}))
    async with (
        world.owner(recorder),
        AIOKafkaConsumer(**world.kafka, group_id=world.name, enable_auto_commit=False) as looking,
    ):
        async with AIOKafkaProducer(**world.kafka, transactional_id=f"{world.name}-sender") as other:
            for commit in (True, True, False):
                await other.begin_transaction()
                await other.send_and_wait(world.name, value, key=world.task(1).encode(), partition=1)
                await (other.commit_transaction() if commit else other.abort_transaction())
        looking.assign([tp])

        async def nothing_is_behind() -> bool:
            return bool(await looking.committed(tp) == (await looking.end_offsets([tp]))[tp] == 6)

        await eventually(nothing_is_behind, timeout_seconds=30)
        assert recorder.handled == 2
