"""A broker that has just started may answer an end that lies before what was read from it."""

from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from gateway import projector
from gateway.projector import PATIENCE, Projector
from schemas.topics import DATASETS
from storage.view.redis_store import RedisStore

HERE, THERE = TopicPartition(DATASETS.name, 0), TopicPartition(DATASETS.name, 1)


class Starting:
    """Answers with these ends one after the other, the last one for ever."""

    def __init__(self, *ends: int) -> None:
        self.ends, self.asked = list(ends), 0

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        end = self.ends[min(self.asked, len(self.ends) - 1)]
        self.asked += 1
        return {tp: end if tp == HERE else 3 for tp in partitions}


@pytest.mark.parametrize(
    ("ends", "asked", "found"), [((7,), 1, 7), ((9,), 1, 9), ((0, 0, 7), 3, 7), ((0, 6), PATIENCE, 6)], ids=str
)
async def test_an_end_before_what_was_read_is_asked_for_again(
    ends: tuple[int, ...], asked: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "RETRY_SECONDS", 0.0)
    reading = Projector({}, RedisStore("redis://127.0.0.1:1/0"))
    reading._next[HERE] = 7
    broker = Starting(*ends)
    answered: Any = await reading._ends(cast(AIOKafkaConsumer, broker), [HERE, THERE])
    assert answered == {HERE: found, THERE: 3}
    assert broker.asked == asked
