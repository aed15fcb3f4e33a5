"""Every reader of control topics meets the same corpus and goes on: commands, positions, aliases, states of tasks."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.errors import IllegalMove
from producer.run_owner import RunOwner, _argument, _index
from runtime.kafka.partition_owner import PartitionOwner
from runtime.kafka.reading import partition_for
from runtime.newest_tasks import unbelievable
from runtime.quarantine import entry
from runtime.run_epochs import RunEpochs
from schemas.decoding import Unreadable, reader
from schemas.messages import Alias, encode
from schemas.tasks import Command, Quarantined, RunPosition, TaskState
from schemas.topics import RUN_COMMANDS
from stream_processor.kafka.champion import CHAMPION, LATEST, Registry
from tests.support.hostile import BODIES, KEYS, VALUES, Verbatim, hostile_bodies, hostile_keys, mutations
from tests.support.view_records import START, task

RUN, PARTITIONS = "sim-task-1", 4
HOME = partition_for(RUN.encode(), PARTITIONS)
COMMAND = encode(
    Command(
        command="start",
        task_id=RUN,
        issued_at=START,
        task=task(RUN, status="PENDING", attempt=0),
        arguments={"row_index": 1},
    )
)
POSITION = encode(
    RunPosition(
        kind="ownership",
        run_id=RUN,
        attempt=1,
        epoch=0,
        owner="o",
        acknowledged=[0],
        rows_per_second=1.0,
        paused=False,
        written_at=START,
    )
)
ALIAS = encode(Alias(alias="champion", workspace="default", model_version="model-1", set_at=START))
WRONG_ARGUMENTS = [
    value for value in VALUES if not isinstance(value, Verbatim) and not (type(value) is int and 0 <= value < 2**53)
]


def record(value: bytes | None, key: bytes | None = RUN.encode(), *, partition: int = HOME, offset: int = 7) -> Any:
    return SimpleNamespace(topic=RUN_COMMANDS.name, key=key, value=value, partition=partition, offset=offset)


async def owner() -> PartitionOwner:
    found = PartitionOwner({}, group="g", topic=RUN_COMMANDS, handler=None)  # type: ignore[arg-type]
    found._partitions = PARTITIONS
    return found


async def test_an_order_of_ours_is_read_and_only_where_its_key_belongs() -> None:
    reading = await owner()
    assert isinstance(reading._read(record(COMMAND)), Command)
    assert isinstance(reading._read(record(COMMAND, b"another")), Unreadable)
    assert isinstance(reading._read(record(COMMAND, partition=(HOME + 1) % PARTITIONS)), Unreadable)


async def test_whatever_an_order_holds_it_is_an_order_or_unreadable() -> None:
    reading = await owner()
    for body in (*BODIES.values(), *(spoilt for _, spoilt in mutations(COMMAND))):
        for key in (RUN.encode(), *KEYS[:4]):
            found = reading._read(record(body, key))
            assert isinstance(found, Command | Unreadable)
            if isinstance(found, Command):
                assert found.task_id == RUN


@given(hostile_bodies(COMMAND, POSITION, ALIAS), hostile_keys)
def test_positions_and_aliases_teach_nothing_that_is_not_so(body: bytes, key: bytes | None) -> None:
    epochs = RunEpochs({}, partitions=PARTITIONS)
    for partition in range(PARTITIONS):
        epochs.take(record(body, key, partition=partition))
        epochs.take(record(body, partition=partition))
    known = epochs.known(RUN)
    assert known is None or (known.epoch <= 7 and known.attempt <= 8)
    registry = Registry({}, partitions=1, timeout_seconds=1)
    for name in (CHAMPION, LATEST, key):
        registry._apply(record(body, name))
    assert registry.champion is None or registry.champion


def test_every_field_of_a_position_may_be_wrong() -> None:
    for _, body in mutations(POSITION):
        epochs = RunEpochs({}, partitions=PARTITIONS)
        epochs.take(record(body))
        known = epochs.known(RUN)
        assert known is None or (known.epoch <= 7 and known.attempt <= 8)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"attempt": 1, "epoch": 8}, "is not known"),
        ({"attempt": 2, "epoch": 7}, "is not known"),
        ({"attempt": 2**31 - 1, "epoch": 2**53 - 1, "status": "FAILED"}, "is not known"),
        ({"attempt": 0, "epoch": 5}, "is not known"),
        ({"attempt": 1, "epoch": 3}, "is over"),
        ({"attempt": 0, "epoch": 0, "status": "PENDING"}, "is over"),
        ({"attempt": 1, "epoch": 7, "kind": "training"}, "is not known"),
    ],
)
def test_a_state_that_does_not_follow_is_not_believed(changes: dict[str, Any], why: str) -> None:
    epochs = RunEpochs({}, partitions=PARTITIONS)
    epochs.take(record(POSITION))
    before = task(RUN, attempt=1, epoch=7)
    assert unbelievable(before, RUN.encode(), None, epochs) is None
    assert why in (unbelievable(task(RUN, **changes), RUN.encode(), before, epochs) or "")


def test_a_run_that_nobody_owns_is_not_in_progress_but_an_old_one_that_is_over_is_believed() -> None:
    epochs = RunEpochs({}, partitions=PARTITIONS)
    epochs.take(record(POSITION, b"unrelated", partition=HOME, offset=50))
    assert unbelievable(task(RUN, attempt=1, epoch=3), RUN.encode(), None, epochs)
    assert unbelievable(task(RUN, attempt=1, epoch=3, status="COMPLETED"), RUN.encode(), None, epochs) is None
    assert unbelievable(task(RUN, attempt=1, epoch=2**50, status="COMPLETED"), RUN.encode(), None, epochs)


def test_a_training_does_not_leap_over_attempts() -> None:
    epochs = RunEpochs({}, partitions=PARTITIONS)
    before = task("t", kind="training", attempt=1)
    assert unbelievable(task("t", kind="training", attempt=2), b"t", before, epochs) is None
    assert unbelievable(task("t", kind="training", attempt=3), b"t", before, epochs)
    assert unbelievable(task("t", kind="feature_selection", attempt=1), b"t", before, epochs)


@given(hostile_bodies(encode(task(RUN))))
def test_states_of_tasks_are_values(body: bytes) -> None:
    found = reader(TaskState)(body)
    if isinstance(found, TaskState):
        assert isinstance(unbelievable(found, RUN.encode(), None, RunEpochs({}, partitions=PARTITIONS)), str | None)


@given(st.one_of(st.none(), st.binary(max_size=50)), st.one_of(st.none(), st.binary(max_size=50)))
def test_what_goes_into_quarantine_can_be_read_again(value: bytes | None, key: bytes | None) -> None:
    _, name, body = entry(record(value, key), "why", "me")
    found = reader(Quarantined)(body)
    assert isinstance(found, Quarantined)
    assert (found.place.encode(), found.key, found.value) == (name, key, value)


class Partition:
    """Takes what is written."""

    number = HOME

    def __init__(self) -> None:
        self.moved = 0

    async def transaction(self, records: Any, *, command: Any = None) -> list[int]:
        self.moved += command is not None
        return [1 for _ in records]


@pytest.mark.parametrize("value", WRONG_ARGUMENTS, ids=lambda value: repr(value)[:40])
async def test_wrong_arguments_are_ignored_orders(value: Any) -> None:
    partition = Partition()
    desk = RunOwner({}, partition, None, None, None, lease_seconds=1, partitions=PARTITIONS)  # type: ignore[arg-type]
    orders = [
        ("seek", "row_index"),
        ("step", "rows"),
        ("retry", "row_index"),
        ("fail", "attempt"),
        ("speed", "rows_per_second"),
    ]
    for name, argument in orders:
        order = Command(command=name, task_id=RUN, issued_at=START, arguments={argument: value})  # type: ignore[arg-type]
        await desk.command(record(b""), order)
    assert partition.moved == len(orders)


def test_a_wrong_argument_says_which() -> None:
    with pytest.raises(IllegalMove, match="row_index"):
        _argument(
            Command(command="seek", task_id=RUN, issued_at=START, arguments={"row_index": True}), "row_index", _index
        )
