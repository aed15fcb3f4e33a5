import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import TopicPartition

from runtime.errors import Fenced, Unavailable
from schemas.topics import INGRESS, ROWS
from stream_processor.batch.counting import BatchOutcome
from stream_processor.partition_worker import PartitionWorker
from tests.support.waiting import eventually
from tests.unit.stream_processor.toys import Record


class Around:
    """Surroundings and owner of a lane, in memory: `broker` holds the offsets that exist."""

    partition = 3

    def __init__(self, broker: set[int]) -> None:
        self.broker = broker
        self.committed: list[list[int]] = []
        self.stored: list[int] = []
        self.rewinds: list[int] = []
        self.held = False
        self.holds = 0
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self.error: Exception | None = None
        self._scored: dict[int, list[int]] = {}

    async def scored(self, records: list[Any]) -> BatchOutcome:
        self._scored[records[-1].offset] = [record.offset for record in records]
        return BatchOutcome(position=records[-1].offset)

    async def commit(self, outcome: Any) -> None:
        await self.may_commit.wait()
        if self.error:
            raise self.error
        self.committed.append(self._scored[outcome.position])

    def store(self, outcome: BatchOutcome) -> None:
        self.stored.append(outcome.position)

    async def first_offset(self, tp: TopicPartition, wanted: int) -> int | None:
        return min((offset for offset in self.broker if offset >= wanted), default=None)

    async def log_start(self, tp: TopicPartition) -> int:
        return min(self.broker, default=0)

    async def rewind(self, tp: TopicPartition, offset: int) -> None:
        self.rewinds.append(offset)

    def hold(self, tp: TopicPartition) -> None:
        self.held, self.holds = True, self.holds + 1

    def release(self, tp: TopicPartition) -> None:
        self.held = False


def records(*offsets: int, value: bytes = b"") -> Any:
    return [Record(value, offset=offset, partition=3) for offset in offsets]


Run = Callable[..., Awaitable[None]]


async def worked(
    around: Around,
    next_offset: int,
    *batches: Any,
    batch_rows: int = 10,
    batch_bytes: int = 100,
    done: Callable[[], Any],
) -> PartitionWorker:
    lane = PartitionWorker(around, around, {ROWS.name: next_offset}, batch_rows=batch_rows, batch_bytes=batch_bytes)  # type: ignore[arg-type]
    task = asyncio.create_task(lane.run())
    for batch in batches:
        lane.offer(batch)
    try:
        await eventually(lambda: done() or (task.done() and task.result()), timeout_seconds=5)
    finally:
        lane.close()
        await task
    return lane


async def test_a_batch_ends_with_the_record_that_fills_it() -> None:
    around = Around(set(range(7)))
    fetched = [records(0, 1, 2, value=b"x" * 60), records(3, 4, value=b"x" * 500), records(5, 6, value=b"x" * 10)]
    await worked(around, 0, *fetched, done=lambda: sum(map(len, around.committed)) == 7)
    assert around.committed == [[0, 1], [2, 3], [4], [5, 6]]
    assert around.holds == 1


async def test_batches_are_joined_up_to_the_bound_and_cut_at_it() -> None:
    around = Around(set(range(100)))
    lane = await worked(
        around,
        0,
        records(0, 1),
        records(2, 3, 4),
        records(5),
        batch_rows=4,
        done=lambda: sum(map(len, around.committed)) == 6,
    )
    assert around.committed == [[0, 1, 2, 3], [4, 5]]
    assert around.stored == [3, 5]
    assert lane.inlets[ROWS.name].next_offset == 6


async def test_records_that_are_done_are_not_done_again() -> None:
    around = Around(set(range(100)))
    await worked(
        around, 3, records(0, 1), records(2, 3, 4), records(3, 4, 5), done=lambda: sum(map(len, around.committed)) == 3
    )
    assert around.committed == [[3, 4, 5]]


async def test_lost_records_are_read_again_and_nothing_is_done_before() -> None:
    around = Around(set(range(100)))
    lane = PartitionWorker(around, around, {ROWS.name: 5}, batch_rows=10, batch_bytes=100)  # type: ignore[arg-type]
    task = asyncio.create_task(lane.run())
    lane.offer(records(7, 8))
    lane.offer(records(9))
    await eventually(lambda: around.rewinds, timeout_seconds=5)
    lane.offer(records(5, 6, 7, 8, 9))
    await eventually(lambda: around.committed, timeout_seconds=5)
    lane.close()
    await task
    assert around.rewinds == [5]
    assert around.committed == [[5, 6, 7, 8, 9]]


async def test_offsets_that_do_not_exist_are_passed_over() -> None:
    around = Around({7, 8, 12})
    await worked(around, 5, records(7, 8), records(12), done=lambda: len(around.committed) == 2)
    assert around.committed == [[7, 8], [12]]
    assert around.rewinds == []


async def test_a_full_partition_is_held_until_half_is_done() -> None:
    around = Around(set(range(100)))
    around.may_commit.clear()
    lane = PartitionWorker(around, around, {ROWS.name: 0}, batch_rows=4, batch_bytes=100)  # type: ignore[arg-type]
    task = asyncio.create_task(lane.run())
    lane.offer(records(*range(4)))
    lane.offer(records(*range(4, 8)))
    assert around.held
    around.may_commit.set()
    await eventually(lambda: len(around.committed) == 2, timeout_seconds=5)
    assert not around.held
    assert around.holds == 1
    lane.close()
    await task


async def test_a_closed_lane_finishes_the_batch_in_hand_and_leaves_the_table_alone() -> None:
    around = Around(set(range(100)))
    around.may_commit.clear()
    lane = PartitionWorker(around, around, {ROWS.name: 0}, batch_rows=2, batch_bytes=100)  # type: ignore[arg-type]
    task = asyncio.create_task(lane.run())
    lane.offer(records(0, 1, 2, 3))
    await eventually(lambda: around._scored, timeout_seconds=5)
    lane.close()
    around.may_commit.set()
    await task
    assert (around.committed, around.stored) == ([[0, 1]], [])


async def test_a_lane_that_is_closed_while_it_asks_the_broker_ends() -> None:
    around = Around(set(range(100)))
    lane = PartitionWorker(around, around, {ROWS.name: 5}, batch_rows=10, batch_bytes=100)  # type: ignore[arg-type]
    asked = asyncio.Event()
    answer = asyncio.Event()

    async def first_offset(tp: TopicPartition, wanted: int) -> int | None:
        asked.set()
        await answer.wait()
        return wanted

    around.first_offset = first_offset  # type: ignore[method-assign]
    task = asyncio.create_task(lane.run())
    lane.offer(records(7, 8))
    await asked.wait()
    lane.close()
    answer.set()
    await asyncio.wait_for(task, 5)
    assert (around.committed, around.rewinds) == ([], [])


async def test_what_goes_wrong_ends_the_lane() -> None:
    around = Around(set(range(100)))
    around.error = Fenced("another worker")
    lane = PartitionWorker(around, around, {ROWS.name: 0}, batch_rows=2, batch_bytes=100)  # type: ignore[arg-type]
    lane.offer(records(0))
    with pytest.raises(Fenced):
        await lane.run()
    assert (around.stored, lane.inlets[ROWS.name].next_offset) == ([], 0)


def guests(*offsets: int) -> Any:
    return [Record(b"", offset=offset, partition=3, topic=INGRESS.name) for offset in offsets]


class BothTopics(Around):
    """Keeps the topic of each batch; the broker's answer about a gap on the ingress may be awaited for ever."""

    def __init__(self, broker: set[int]) -> None:
        super().__init__(broker)
        self.batches: list[tuple[str, list[int]]] = []
        self.silent = False
        self.held_topics: set[str] = set()

    async def scored(self, records: list[Any]) -> BatchOutcome:
        self.batches.append((records[0].topic, [record.offset for record in records]))
        await asyncio.sleep(0)
        return await super().scored(records)

    async def first_offset(self, tp: TopicPartition, wanted: int) -> int | None:
        if self.silent and tp.topic == INGRESS.name:
            await asyncio.Event().wait()
        return await super().first_offset(tp, wanted)

    def hold(self, tp: TopicPartition) -> None:
        self.held_topics.add(tp.topic)

    def release(self, tp: TopicPartition) -> None:
        self.held_topics.discard(tp.topic)


def two_inlets(around: Around, rows: int = 0, ingress: int = 0) -> tuple[PartitionWorker, "asyncio.Task[None]"]:
    lane = PartitionWorker(around, around, {ROWS.name: rows, INGRESS.name: ingress}, batch_rows=2, batch_bytes=100)  # type: ignore[arg-type]
    return lane, asyncio.create_task(lane.run())


async def test_the_topics_take_turns_and_no_batch_holds_records_of_both() -> None:
    around = BothTopics(set(range(100)))
    around.may_commit.clear()
    lane, task = two_inlets(around)
    lane.offer(guests(*range(8)))
    lane.offer(records(*range(4)))
    around.may_commit.set()
    await eventually(lambda: len(around.committed) == 6, timeout_seconds=5)
    lane.close()
    await task
    topics = [topic for topic, _ in around.batches]
    assert [offsets for topic, offsets in around.batches if topic == ROWS.name] == [[0, 1], [2, 3]]
    assert topics[:4] in ([ROWS.name, INGRESS.name] * 2, [INGRESS.name, ROWS.name] * 2)


async def test_a_flood_on_one_topic_holds_back_only_that_one() -> None:
    around = BothTopics(set(range(100)))
    around.may_commit.clear()
    lane, task = two_inlets(around)
    lane.offer(guests(*range(8)))
    lane.offer(records(0))
    assert around.held_topics == {INGRESS.name}
    around.may_commit.set()
    await eventually(lambda: len(around.committed) == 5, timeout_seconds=5)
    assert around.held_topics == set()
    lane.close()
    await task


async def test_a_question_about_a_gap_of_one_topic_does_not_hold_up_the_other() -> None:
    around = BothTopics(set(range(100)))
    around.silent = True
    lane, task = two_inlets(around)
    lane.offer(guests(5, 6))
    lane.offer(records(0, 1))
    await eventually(lambda: around.committed, timeout_seconds=5)
    assert around.batches == [(ROWS.name, [0, 1])]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_each_topic_goes_on_where_it_stood() -> None:
    around = BothTopics(set(range(100)))
    lane, task = two_inlets(around, rows=3, ingress=7)
    lane.offer(guests(*range(5, 9)))
    lane.offer(records(*range(2, 5)))
    await eventually(lambda: len(around.committed) == 2, timeout_seconds=5)
    lane.close()
    await task
    assert sorted(around.batches) == [(INGRESS.name, [7, 8]), (ROWS.name, [3, 4])]
    assert (lane.inlets[ROWS.name].next_offset, lane.inlets[INGRESS.name].next_offset) == (5, 9)


class WithoutStorage(Around):
    """`away` rounds of scoring need a model from a storage that is away."""

    def __init__(self, away: int) -> None:
        super().__init__(set(range(10)))
        self.away, self.asked = away, 0

    async def scored(self, records: list[Any]) -> BatchOutcome:
        self.asked += 1
        if self.asked <= self.away:
            raise Unavailable("storage", "not mounted")
        return await super().scored(records)


async def test_rows_wait_for_a_storage_that_is_away_and_count_as_no_stall() -> None:
    around = WithoutStorage(away=2)
    lane = await worked(around, 0, records(0, 1), done=lambda: around.committed)
    assert (around.committed, lane.inlets[ROWS.name].next_offset) == ([[0, 1]], 2)


async def test_a_lane_that_waits_for_the_storage_can_be_given_back_at_once_with_nothing_committed() -> None:
    around = WithoutStorage(away=1000)
    lane = await worked(around, 0, records(0, 1), done=lambda: around.asked)
    assert (around.committed, around.stored, lane.inlets[ROWS.name].next_offset) == ([], [], 0)
    assert around.asked <= 2


async def test_another_part_that_is_away_still_ends_the_lane() -> None:
    around = Around({0})
    around.error = Unavailable("kafka", "gone")
    with pytest.raises(Unavailable, match="kafka"):
        await worked(around, 0, records(0), done=lambda: False)


class WithoutModelsOfGuests(BothTopics):
    """The storage that has the model of the ingress's rows is away."""

    async def scored(self, records: list[Any]) -> BatchOutcome:
        if records[0].topic == INGRESS.name:
            raise Unavailable("storage", "not mounted")
        return await super().scored(records)


async def test_rows_of_the_ingress_that_wait_for_the_storage_do_not_hold_up_the_other_topic() -> None:
    around = WithoutModelsOfGuests(set(range(100)))
    lane, task = two_inlets(around)
    lane.offer(guests(0, 1))
    await asyncio.sleep(0)
    lane.offer(records(0, 1))
    await eventually(lambda: around.committed, timeout_seconds=5)
    lane.close()
    await task
    assert (around.batches, lane.inlets[INGRESS.name].next_offset) == ([(ROWS.name, [0, 1])], 0)


async def test_what_is_decided_between_batches_knows_the_next_offset_of_our_rows() -> None:
    around = BothTopics(set(range(100)))
    lane, task = two_inlets(around, rows=3, ingress=7)
    asked: list[int] = []
    lane.between(lambda next_offset: asked.append(next_offset))
    await eventually(lambda: asked, timeout_seconds=5)
    lane.close()
    await task
    assert asked == [3]
