"""A real Redis that is full, read only, cannot save, lacks rights, or loses keys: said in words, waited for, and mended
from Kafka."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from schemas import topics
from schemas.messages import encode
from schemas.tasks import RunSpec
from storage.view import redis_keys as keys
from storage.view.operations import Keep
from storage.view.redis_store import Advance, RedisStore, RedisUnavailable, RedisUnfit
from tests.support.brokers import Broker, redis_server
from tests.support.gateway_process import gateway
from tests.support.topic_writer import writer
from tests.support.view_records import dataset, prediction, task
from tests.support.waiting import eventually, eventually_sync

Admin = redis.Redis
Step = Callable[[Any], object]


@contextmanager
def _script_that_does_not_end(admin: Any) -> Iterator[None]:
    admin.config_set("lua-time-limit", 10)
    with redis.Redis(
        port=admin.get_connection_kwargs()["port"], socket_timeout=0.3, retry=Retry(NoBackoff(), 0)
    ) as other:
        with pytest.raises(redis.TimeoutError):
            other.eval("while true do end", 0)
        yield


def _answers(admin: Any) -> bool:
    try:
        return bool(admin.ping())
    except redis.ResponseError:
        return False


def _fail_to_save(admin: Any) -> None:
    admin.config_set("dir", "/proc")  # where nobody can make a file
    admin.config_set("save", "1 1")
    with pytest.raises(redis.ResponseError):
        admin.save()
    eventually_sync(lambda: _starts_a_save(admin))


def _starts_a_save(admin: Any) -> bool:
    if admin.info("persistence")["rdb_last_bgsave_status"] == "err":
        return True
    try:
        admin.bgsave()
    except redis.ResponseError:
        return False
    return False


REFUSALS: dict[str, tuple[Step, Step]] = {
    "full": (
        lambda r: r.config_set("maxmemory", r.info("memory")["used_memory"] // 2),
        lambda r: r.config_set("maxmemory", 0),
    ),
    "READONLY": (
        lambda r: r.execute_command("REPLICAOF", "127.0.0.1", "6"),
        lambda r: r.execute_command("REPLICAOF", "NO", "ONE"),
    ),
    "MISCONF": (_fail_to_save, lambda r: r.config_set("save", "")),
    "NOREPLICAS": (
        lambda r: r.config_set("min-replicas-to-write", 1),
        lambda r: r.config_set("min-replicas-to-write", 0),
    ),
    "NOPERM": (
        lambda r: r.execute_command("ACL", "SETUSER", "default", "-hset", "-set"),
        lambda r: r.execute_command("ACL", "SETUSER", "default", "+@all"),
    ),
    "MASTERDOWN": (
        lambda r: (r.config_set("replica-serve-stale-data", "no"), r.execute_command("REPLICAOF", "127.0.0.1", "6")),
        lambda r: (r.execute_command("REPLICAOF", "NO", "ONE"), r.config_set("replica-serve-stale-data", "yes")),
    ),
}


@pytest.mark.parametrize("word", sorted(REFUSALS))
async def test_a_write_that_is_refused_says_why_and_succeeds_later(word: str, fresh_redis_url: str) -> None:
    refuse, relent = REFUSALS[word]
    store = RedisStore(fresh_redis_url)
    with redis.Redis.from_url(fresh_redis_url) as admin:
        await store.clear()
        refuse(admin)
        for number in range(2):
            with pytest.raises(RedisUnavailable, match=word) as refused:
                await store.apply([Keep("ii:task:x", number, "{}")], ["x"])
            assert not isinstance(refused.value, RedisUnfit)
        relent(admin)
        assert await store.apply([Keep("ii:task:x", 7, "{}")], ["x"]) == []
        assert admin.hget("ii:task:x", "offset") == b"7"
    await store.close()


async def test_a_view_that_misses_a_key_has_no_positions(fresh_redis_url: str) -> None:
    store = RedisStore(fresh_redis_url)
    with redis.Redis.from_url(fresh_redis_url) as admin:
        await store.clear()
        await store.begin("tasks.v1:0", start=0, target=0, expected=1)
        assert (
            await store.apply([Keep("ii:task:x", 7, "{}")], ["x"], advances=[Advance("tasks.v1:0", 0, 8)], expected=1)
            == []
        )
        assert (await store.check(["tasks.v1:0"], 1)).positions == [8]
        admin.delete("ii:task:x")
        for _ in range(2):
            found = await store.check(["tasks.v1:0"], 1)
            assert (found.state, found.positions) == ("damaged", [None])
    await store.close()


async def test_a_redis_that_is_busy_with_a_script_is_waited_for(fresh_redis_url: str) -> None:
    store = RedisStore(fresh_redis_url)
    with redis.Redis.from_url(fresh_redis_url) as admin:
        await store.clear()
        with _script_that_does_not_end(admin), pytest.raises(RedisUnavailable, match="BUSY"):
            await store.apply([], ["x"])
        admin.script_kill()
        await eventually(lambda: _answers(admin), message="the script's end")
        assert await store.apply([], ["x"]) == []
    await store.close()


async def test_a_redis_without_rights_to_run_scripts_will_never_do(fresh_redis_url: str) -> None:
    store = RedisStore(fresh_redis_url)
    with redis.Redis.from_url(fresh_redis_url) as admin:
        admin.acl_setuser("default", enabled=True, nopass=True, keys=["*"], categories=["+@all", "-@scripting"])
        with pytest.raises(RedisUnfit, match="EVALSHA"):
            await store.apply([], ["x"])
    await store.close()


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    part, url = redis_server(tmp_path_factory.mktemp("refusing-redis"))
    part.start()
    with redis.Redis.from_url(url) as admin:
        yield admin
    part.stop()


@pytest.fixture(scope="module")
async def client(
    kafka: Broker, own_redis: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    folder: Path = tmp_path_factory.mktemp("refusals")
    url = f"redis://127.0.0.1:{own_redis.get_connection_kwargs()['port']}/0"
    async with gateway(kafka, url, folder, projector_group=f"refusals-{secrets.token_hex(4)}") as found:
        yield found


async def counted(client: httpx.AsyncClient, run_id: str) -> int | None:
    """Rows counted; None while the view is not shown. An answer that is neither is a failure."""
    answer = await client.get(f"/v1/runs/{run_id}")
    if answer.status_code == 503:
        assert answer.headers["retry-after"]
        return None
    assert answer.status_code == 200, answer.text
    return int(answer.json()["statistics"]["total_predictions"])


async def write(kafka: Broker, run_id: str, rows: int) -> None:
    async with writer(kafka.kwargs) as topic:
        await topic.answer(run_id, [prediction(run_id, row) for row in range(rows)])


@pytest.mark.parametrize("word", ["full", "MISCONF", "READONLY", "NOPERM"])
async def test_while_writes_are_refused_nothing_old_is_shown_and_afterwards_nothing_is_missing(
    word: str, client: httpx.AsyncClient, kafka: Broker, own_redis: Any
) -> None:
    run_id = f"ext-{secrets.token_hex(4)}"
    await write(kafka, run_id, 3)
    await eventually(lambda: is_counted(client, run_id, 3))
    refuse, relent = REFUSALS[word]
    refuse(own_redis)
    try:
        await eventually(lambda: is_refused(client, run_id, word))
        await write(kafka, run_id, 9)
        for _ in range(20):
            assert await counted(client, run_id) is None
        ready = await client.get("/ready")
        assert ready.status_code == 503
        assert word in ready.json()["dependencies"]["redis"]
        system = (await client.get("/v1/system")).json()
        assert any(word in (part["detail"] or "") for part in system["parts"] if part["name"] == "redis")
    finally:
        relent(own_redis)
    await eventually(lambda: is_counted(client, run_id, 9))
    await eventually(lambda: is_ready(client))


async def is_counted(client: httpx.AsyncClient, run_id: str, rows: int) -> bool:
    answer = await client.get(f"/v1/runs/{run_id}")
    return answer.status_code == 200 and answer.json()["statistics"]["total_predictions"] == rows


async def is_refused(client: httpx.AsyncClient, run_id: str, word: str) -> bool:
    answer = await client.get(f"/v1/runs/{run_id}")
    return answer.status_code == 503 and word in answer.json()["detail"]


async def is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/ready")).status_code == 200


TAKEN: dict[str, Callable[[Any, str], Any]] = {
    "statistics deleted": lambda r, run: r.delete(keys.stats(run)),
    "statistics renamed": lambda r, run: r.rename(keys.stats(run), "ii:stats:other"),
    "the task deleted": lambda r, run: r.delete(keys.record("task", run)),
    "positions deleted": lambda r, run: r.delete(keys.POSITIONS),
    "ready deleted": lambda r, run: r.delete(keys.READY),
    "half of all keys deleted": lambda r, run: r.delete(*sorted(r.keys("ii:*"))[::2]),
    "another application's value": lambda r, run: r.set(keys.stats(run), "mine"),
    "another application's positions": lambda r, run: r.set(keys.POSITIONS, "mine"),
    "flushed": lambda r, run: r.flushdb(),
}


@pytest.mark.parametrize("taken", sorted(TAKEN))
async def test_a_view_that_lost_keys_is_never_shown_as_whole_and_is_built_again(
    taken: str, client: httpx.AsyncClient, kafka: Broker, own_redis: Any
) -> None:
    run_id = f"ext-{secrets.token_hex(4)}"
    async with writer(kafka.kwargs) as topic:
        spec = RunSpec(dataset_id="d", split_id="s", model_version="m", total_rows=9)
        await topic.write(topics.TASKS, run_id, encode(task(run_id, spec=spec, attempt=1)))
    await write(kafka, run_id, 5)
    await eventually(lambda: is_counted(client, run_id, 5))
    TAKEN[taken](own_redis, run_id)

    async def whole_again() -> bool:
        found = await counted(client, run_id)
        assert found in (None, 5)
        return found == 5 and bool(own_redis.exists(keys.stats(run_id)))

    await eventually(whole_again, timeout_seconds=60)
    await eventually(lambda: is_ready(client))


async def test_evicted_keys_are_said_and_built_again(client: httpx.AsyncClient, kafka: Broker, own_redis: Any) -> None:
    names = [f"ds-{secrets.token_hex(4)}" for _ in range(60)]
    async with writer(kafka.kwargs) as topic:
        for name in names:
            await topic.write(topics.DATASETS, name, dataset(name, workspace="evicted").model_dump_json().encode())
    for name in names:
        await eventually(partial(is_found, client, name))
    evicted = own_redis.info("stats")["evicted_keys"]
    own_redis.config_set("maxmemory-policy", "allkeys-lru")
    own_redis.config_set("maxmemory", own_redis.info("memory")["used_memory"] - 40_000)
    try:
        await eventually(lambda: own_redis.info("stats")["evicted_keys"] > evicted)
        for name in names:
            assert (await client.get(f"/v1/datasets/{name}")).status_code in (200, 503)
        await eventually(lambda: is_said(client))
    finally:
        own_redis.config_set("maxmemory", 0)
        own_redis.config_set("maxmemory-policy", "noeviction")
    await eventually(lambda: is_ready(client), timeout_seconds=60)
    for name in names:
        assert (await client.get(f"/v1/datasets/{name}")).status_code == 200


async def is_found(client: httpx.AsyncClient, name: str) -> bool:
    return (await client.get(f"/v1/datasets/{name}")).status_code == 200


async def is_said(client: httpx.AsyncClient) -> bool:
    ready = await client.get("/ready")
    return ready.status_code == 503 and "gone from Redis" in ready.json()["dependencies"]["view"]


async def test_a_cluster_ends_the_gateway_with_a_sentence(kafka: Broker, tmp_path: Path) -> None:
    from devstack.redis import EmbeddedRedis
    from tests.support.gateway_process import ended_gateway

    part = EmbeddedRedis(tmp_path / "cluster")
    part.prepare()
    command = [*part.prepare(), "--cluster-enabled", "yes"]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        code, said = await ended_gateway(kafka, part.url, tmp_path, projector_group=f"cluster-{secrets.token_hex(4)}")
    finally:
        server.terminate()
        await server.wait()
    assert code == 78
    assert "cluster mode, which is not supported" in said
    assert "Traceback" not in said
