"""A client that follows a run by server-sent events and loses its connection at random; and a consumer of committed
predictions."""

import asyncio
import random
from collections import Counter
from typing import Any

import httpx
import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

from runtime.tasks import stop_client
from schemas.topics import PREDICTIONS
from tests.support.brokers import DATA_PARTITIONS

SILENCE_SECONDS = 40.0


class Follower:
    """Follows to the end. `rows` holds the row indices in the order they came, by attempt."""

    def __init__(self, url: str, run_id: str, chance: random.Random) -> None:
        self.url, self.run_id, self.chance = url, run_id, chance
        self.rows: dict[int, list[int]] = {}
        self.last_id: str | None = None
        self.connections = 0
        self.ended = False
        self.ended_with: int | None = None
        """The attempt whose end was told."""
        self.problems: list[str] = []

    def __str__(self) -> str:
        return f"after {self.connections} connections at {self.last_id}"

    @property
    def seen(self) -> int:
        """How many rows came."""
        return sum(map(len, self.rows.values()))

    async def follow(self) -> None:
        """Read until the run's end."""
        async with httpx.AsyncClient(
            base_url=self.url, timeout=httpx.Timeout(SILENCE_SECONDS, connect=5), trust_env=False
        ) as http:
            while not self.ended:
                self.connections += 1
                try:
                    await self._connection(http)
                except (httpx.HTTPError, SSEError):
                    await asyncio.sleep(self.chance.uniform(0.05, 0.5))

    async def _connection(self, http: httpx.AsyncClient) -> None:
        left = self.chance.choice((self.chance.randint(1, 20), self.chance.randint(20, 4000)))
        headers = {} if self.last_id is None else {"Last-Event-ID": self.last_id}
        async with aconnect_sse(http, "GET", f"/v1/runs/{self.run_id}/events", headers=headers) as source:
            if source.response.status_code >= 500 and source.response.status_code != 503:
                self.problems.append(f"answered {source.response.status_code}")
            source.response.raise_for_status()
            if source.response.status_code == 204:  # cut off between the last row and the end
                run = (await http.get(f"/v1/runs/{self.run_id}")).raise_for_status().json()
                self.ended, self.ended_with = True, run["attempt"]
                return
            async for event in source.aiter_sse():
                self._take(event)
                left -= 1
                if self.ended or not left:
                    return

    def _take(self, event: ServerSentEvent) -> None:
        if event.event == "prediction":
            data: dict[str, Any] = orjson.loads(event.data)
            self.rows.setdefault(data["attempt"], []).append(data["row_index"])
            self.last_id = event.id
        elif event.event == "gone":
            self.problems.append(f"gone: {event.data}")
            self.ended = True
        elif event.event == "end":
            self.ended, self.ended_with = True, orjson.loads(event.data)["attempt"]


class _Id(msgspec.Struct):
    prediction_id: str


class Witness:
    """Reads committed predictions all the while, in no group. `seen` counts each prediction's id."""

    def __init__(self, kafka: dict[str, Any]) -> None:
        self.seen: Counter[str] = Counter()
        self._kafka = kafka
        self._next = {TopicPartition(PREDICTIONS.name, partition): 0 for partition in range(DATA_PARTITIONS)}
        self.read_until: dict[TopicPartition, int] = {}

    async def watch(self) -> None:
        """Read until cancelled; go on where it was after a failure."""
        while True:
            consumer = AIOKafkaConsumer(**self._kafka, isolation_level="read_committed", auto_offset_reset="earliest")
            try:
                await consumer.start()
                consumer.assign([*self._next])
                for partition, offset in self._next.items():
                    consumer.seek(partition, offset)
                while True:
                    await self._read(consumer)
            except (KafkaError, OSError):
                await asyncio.sleep(0.5)
            finally:
                await stop_client(consumer)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        decode = msgspec.json.Decoder(_Id).decode
        for partition, records in (await consumer.getmany(timeout_ms=500, max_records=4000)).items():
            for record in records:
                self.seen[decode(record.value).prediction_id] += 1
            self._next[partition] = records[-1].offset + 1
