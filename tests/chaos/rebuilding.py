"""The view in Redis against one that is built anew from the topics: every answer of the gateway must be the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import redis

from tests.chaos.world import World
from tests.support.waiting import eventually

WHOLE_SECONDS = 90.0
LISTS = ("/v1/runs", "/v1/datasets", "/v1/splits", "/v1/models", "/v1/trainings", "/v1/dead-letters")
SHOWN_CHARACTERS = 300
SOME_ROWS = 200


async def compare(world: World) -> AsyncIterator[str]:
    """Read everything, empty Redis, let it be built again, read everything again; yield what differs."""
    async with httpx.AsyncClient(base_url=world.stack.gateway_url, timeout=60, trust_env=False) as http:
        before = await _everything(http)
        with redis.Redis.from_url(world.stack.redis_url) as client:
            client.flushall()
        await eventually(lambda: _is_whole(http), timeout_seconds=WHOLE_SECONDS, message="the view built again")
        after = await _everything(http)
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"after a rebuild {path} differs: {_first_difference(before.get(path), after.get(path))}"
    world.done.append(f"{'':9}  {len(before)} answers compared with those of a rebuilt view")


async def _is_whole(http: httpx.AsyncClient) -> bool:
    return (await http.get("/v1/runs")).status_code == 200


async def _everything(http: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in LISTS:
        listed = await _all_pages(http, path)
        if listed is None:
            continue
        found[path] = listed
        for item in listed:
            await _of_item(http, path, item, found)
    return found


async def _of_item(http: httpx.AsyncClient, path: str, item: dict[str, Any], found: dict[str, Any]) -> None:
    if path == "/v1/runs":
        run_id, last = item["run_id"], item["statistics"]["last_row_index"]
        wanted = [f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/attempts"]
        for after in (-1, max(last - 150, -1)):
            found[f"predictions of {run_id} behind {after}"] = await _predictions(http, run_id, after)
        wanted += [f"/simulation/status/{run_id}"] if run_id.startswith("sim-task-") else []
    elif path == "/v1/trainings":
        wanted = [f"/v1/trainings/{item['task_id']}", f"/process/task/status/{item['task_id']}"]
    elif path == "/v1/dead-letters":
        wanted = []
    else:
        name = {"/v1/datasets": "dataset_id", "/v1/splits": "split_id", "/v1/models": "model_version"}[path]
        wanted = [f"{path}/{item[name]}"]
    for one in wanted:
        answer = await http.get(one)
        found[one] = (answer.status_code, answer.json())


async def _predictions(http: httpx.AsyncClient, run_id: str, after: int) -> list[Any]:
    """The next rows, over as many pages as it takes: where pages end may differ."""
    rows: list[Any] = []
    while len(rows) < SOME_ROWS:
        answer = await http.get(
            f"/v1/runs/{run_id}/predictions", params={"limit": SOME_ROWS - len(rows), "after": after}
        )
        if answer.status_code != 200:
            return [answer.status_code, answer.json()]
        page = answer.json()
        rows += page["items"]
        if page["complete"] or page["next_after"] == after:
            break
        after = page["next_after"]
    return rows


async def _all_pages(http: httpx.AsyncClient, path: str) -> list[dict[str, Any]] | None:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        answer = await http.get(path, params={"limit": 50, **({"cursor": cursor} if cursor else {})})
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:SHOWN_CHARACTERS]}"
        page = answer.json()
        items += page["items"]
        cursor = page.get("next_cursor")
        if not cursor:
            return items
        await asyncio.sleep(0)


def _first_difference(before: Any, after: Any, at: str = "$") -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                return _first_difference(before.get(key), after.get(key), f"{at}.{key}")
    if isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            if one != other:
                return _first_difference(one, other, f"{at}[{number}]")
    return f"{at}: {str(before)[:SHOWN_CHARACTERS]} / {str(after)[:SHOWN_CHARACTERS]}"
