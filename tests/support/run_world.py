"""A gateway process with its Kafka and Redis, and workers that are played: for tests of runs."""

import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from runtime.kafka.reading import partition_for, read_to_end
from schemas import topics
from schemas.messages import encode
from schemas.tasks import Command, RunSpec, TaskState
from storage.objects.files import Storage
from tests.support.brokers import CONTROL_PARTITIONS, Broker, redis_server
from tests.support.gateway_process import gateway
from tests.support.topic_writer import Writer, writer
from tests.support.view_records import dataset, model, prediction, split, task
from tests.support.waiting import eventually


class World:
    """A gateway, its Kafka, and a workspace with a dataset, a split and a model."""

    def __init__(
        self, kafka: Broker, redis_url: str, client: httpx.AsyncClient, topic: Writer, storage: Storage
    ) -> None:
        self.kafka, self.redis_url, self.client, self.topic, self.storage = kafka, redis_url, client, topic, storage

    async def workspace(self) -> str:
        """A new workspace in which a run can be started."""
        name = f"w{secrets.token_hex(4)}"
        records: list[tuple[topics.Topic, str, Any]] = [
            (topics.DATASETS, f"ds-{name}", dataset(f"ds-{name}", workspace=name)),
            (topics.DATASETS, f"split-{name}", split(f"split-{name}", f"ds-{name}", workspace=name)),
            (topics.MODELS, f"model-{name}", model(f"model-{name}", workspace=name, dataset_id=f"ds-{name}")),
        ]
        for kind, key, manifest in records:
            await self.topic.write(kind, key, manifest.model_dump_json().encode())
        await eventually(lambda: self.knows(f"/v1/models/model-{name}"))
        await eventually(lambda: self.knows(f"/v1/splits/split-{name}"))
        return name

    async def knows(self, path: str) -> bool:
        return (await self.client.get(path)).status_code == 200

    async def status(self, run_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"/simulation/status/{run_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def status_is(self, run_id: str, status: str) -> bool:
        return bool((await self.status(run_id))["status"] == status)

    async def commands(self, run_id: str) -> list[Command]:
        """The orders written for the run."""
        partition = partition_for(run_id.encode(), CONTROL_PARTITIONS)
        records = read_to_end(self.kafka.kwargs, topics.RUN_COMMANDS.name, [partition])
        return [
            msgspec.json.decode(record.value, type=Command) async for record in records if record.key == run_id.encode()
        ]

    async def write_task(self, state: TaskState) -> None:
        await self.topic.write(topics.TASKS, state.task_id, encode(state))

    async def replay(self, run_id: str, rows: int, *, lanes: int = 1, batch: int = 25, end: bool = True) -> None:
        """Answer all rows of a run, lane by lane in turn, and end it."""
        spec = RunSpec(dataset_id="ds", split_id="s", model_version="m", total_rows=rows, lanes=lanes)
        await self.write_task(task(run_id, spec=spec))
        for start in range(0, rows, batch * lanes):
            for lane in random.Random(start).sample(range(lanes), lanes):
                mine = range(start + lane, min(start + batch * lanes, rows), lanes)
                await self.topic.answer(
                    run_id, [prediction(run_id, row, lane=lane) for row in mine], lane=lane, lanes=lanes
                )
        if end:
            for lane in range(lanes):
                await self.topic.answer(run_id, [], lane=lane, lanes=lanes, finished="COMPLETED")
            await self.write_task(task(run_id, status="COMPLETED", ended_lanes=lanes, spec=spec))
            await eventually(lambda: self.status_is(run_id, "COMPLETED"))

    async def all_pages(self, run_id: str, limit: int, after: int = -1) -> list[int]:
        """Row indices of all pages, until the run says that it is complete."""
        found: list[int] = []
        while True:
            answer = await self.client.get(f"/v1/runs/{run_id}/predictions", params={"after": after, "limit": limit})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += [item["row_index"] for item in page["items"]]
            assert page["next_after"] > after or page["complete"]
            after = page["next_after"]
            if page["complete"]:
                return found

    async def counts(self, run_id: str, rows: int) -> bool:
        """Whether exactly so many predictions are counted."""
        answer = await self.client.get(f"/v1/runs/{run_id}")
        return answer.status_code == 200 and answer.json()["statistics"]["total_predictions"] == rows

    async def ordered(self, run_id: str, command: str) -> bool:
        """Whether the order was written."""
        return command in [order.command for order in await self.commands(run_id)]


@asynccontextmanager
async def run_world(kafka: Broker, folder: Path, **settings: object) -> AsyncIterator[World]:
    """A world with a Redis and a consumer group of its own; `settings` as for `gateway`."""
    part, url = redis_server(folder / "redis")
    part.start()
    group = f"g-{secrets.token_hex(4)}"
    async with writer(kafka.kwargs) as topic, gateway(kafka, url, folder, projector_group=group, **settings) as client:
        yield World(kafka, url, client, topic, Storage(f"file://{folder}").initialise())
    part.stop()
