"""Runs that other systems feed: every row is read once, none waits for a silent lane, over reconnections and rebuilt
views."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import redis
from httpx_sse import aconnect_sse

from tests.support.brokers import DATA_PARTITIONS, Broker
from tests.support.run_world import World, run_world
from tests.support.view_records import prediction
from tests.support.waiting import eventually

LANES = 2 * DATA_PARTITIONS
KEPT = 30


@pytest.fixture(scope="module")
async def world(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with run_world(kafka, tmp_path_factory.mktemp("foreign"), predictions_kept=KEPT, rebuild_records=60) as found:
        yield found


class Feed:
    """Rows of one run, answered in its lanes."""

    def __init__(self, world: World) -> None:
        self.world, self.run_id = world, f"ext-{secrets.token_hex(4)}"
        self.rows: list[int] = []

    async def answer(self, partition: int, offsets: range) -> None:
        rows = [offset * LANES + partition for offset in offsets]
        answers = [prediction(self.run_id, row, lane=partition) for row in rows]
        await self.world.topic.answer(self.run_id, answers, lane=partition, lanes=LANES, partition=partition)
        self.rows += rows


class Follower:
    """Follows by events, cut off at random, and goes on with the id of the last one."""

    def __init__(self, feed: Feed, seed: int) -> None:
        self.feed, self.random = feed, random.Random(seed)
        self.rows: list[int] = []
        self.last_id: str | None = None
        self.connections = 0

    async def follow(self) -> None:
        while True:
            self.connections += 1
            left = self.random.randint(1, 25)
            headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
            async with aconnect_sse(
                self.feed.world.client, "GET", f"/v1/runs/{self.feed.run_id}/events", headers=headers
            ) as source:
                async for event in source.aiter_sse():
                    if event.event == "prediction":
                        self.rows.append(orjson.loads(event.data)["row_index"])
                        self.last_id = event.id
                        left -= 1
                    if left <= 0:
                        break


async def pages(world: World, run_id: str, limit: int, after: int | str = -1) -> tuple[list[int], int | str]:
    found: list[int] = []
    while True:
        answer = await world.client.get(f"/v1/runs/{run_id}/predictions", params={"after": after, "limit": limit})
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        found += [item["row_index"] for item in page["items"]]
        if page["next_after"] == after:
            return found, after
        after = page["next_after"]


def check(rows: list[int], expected: list[int]) -> None:
    assert sorted(rows) == sorted(expected)
    for lane in range(LANES):
        mine = [row for row in rows if row % LANES == lane]
        assert mine == sorted(mine)


async def test_every_row_is_read_once_whatever_lanes_are_silent_or_late(world: World) -> None:
    feed, chance = Feed(world), random.Random(7)
    await feed.answer(3, range(5))
    await eventually(lambda: world.counts(feed.run_id, 5))
    followers = [Follower(feed, seed) for seed in range(3)]
    following = [asyncio.create_task(follower.follow()) for follower in followers]
    read, after = await pages(world, feed.run_id, 3)
    reached = {3: 5, 5: 0, 0: 0}
    for turn in range(24):
        lane = chance.choice(
            [3, 3, 3, 5] if turn < 16 else [0, 5, 5]
        )  # 0 comes when the others are far ahead, 3 falls silent
        count = chance.randint(1, 9)
        await feed.answer(lane, range(reached[lane], reached[lane] + count))
        reached[lane] += count
        if turn % 5 == 0:
            more, after = await pages(world, feed.run_id, chance.randint(1, 20), after)
            read += more
    await eventually(lambda: all(len(follower.rows) >= len(feed.rows) for follower in followers), timeout_seconds=60)
    await eventually(lambda: world.counts(feed.run_id, len(feed.rows)))
    more, _ = await pages(world, feed.run_id, 7, after)
    check(read + more, feed.rows)
    check((await pages(world, feed.run_id, 1000))[0], feed.rows)
    for follower in followers:
        check(follower.rows, feed.rows)
        assert follower.connections > 3
    await feed.answer(3, range(reached[3], reached[3] + 2))
    await eventually(lambda: all(len(follower.rows) >= len(feed.rows) for follower in followers), timeout_seconds=60)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    for follower in followers:
        check(follower.rows, feed.rows)


async def test_after_redis_was_emptied_every_row_is_read_once_from_kafka(world: World) -> None:
    feed = Feed(world)
    for start in range(0, 60, 20):
        for lane in (1, 6, 7):
            if lane != 6 or start == 0:
                await feed.answer(lane, range(start, start + 20))
    await eventually(lambda: world.counts(feed.run_id, len(feed.rows)))
    first, after = (
        (await pages(world, feed.run_id, 50))[0][:50],
        (await world.client.get(f"/v1/runs/{feed.run_id}/predictions", params={"limit": 50})).json()["next_after"],
    )
    with redis.Redis.from_url(world.redis_url) as client:
        client.flushdb()
    await eventually(lambda: world.counts(feed.run_id, len(feed.rows)), timeout_seconds=30)
    rest, _ = await pages(world, feed.run_id, 40, after)
    check(first + rest, feed.rows)
    check((await pages(world, feed.run_id, 1000))[0], feed.rows)


async def test_a_run_in_one_partition_has_plain_row_indices_as_places(world: World) -> None:
    feed = Feed(world)
    await feed.answer(4, range(3))
    await eventually(lambda: world.counts(feed.run_id, 3))
    page = (await world.client.get(f"/v1/runs/{feed.run_id}/predictions", params={"limit": 2})).json()
    assert page["next_after"] == LANES + 4
    for wrong in ("x", "-2", "1.", "1..2", str(1 << 53)):
        answer = await world.client.get(f"/v1/runs/{feed.run_id}/predictions", params={"after": wrong})
        assert answer.status_code == 422, wrong


async def test_runs_of_other_systems_are_listed_with_what_is_known_of_them(world: World) -> None:
    feed = Feed(world)
    for partition in (2, 5):
        await feed.answer(partition, range(3))
    await eventually(lambda: world.counts(feed.run_id, 6))
    listed = [
        run
        for run in (await world.client.get("/v1/runs", params={"limit": 500})).json()["items"]
        if run["run_id"] == feed.run_id
    ]
    (run,) = listed
    assert (run["workspace"], run["status"], run["lanes"], run["statistics"]["total_predictions"]) == (
        None,
        "IN_PROGRESS",
        2,
        6,
    )
    assert run["statistics"]["last_scored_at"] is not None
    assert run["created_at"] == run["statistics"]["first_scored_at"]
    assert (
        run["model_version"] == (await world.client.get(f"/v1/runs/{feed.run_id}")).json()["model_version"] is not None
    )
    newest, _ = await pages(world, feed.run_id, 100, run["tail"])
    check(newest, feed.rows)
    elsewhere = (await world.client.get("/v1/runs", headers={"X-Workspace": "other"})).json()["items"]
    assert feed.run_id not in [one["run_id"] for one in elsewhere]
