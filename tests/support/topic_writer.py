"""Writes to our topics as their owners do: predictions with the statistics that count them in one Kafka transaction."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from runtime.kafka.reading import partition_for
from schemas.ids import row_key, stats_key
from schemas.messages import Ending, Prediction, encode
from schemas.tasks import RunPosition, TaskState
from schemas.topics import PREDICTIONS, RUN_POSITIONS, STATS_CHANGELOG, TASKS, Topic
from tests.support.brokers import DATA_PARTITIONS
from tests.support.view_records import lane_stats


class Writer:
    """Stands for stream processor and workers."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._answered: dict[tuple[str, int, int], list[Prediction]] = {}

    async def write(self, topic: Topic, key: str, value: bytes | None) -> None:
        """One record in a transaction of its own; the state of a run behind the position that makes its attempt and
        epoch known."""
        if topic is TASKS and value is not None:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                await self._know(msgspec.json.decode(value, type=TaskState))
        async with self._producer.transaction():
            await self._producer.send(topic.name, value, key=key.encode())

    async def _know(self, task: TaskState) -> None:
        offset = -1
        while task.kind == "run" and offset < max(task.attempt - 1, task.epoch, 0 if task.attempt else -1):
            position = RunPosition(
                kind="position",
                run_id=task.task_id,
                attempt=max(task.attempt, 1),
                epoch=task.epoch,
                owner="test",
                acknowledged=[0],
                rows_per_second=None,
                paused=False,
                written_at=task.updated_at,
            )
            async with self._producer.transaction():
                written = await self._producer.send_and_wait(
                    RUN_POSITIONS.name, encode(position), key=task.task_id.encode()
                )
            offset = written.offset

    async def answer(
        self,
        run_id: str,
        rows: Sequence[Prediction],
        *,
        lane: int = 0,
        lanes: int = 1,
        finished: Ending | None = None,
        dead_letters: int = 0,
        last_row_index: int | None = None,
        abort: bool = False,
        partition: int | None = None,
    ) -> None:
        """Predictions of one lane and its statistics, all or nothing. `finished` closes the lane; `partition`: of
        another system."""
        attempt = rows[0].attempt if rows else 1
        key = row_key(run_id, lane, lanes)
        partition = partition_for(key, DATA_PARTITIONS) if partition is None else partition
        known = self._answered.setdefault((run_id, attempt, lane), [])
        stats = lane_stats(
            run_id,
            [*known, *rows],
            lane=lane,
            lanes=lanes,
            attempt=attempt,
            partition=partition,
            finished=finished,
            dead_letters=dead_letters,
            last_row_index=last_row_index,
        )
        await self._producer.begin_transaction()
        for row in rows:
            await self._producer.send(PREDICTIONS.name, encode(row), key=key, partition=partition)
        await self._producer.send(
            STATS_CHANGELOG.name, encode(stats), key=stats_key(run_id, attempt, lane), partition=partition
        )
        await self._producer.flush()
        if abort:
            await self._producer.abort_transaction()
            return
        await self._producer.commit_transaction()
        known += rows


@asynccontextmanager
async def writer(kafka: dict[str, Any]) -> AsyncIterator[Writer]:
    """A writer with a transactional id of its own."""
    async with AIOKafkaProducer(**kafka, transactional_id=f"test-{secrets.token_hex(4)}", linger_ms=0) as producer:
        yield Writer(producer)
