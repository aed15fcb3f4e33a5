from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from runtime.errors import Unavailable
from stream_processor.kafka.log_queries import Ends
from stream_processor.progress import Watch
from tests.unit.stream_processor.toys import partition_of

TP = TopicPartition("ingress.rows.v1", 0)


class Scene:
    """A worker, its Faust app and the broker, as far as `Watch` looks at them; time passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.end, self.first = 10, 5
        self.stable: int | None = None
        self.passed: list[int] = []
        self.away = False
        self.failures: list[BaseException] = []
        self.read_again_at: list[float] = []
        self.reports: list[dict[TopicPartition, int]] = []
        self.lane = SimpleNamespace(
            tp=TP, next_offset=5, moved_at=100.0, closed=False, waiting=False, read_again=self.read_again
        )
        self.lane.nothing_before = self.nothing_before
        self.epochs = SimpleNamespace(moved=set, runs=set)
        self.partition_of = partition_of
        self.app = SimpleNamespace(rebalancing=False, in_recovery=False, recovered={0}, commit_positions=self.commit)
        self.lanes = {0: SimpleNamespace(inlets={TP.topic: self.lane})}
        self.started = True
        self.broker = self
        self.failure = SimpleNamespace(done=lambda: bool(self.failures))
        self.watch = Watch(
            self,  # type: ignore[arg-type]
            stall_timeout_seconds=60,
            session_timeout_seconds=6,
            unavailable_after_seconds=30,
            clock=lambda: self.now,
        )

    async def commit(self, positions: dict[TopicPartition, int]) -> bool:
        self.reports.append(positions)
        return True

    async def ends(self, partitions: Any) -> dict[TopicPartition, Ends]:
        if self.away:
            raise Unavailable("kafka", "gone")
        return dict.fromkeys(partitions, Ends(self.end, self.end if self.stable is None else self.stable))

    async def open_producers(self, tp: TopicPartition) -> list[int]:
        return [4711]

    async def first_offset(self, tp: TopicPartition, wanted: int) -> int | None:
        return self.first

    async def read_again(self) -> None:
        self.read_again_at.append(self.now)

    def nothing_before(self, offset: int, wanted: int) -> None:
        assert wanted == self.lane.next_offset
        if self.lane.waiting:
            self.passed.append(offset)
            self.lane.next_offset, self.lane.moved_at = offset, self.now

    def fail(self, error: BaseException) -> None:
        self.failures.append(error)

    async def later(self, seconds: float) -> None:
        self.now += seconds
        await self.watch.look()


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_lag_without_progress_ends_the_worker_after_the_bound(scene: Scene) -> None:
    await scene.later(59)
    assert (scene.failures, scene.watch.live()) == ([], {})
    await scene.later(2)
    assert isinstance(scene.failures[0], Unavailable)
    assert "ingress.rows.v1/0" in scene.watch.live()


async def test_rows_that_do_not_arrive_are_read_again_now_and_then(scene: Scene) -> None:
    scene.lane.waiting = True
    for _ in range(10):
        await scene.later(1)
    assert scene.read_again_at == [104.0, 108.0]
    scene.lane.waiting = False  # it works on them, however long
    await scene.later(20)
    scene.lane.waiting, scene.first = True, None  # type: ignore[assignment]
    await scene.later(20)  # nothing but transaction markers
    assert len(scene.read_again_at) == 2


async def test_progress_or_no_lag_is_well(scene: Scene) -> None:
    for _ in range(10):
        scene.lane.moved_at = scene.now
        await scene.later(59)
    scene.end = 5
    await scene.later(1000)
    assert scene.failures == []


async def test_transaction_markers_at_the_end_are_no_lag(scene: Scene) -> None:
    scene.first = None  # type: ignore[assignment]
    await scene.later(100)
    await scene.later(100)
    assert scene.failures == []


async def test_what_ends_in_transaction_markers_is_reported_as_read_to_its_end(scene: Scene) -> None:
    scene.first, scene.lane.waiting = None, True  # type: ignore[assignment]
    await scene.later(4)
    await scene.watch.report()
    assert (scene.reports, scene.read_again_at) == ([{TP: 10}], [])


async def test_behind_an_open_transaction_only_what_can_be_read_is_reported_as_read(scene: Scene) -> None:
    scene.first, scene.lane.waiting, scene.stable = None, True, 8  # type: ignore[assignment]
    for _ in range(100):
        await scene.later(1)
    await scene.watch.report()
    assert scene.failures == []
    assert scene.reports[-1][TP] <= 8


async def test_an_open_transaction_is_said_and_is_no_stall(scene: Scene) -> None:
    scene.lane.waiting, scene.stable = True, 5
    await scene.later(1)
    assert scene.watch.ready() == {}
    for _ in range(20):
        await scene.later(20)
    assert scene.failures == []
    assert "producer id 4711" in scene.watch.ready()["ingress.rows.v1/0"]
    scene.stable, scene.lane.next_offset = 10, 10
    await scene.later(1)
    assert scene.watch.ready() == {}


async def test_what_retention_took_is_not_waited_for(scene: Scene) -> None:
    scene.lane.waiting, scene.first = True, None  # type: ignore[assignment]
    await scene.later(4)
    assert scene.passed == [10]


async def test_a_rebalance_without_end_ends_the_worker(scene: Scene) -> None:
    scene.app.rebalancing = True
    scene.end = 5
    await scene.later(125)
    assert scene.failures == []
    assert scene.watch.ready() == {"kafka": "rebalancing"}
    await scene.later(2)
    assert scene.failures


async def test_a_broker_that_is_away_is_waited_for_and_given_up_on(scene: Scene) -> None:
    scene.away = True
    await scene.later(29)
    assert scene.watch.ready() == {"kafka": "no answer for 29 s"}
    with pytest.raises(Unavailable):
        await scene.later(2)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {}),
        ({"rebalancing": True}, {"kafka": "rebalancing"}),
        ({"in_recovery": True}, {"kafka": "recovering the table"}),
        ({"recovered": {0, 1}}, {"kafka": "opening partitions"}),
    ],
)
def test_ready_says_what_is_missing(scene: Scene, changed: dict[str, Any], expected: dict[str, str]) -> None:
    vars(scene.app).update(changed)
    assert scene.watch.ready() == expected


def test_a_worker_that_has_not_joined_yet_is_not_ready(scene: Scene) -> None:
    scene.started = False
    assert scene.watch.ready() == {"kafka": "joining the group"}


async def test_positions_are_reported_when_they_moved_unless_the_group_settles(scene: Scene) -> None:
    await scene.watch.report()
    assert scene.reports == [{TP: 5}]
    await scene.watch.report()
    assert scene.reports == [{TP: 5}]
    scene.lane.next_offset = 7
    scene.app.rebalancing = True
    await scene.watch.report()
    assert scene.reports == [{TP: 5}]
    scene.app.rebalancing = False
    await scene.watch.report()
    assert scene.reports == [{TP: 5}, {TP: 7}]
