"""The view is the same however its records reach it: in batches, twice, late, out of order, or ahead of time by the
gateway's own hand."""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import topics
from schemas.ids import alias_key
from schemas.messages import Alias, encode
from storage.view import redis_keys as keys
from storage.view.operations import Limits, Operation, fold
from storage.view.projection import Projected, project
from storage.view.redis_store import Advance, RedisStore, ViewDamaged, ViewRebuilding
from tests.support.view_records import at, dataset, dead_letter, lane_stats, log_entry, model, prediction, split, task
from tests.support.waiting import eventually_sync

LIMITS = Limits(predictions=6, logs=3, dead_letters=3)
Record = tuple[topics.Topic, str, bytes | None]
Log = list[Record]
Place = tuple[int, Record]
"""Offset and record."""


class World:
    """One Redis, one loop, one store."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self.runner, self.url = runner, url
        self.redis = redis.Redis.from_url(url)
        self.store = self.run(self._store(url))

    async def _store(self, url: str) -> RedisStore:
        return RedisStore(url, limits=LIMITS)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def clear(self) -> None:
        self.redis.flushall()
        assert self.run(self.store.clear())

    def state(self) -> str:
        """What a look at the whole census finds."""
        return str(self.run(self.store.check([], 1, whole_census=True)).state)

    def apply(self, places: list[Place], *advances: Advance) -> list[str]:
        operations: list[Operation] = []
        for offset, (topic, key, value) in places:
            projected = project(topic.name, 0, offset, key.encode(), value, LIMITS)
            assert isinstance(projected, Projected)
            operations += projected.operations
        lost: list[str] = self.run(self.store.apply(fold(operations, LIMITS), ["x"], advances=advances, expected=1))
        return lost

    def dump(self) -> dict[str, Any]:
        """Everything in Redis but the positions and the marker."""
        found: dict[str, Any] = {}
        for key in sorted(self.redis.keys()):
            assert isinstance(key, bytes)
            name = key.decode()
            if name in (keys.POSITIONS, keys.READY, keys.BEAT):
                continue
            kind = self.redis.type(key)
            reads: dict[bytes, Any] = {b"hash": self.redis.hgetall, b"string": self.redis.get}
            found[name] = reads[kind](key) if kind in reads else self.redis.zrange(key, 0, -1, withscores=True)
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    from tests.support.brokers import redis_server

    part, url = redis_server(tmp_path_factory.mktemp("projection-redis"))
    part.start()
    with asyncio.Runner() as runner:
        found = World(url, runner)
        yield found
        found.run(found.store.close())
    part.stop()


def _task(number: int, version: int, kind: str) -> Record:
    state = task(
        f"t{number}", kind="run" if kind == "run" else "training", created_at=at(number), progress={"version": version}
    )
    return topics.TASKS, f"t{number}", None if kind == "deleted" else encode(state)


def _dataset(number: int, workspace: str | None) -> Record:
    manifest = None if workspace is None else dataset(f"ds-{number}", workspace=workspace, created_at=at(number))
    return topics.DATASETS, f"ds-{number}", manifest.model_dump_json().encode() if manifest else None


def _split(number: int, dataset_number: int | None) -> Record:
    manifest = (
        None if dataset_number is None else split(f"split-{number}", f"ds-{dataset_number}", created_at=at(number))
    )
    return topics.DATASETS, f"split-{number}", manifest.model_dump_json().encode() if manifest else None


def _model(number: int, alive: bool) -> Record:
    manifest = model(f"model-{number}", created_at=at(number)) if alive else None
    return topics.MODELS, f"model-{number}", manifest.model_dump_json().encode() if manifest else None


def _alias(number: int) -> Record:
    alias = Alias(alias="champion", workspace="w", model_version=f"model-{number}", set_at=at(number))
    return topics.MODELS, alias_key("champion", "w"), encode(alias)


def _answer(run: int, row: int) -> Record:
    return topics.PREDICTIONS, f"r{run}", encode(prediction(f"r{run}", row * 300, lane=row % 2))


def _stats(run: int, lane: int, rows: int) -> Record:
    value = encode(lane_stats(f"r{run}", [prediction(f"r{run}", i) for i in range(rows)], lane=lane))
    return topics.STATS_CHANGELOG, f"r{run}:1:{lane}", value


def _foreign_stats(run: int, lane: int, rows: int) -> Record:
    stats = lane_stats(f"ext-{run}", [prediction(f"ext-{run}", i) for i in range(rows)], lane=lane)
    stats.begun_at = at(9 - lane)
    return topics.STATS_CHANGELOG, f"ext-{run}:1:{lane}", encode(stats)


few = st.integers(0, 3)
records = st.one_of(
    st.builds(_task, few, few, st.sampled_from(("run", "training", "deleted"))),
    st.builds(_dataset, few, st.sampled_from(("w", "v", None))),
    st.builds(_split, few, st.none() | few),
    st.builds(_model, few, st.booleans()),
    st.builds(_alias, few),
    st.builds(_answer, st.integers(0, 1), st.integers(0, 15)),
    st.builds(_stats, st.integers(0, 1), st.integers(0, 1), st.integers(0, 5)),
    st.builds(_foreign_stats, st.integers(0, 1), few, few),
    st.builds(lambda row: (topics.DEAD_LETTERS, "", encode(dead_letter("r0", row, offset=row))), st.integers(0, 6)),
    st.builds(lambda number: (topics.TASK_LOGS, "t0", encode(log_entry("t0", number))), few),
)
thorough = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _placed(log: Log) -> list[Place]:
    """A prediction of a row and a dead letter are written once; everything else may be written any number of times."""
    seen: set[Record] = set()
    places: list[Place] = []
    for record in log:
        if record[0] in (topics.PREDICTIONS, topics.DEAD_LETTERS) and record in seen:
            continue
        seen.add(record)
        places.append((len(places), record))
    return places


def _in_order(world: World, places: list[Place]) -> dict[str, Any]:
    world.clear()
    for place in places:
        world.apply([place])
    return world.dump()


@thorough
@given(log=st.lists(records, max_size=40), data=st.data())
def test_any_order_any_repetition_and_any_batching_give_the_same_view(
    world: World, log: Log, data: st.DataObject
) -> None:
    places = _placed(log)
    wanted = _in_order(world, places)
    world.clear()
    repeated = data.draw(st.lists(st.sampled_from(places), max_size=20)) if places else []
    shuffled = data.draw(st.permutations(places + repeated))
    while shuffled:
        size = data.draw(st.integers(1, len(shuffled)))
        world.apply(shuffled[:size])
        shuffled = shuffled[size:]
    assert world.dump() == wanted
    assert world.state() == "", "nothing is missed that may be gone"


Taken = Callable[["redis.Redis", str], object]
takings: dict[str, Taken] = {
    "deleted": lambda client, key: client.delete(key),
    "renamed": lambda client, key: client.rename(key, "elsewhere"),
    "expired too early": lambda client, key: client.pexpire(key, 1),
    "moved": lambda client, key: client.move(key, 1),
}


@thorough
@given(log=st.lists(records, min_size=1, max_size=40), data=st.data(), how=st.sampled_from(sorted(takings)))
def test_whichever_key_is_taken_away_is_missed_when_it_is_read_looked_for_or_written(
    world: World, log: Log, data: st.DataObject, how: str
) -> None:
    places = _placed(log)
    _in_order(world, places)
    world.run(world.store.begin("t:0", start=0, target=0, expected=1))
    world.run(world.store.read(lambda pipe: None))
    if not (names := sorted(world.dump())):
        return
    key = data.draw(st.sampled_from(names))
    takings[how](world.redis, key)
    eventually_sync(lambda: not world.redis.exists(key))
    world.redis.delete("elsewhere")
    match data.draw(st.sampled_from(("read", "looked for", "written"))):
        case "read":
            with pytest.raises(ViewRebuilding, match=re.escape(f"{key} is gone")):
                world.run(world.store.read(lambda pipe: pipe.exists(key)))
        case "looked for":
            assert world.state() == "damaged"
        case "written":
            for place in places:
                world.apply([(place[0] + 1000, place[1])])
    with pytest.raises(ViewRebuilding) if world.state() else nullcontext():
        world.run(world.store.read(lambda pipe: None))
    if world.redis.exists(key) == 0:  # not written again: then it is still missed
        assert world.state() == "damaged"


@pytest.mark.parametrize("taken", [keys.POSITIONS, keys.READY, keys.BEAT])
def test_a_view_without_its_own_marks_is_not_shown_or_made_ready_again(world: World, taken: str) -> None:
    _in_order(world, [(0, _alias(1))])
    world.run(world.store.begin("t:0", start=0, target=0, expected=1))
    world.redis.delete(taken)
    if taken == keys.POSITIONS:
        with pytest.raises(ViewRebuilding):
            world.run(world.store.read(lambda pipe: None))
        assert world.state() == "missing"
        assert world.apply([(5, _alias(2))], Advance("t:0", 0, 6)) == ["t:0"]
        assert world.run(world.store.clear())
        assert world.dump() == {}
    else:
        assert world.state() == ""
        world.run(world.store.read(lambda pipe: None))


def test_what_expires_in_its_time_is_not_missed(world: World) -> None:
    world.clear()
    store = world.run(_short_store(world))
    world.run(store.begin("t:0", start=0, target=0, expected=1))
    operations = _operations(topics.PREDICTIONS, "r", encode(prediction("r", 1)))
    world.run(store.apply(fold(operations, LIMITS), []))
    assert world.redis.exists(keys.predictions("r", 1))
    eventually_sync(lambda: not world.redis.exists(keys.predictions("r", 1), keys.reach("r", 1)))
    assert world.state() == ""
    world.run(store.read(lambda pipe: pipe.zcard(keys.predictions("r", 1))))
    world.run(store.close())


async def _short_store(world: World) -> RedisStore:
    return RedisStore(world.url, limits=LIMITS, kept_seconds=1)


@pytest.mark.parametrize("key", [keys.record("task", "t1"), keys.POSITIONS, keys.record("alias", "champion@w")])
def test_a_key_that_something_else_has_written_is_built_again(world: World, key: str) -> None:
    _in_order(world, [(0, _task(1, 1, "run")), (1, _alias(1))])
    world.run(world.store.begin("t:0", start=0, target=0, expected=1))
    world.redis.delete(key)
    world.redis.set(key, "of another application")
    with pytest.raises(ViewDamaged):
        world.run(world.store.read(lambda pipe: pipe.hget(key, "value")))
    assert world.state() == "missing"
    assert world.run(world.store.clear("; as was said"))
    assert world.dump() == {}
    with pytest.raises(ViewRebuilding, match=r"WRONGTYPE.*as was said"):
        world.run(world.store.read(lambda pipe: None))


def test_only_one_clears_a_view_away_and_meanwhile_nothing_is_placed_or_written(world: World) -> None:
    _in_order(world, [(0, _alias(1))])
    world.redis.delete(keys.POSITIONS)
    world.redis.hset(keys.POSITIONS, mapping={"format": "1", "dropping": int(time.time()) + 60})
    assert not world.run(world.store.clear())
    assert world.apply([(1, _alias(2))]) == [""]
    with pytest.raises(ViewRebuilding):
        world.run(world.store.begin("t:0", start=0, target=0, expected=1))
    world.redis.hset(keys.POSITIONS, "dropping", int(time.time()) - 1)  # whoever did it is gone
    assert world.run(world.store.clear())
    assert world.dump() == {}


@thorough
@given(log=st.lists(records, min_size=1, max_size=40), data=st.data())
def test_replayed_prefix_and_own_writes_ahead_of_time_change_nothing(
    world: World, log: Log, data: st.DataObject
) -> None:
    places = _placed(log)
    wanted = _in_order(world, places)
    world.clear()
    ahead = data.draw(st.lists(st.sampled_from(places), max_size=10))
    prefix = data.draw(st.integers(0, len(places)))
    world.run(world.store.begin("t:0", start=0, target=len(places), expected=1))
    for place in ahead[: len(ahead) // 2]:
        world.apply([place])
    if prefix:
        assert world.apply(places[:prefix], Advance("t:0", 0, prefix)) == []
    for place in ahead[len(ahead) // 2 :]:
        world.apply([place])
    assert world.apply(places, Advance("t:0", 0, len(places))) == []
    assert world.dump() == wanted
    assert world.run(world.store.positions(["t:0"])) == [len(places)]
    world.run(world.store.read(lambda pipe: None))


def test_batch_whose_position_is_gone_changes_nothing(world: World) -> None:
    world.clear()
    world.run(world.store.begin("t:0", start=3, target=9, expected=1))
    place = (9, _alias(1))
    assert world.apply([place], Advance("t:0", 9, 10)) == ["t:0"]
    assert world.dump() == {}
    with pytest.raises(ViewRebuilding):
        world.run(world.store.read(lambda pipe: None))


def test_view_is_ready_only_when_every_partition_has_reached_its_target(world: World) -> None:
    world.clear()
    for name, target in (("t:0", 2), ("t:1", 0)):
        world.run(world.store.begin(name, start=0, target=target, expected=2))
    with pytest.raises(ViewRebuilding):
        world.run(world.store.read(lambda pipe: None))
    world.run(world.store.apply([], [], advances=[Advance("t:0", 0, 1)], expected=2))
    with pytest.raises(ViewRebuilding):
        world.run(world.store.read(lambda pipe: None))
    world.run(world.store.apply([], [], advances=[Advance("t:0", 1, 2)], expected=2))
    world.run(world.store.read(lambda pipe: None))


def test_position_that_went_back_hides_the_view_until_it_is_reached_again(world: World) -> None:
    world.clear()
    world.run(world.store.begin("t:0", start=0, target=0, expected=1))
    world.run(world.store.read(lambda pipe: None))
    assert world.run(world.store.begin("t:0", start=0, target=9, expected=1, former=5)) == 0
    with pytest.raises(ViewRebuilding):
        world.run(world.store.read(lambda pipe: None))
    world.run(world.store.apply([], [], advances=[Advance("t:0", 0, 5)], expected=1))
    world.run(world.store.read(lambda pipe: None))


def test_late_batch_of_a_frozen_projector_moves_nothing_back(world: World) -> None:
    world.clear()
    world.run(world.store.begin("t:0", start=0, target=2, expected=1))
    world.apply([(0, _alias(1)), (1, _alias(2))], Advance("t:0", 0, 2))
    before = world.dump()
    assert world.apply([(0, _alias(1))], Advance("t:0", 0, 1)) == []
    assert world.dump() == before
    assert world.run(world.store.positions(["t:0"])) == [2]


def test_view_that_lags_far_behind_is_hidden_until_it_has_caught_up(world: World) -> None:
    world.clear()
    world.run(world.store.begin("t:0", start=0, target=0, expected=1))
    world.run(world.store.read(lambda pipe: None))
    world.run(world.store.begin("t:0", start=0, target=1000, expected=1))
    world.run(world.store.read(lambda pipe: None))  # little enough to be shown
    world.run(world.store.begin("t:0", start=0, target=1001, expected=1))
    with pytest.raises(ViewRebuilding):
        world.run(world.store.read(lambda pipe: None))
    world.run(world.store.apply([], [], advances=[Advance("t:0", 0, 1001)], expected=1))
    world.run(world.store.read(lambda pipe: None))


def test_of_many_runs_the_oldest_are_thinned_and_keep_their_totals(world: World) -> None:
    world.clear()
    store = world.run(_thin_store(world))
    for number in range(40):
        run = f"small-{number}"
        rows = [prediction(run, i, scored_at=at(10 * number + i)) for i in range(5)]
        stats = [(topics.STATS_CHANGELOG, f"{run}:1:0", encode(lane_stats(run, rows, finished="COMPLETED")))]
        records = [(topics.PREDICTIONS, run, encode(row)) for row in rows] + stats
        operations: list[Operation] = []
        for offset, (topic, key, value) in enumerate(records):
            projected = project(topic.name, 0, offset, key.encode(), value, THIN)
            assert isinstance(projected, Projected)
            operations += projected.operations
        for part in (operations[:3], operations[3:]):  # a run that is written to again is the newest again
            world.run(store.apply(fold(part, THIN), ["x"]))
    names = [str(key, "utf-8") for key in world.redis.scan_iter()]
    for kind, kept in (("predictions", 7), ("offsets", 7), ("stats", 40), ("reach", 40)):
        assert sum(name.startswith(f"ii:{kind}:") for name in names) == kept, kind
    assert {name.split(":")[2] for name in names if name.startswith("ii:predictions:")} == {
        f"small-{i}" for i in range(33, 40)
    }
    assert world.redis.hget("ii:reach:small-3:1", "floor") == b"5"
    late = [
        operation
        for i in (1, 2)
        for operation in _operations(topics.PREDICTIONS, "small-3", encode(prediction("small-3", i)))
    ]
    world.run(store.apply(fold(late, THIN), []))  # by a projector that had been frozen
    assert world.redis.hget("ii:reach:small-3:1", "floor") == b"5"
    world.run(store.close())


THIN = Limits(predictions=6, runs=7)


async def _thin_store(world: World) -> RedisStore:
    return RedisStore(world.url, limits=THIN)


def _operations(topic: topics.Topic, key: str, value: bytes) -> tuple[Operation, ...]:
    projected = project(topic.name, 0, 0, key.encode(), value, THIN)
    assert isinstance(projected, Projected)
    return projected.operations
