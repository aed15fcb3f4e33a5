"""A producer that has not heard of its ownership for a session asks before it sends more."""

from types import SimpleNamespace
from typing import Any

import pytest

from producer.run_owner import RunOwner
from runtime.errors import Fenced


class Partition:
    """Takes transactions until it is fenced."""

    number = 0

    def __init__(self) -> None:
        self.transactions = 0
        self.fenced = False

    async def transaction(self, records: Any, *, command: Any = None) -> list[int]:
        if self.fenced:
            raise Fenced("a newer owner")
        self.transactions += 1
        return []


def desk(partition: Any, lease_seconds: float) -> RunOwner:
    found = RunOwner({}, partition, None, None, None, lease_seconds=lease_seconds, partitions=4)  # type: ignore[arg-type]
    run: Any = SimpleNamespace(
        status="IN_PROGRESS",
        ended=False,
        paused=False,
        stepping=False,
        key=b"run",
        state=lambda _: "state",
        position=lambda _: "position",
    )
    found.runs["run"] = run
    return found


async def test_ownership_is_confirmed_only_when_the_last_confirmation_is_older_than_the_lease() -> None:
    partition = Partition()
    await desk(partition, lease_seconds=1000)._confirm_ownership()
    assert partition.transactions == 0
    await desk(partition, lease_seconds=0)._confirm_ownership()
    assert partition.transactions == 1


async def test_a_producer_that_was_frozen_is_told_that_it_is_fenced_before_it_sends_more() -> None:
    partition = Partition()
    partition.fenced = True
    with pytest.raises(Fenced):
        await desk(partition, lease_seconds=0)._confirm_ownership()
