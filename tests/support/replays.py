"""What tests of the producer share: a small split and model in a storage, producer processes, orders as the gateway
gives them, and what counts of the rows on the topic."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from devstack.ports import free_port
from runtime.kafka.reading import partition_for, read_to_end
from schemas.ids import new_run_id, row_key, stats_key
from schemas.manifests import ConfusionMatrix, DateRange, Metrics, ModelManifest, SetManifest, SplitManifest
from schemas.messages import TERMINAL, LaneStats, PackedRows, encode
from schemas.tasks import Command, RunPosition, RunSpec, TaskState
from schemas.topics import (
    CONTENT_TYPE_HEADER,
    PACKED,
    ROWS,
    RUN_COMMANDS,
    RUN_POSITIONS,
    STATS_CHANGELOG,
    TASKS,
    TYPE_HEADER,
)
from storage.objects.files import Storage
from tests.support.brokers import CONTROL_PARTITIONS, DATA_PARTITIONS, Broker
from tests.support.waiting import eventually

SESSION_SECONDS = 4.0
START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL, SPLIT, DATASET = "model-00000000000a", "split-00000000000a", "ds-00000000000a"


def write_split_and_model(storage: Storage, frame: pl.DataFrame, features: list[str], *, split_id: str = SPLIT) -> None:
    """Store a split whose simulation set is `frame` and a model version of these features; the model itself is not
    needed here."""
    write_split(storage, frame, split_id=split_id)
    storage.write_bytes(f"models/{MODEL}/manifest.json", model_manifest(features).model_dump_json().encode())


def write_split(storage: Storage, frame: pl.DataFrame, *, split_id: str = SPLIT) -> None:
    """Store a split whose simulation set is `frame`."""
    with storage.scratch() as folder:
        frame.write_parquet(folder / "simulation.parquet")
        storage.put_file(folder / "simulation.parquet", f"splits/{split_id}/simulation.parquet")
    sets = {
        name: SetManifest(
            path=f"splits/{split_id}/{name}.parquet",
            range=DateRange(start=START, end=START + timedelta(days=1)),
            rows=frame.height,
            failures=0,
        )
        for name in ("train", "test", "simulation")
    }
    split = SplitManifest(
        split_id=split_id,
        dataset_id=DATASET,
        workspace="w",
        created_at=START,
        sample_fraction=1.0,
        seed=0,
        daily_distribution={},
        **sets,
    )
    storage.write_bytes(f"splits/{split_id}/manifest.json", split.model_dump_json().encode())


def model_manifest(features: list[str]) -> ModelManifest:
    """The manifest of a model that was never trained."""
    nothing = ConfusionMatrix(true_positives=0, false_positives=0, true_negatives=0, false_negatives=0)
    figures = dict.fromkeys(("accuracy", "precision", "recall", "f1_score", "mcc", "roc_auc", "pr_auc"))
    metrics = Metrics(**figures, threshold=0.5, rows=0, confusion_matrix=nothing)
    return ModelManifest(
        model_version=MODEL,
        workspace="w",
        task_id="t",
        dataset_id=DATASET,
        dataset_sha256="",
        split_id=SPLIT,
        created_at=START,
        features=features,
        ignored_features=[],
        label="Response",
        pass_value="0",
        threshold=0.5,
        threshold_objective="mcc",
        best_iteration=0,
        parameters={},
        seed=0,
        validation_metrics=metrics,
        test_metrics=metrics,
        feature_gains={},
        reference={},
        library_versions={},
        warnings=[],
        files={},
    )


def frame_of(rows: int, features: int = 5) -> pl.DataFrame:
    """Rows with values that tell them apart, some of them missing or NaN."""
    columns = {
        f"F {number}": [
            None if (row + number) % 7 == 0 else float("nan") if (row + number) % 11 == 0 else row + number / 8
            for row in range(rows)
        ]
        for number in range(features)
    }
    return pl.DataFrame(
        {
            "__index__": pl.Series(range(rows), dtype=pl.UInt32),
            "__id__": [str(1000 + row) for row in range(rows)],
            "__time__": pl.Series(
                [START + timedelta(seconds=row) for row in range(rows)], dtype=pl.Datetime("us", "UTC")
            ),
            "__label__": ["FAIL" if row % 10 == 0 else "PASS" for row in range(rows)],
            **{name: pl.Series(values, dtype=pl.Float64) for name, values in columns.items()},
        }
    )


class ProducerProcess:
    """`python -m producer` as an operating system process. Nobody scores what it sends, so it does not wait for
    that."""

    def __init__(self, broker: Broker, storage_url: str, log: Path, **environment: str) -> None:
        self.health_port = free_port()
        self._log = log
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "STORAGE_URL": storage_url,
            "PRODUCER_HEALTH_PORT": str(self.health_port),
            "PRODUCER_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
            "PRODUCER_ENCODING": "json",
            "PRODUCER_MAX_LAG_ROWS": "0",
            **environment,
        }
        with log.open("ab") as output:
            self._process = subprocess.Popen([sys.executable, "-m", "producer"], env=self._environment, stderr=output)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def end(self) -> None:
        """kill -9, whatever state it is in."""
        self._process.kill()
        self._process.wait()

    async def ready(self) -> bool:
        """Whether `/ready` answers 200."""
        return (await self.get("/ready")).startswith(b"HTTP/1.1 200")

    async def get(self, path: str) -> bytes:
        """The whole answer, empty when there is none."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.health_port)
        except OSError:
            return b""
        writer.write(b"GET %s HTTP/1.1\r\n\r\n" % path.encode())
        answer = await reader.read()
        writer.close()
        return answer

    def log(self) -> str:
        return self._log.read_text()


class Replays:
    """A broker with the producer's topics, a storage, and the gateway's part in it."""

    def __init__(
        self, broker: Broker, storage_url: str, folder: Path, sender: AIOKafkaProducer, consumer: AIOKafkaConsumer
    ) -> None:
        self.broker, self.kafka, self.storage_url, self.folder = broker, broker.kwargs, storage_url, folder
        self._sender, self._consumer = sender, consumer
        self.producers: list[ProducerProcess] = []
        self._begins: dict[str, dict[int, int]] = {}

    async def producer(self, **environment: str) -> ProducerProcess:
        """Start a producer and wait until it is ready."""
        process = ProducerProcess(
            self.broker, self.storage_url, self.folder / f"producer-{len(self.producers)}.log", **environment
        )
        self.producers.append(process)
        await eventually(process.ready, message="the producer is ready")
        return process

    async def start(self, total_rows: int | None, *, partition: int | None = None, **spec: Any) -> str:
        """Order a run; with `partition`, one whose commands go there."""
        run_id = new_run_id()
        while partition is not None and partition_for(run_id.encode(), CONTROL_PARTITIONS) != partition:
            run_id = new_run_id()
        fields = RunSpec(
            **{
                "dataset_id": DATASET,
                "split_id": SPLIT,
                "model_version": MODEL,
                "total_rows": total_rows,
                "warmup_seconds": 0,
                **spec,
            }
        )
        now = datetime.now(UTC)
        task = TaskState(
            task_id=run_id,
            kind="run",
            workspace="w",
            status="PENDING",
            attempt=0,
            epoch=0,
            created_at=now,
            updated_at=now,
            spec=msgspec.to_builtins(fields),
        )
        self._begins[run_id] = await self._ends(run_id, fields.lanes)
        await self._sender.send_and_wait(TASKS.name, encode(task), key=run_id.encode())
        await self._command(Command(command="start", task_id=run_id, issued_at=now, task=task))
        return run_id

    async def order(self, run_id: str, command: Any, **arguments: Any) -> None:
        """Give an order to a run."""
        await self._command(Command(command=command, task_id=run_id, issued_at=datetime.now(UTC), arguments=arguments))

    async def _command(self, command: Command) -> None:
        await self._sender.send_and_wait(RUN_COMMANDS.name, encode(command), key=command.task_id.encode())

    async def statistics(self, run_id: str, *, attempt: int = 1, **said: Any) -> None:
        """Write the statistics of a run's only lane, as the stream processor would have."""
        home = partition_for(row_key(run_id, 0, 1), DATA_PARTITIONS)
        stats = LaneStats(run_id=run_id, attempt=attempt, lane=0, lanes=1, partition=home, offset=1, epoch=1, **said)
        key = stats_key(run_id, attempt, 0)
        await self._sender.send_and_wait(STATS_CHANGELOG.name, encode(stats), key=key, partition=home)

    async def write(self, topic: str, key: str, value: bytes | None, **headers: bytes) -> int:
        """Write a record as some earlier producer or another system would have; returns its offset."""
        written = await self._sender.send_and_wait(topic, value, key=key.encode(), headers=[*headers.items()] or None)
        return int(written.offset)

    async def remove_before(self, partition: int, offset: int) -> None:
        """Let retention take the rows of a partition before an offset."""
        admin = AIOKafkaAdminClient(**self.kafka)
        await admin.start()
        try:
            await admin.delete_records({TopicPartition(ROWS.name, partition): RecordsToDelete(offset)})
        finally:
            await admin.close()

    def spooling(self) -> bool:
        """Whether the rows of a replay are being read."""
        return any(Path(self.storage_url.removeprefix("file://"), ".scratch").glob("*/*.parquet"))

    async def task(self, run_id: str) -> TaskState:
        """The newest state of the run's task."""
        partition = partition_for(run_id.encode(), CONTROL_PARTITIONS)
        values = [
            record.value
            async for record in read_to_end(self.kafka, TASKS.name, [partition])
            if record.key == run_id.encode()
        ]
        return msgspec.json.decode(values[-1], type=TaskState)

    async def position(self, run_id: str) -> RunPosition | None:
        """The newest position of the run; None once it is deleted."""
        return next(iter(reversed(await self.positions(run_id))), None)

    async def positions(self, run_id: str) -> list[RunPosition | None]:
        """All positions of the run that compaction has left; None where it was deleted."""
        partition = partition_for(run_id.encode(), CONTROL_PARTITIONS)
        records = read_to_end(self.kafka, RUN_POSITIONS.name, [partition])
        values = [record.value async for record in records if record.key == run_id.encode()]
        return [msgspec.json.decode(value, type=RunPosition) if value else None for value in values]

    async def status(self, run_id: str, *statuses: str, timeout_seconds: float = 60) -> TaskState:
        """Wait for the task to have one of these states."""

        async def reached() -> TaskState | None:
            task = await self.task(run_id)
            return task if task.status in statuses else None

        found = await eventually(reached, timeout_seconds=timeout_seconds, message=f"{run_id} is {statuses}")
        assert found is not None
        return found

    async def ended(self, run_id: str, timeout_seconds: float = 60) -> TaskState:
        """Wait for the end of the run."""
        return await self.status(run_id, *TERMINAL, timeout_seconds=timeout_seconds)

    async def records(self, run_id: str) -> list[ConsumerRecord]:
        """Everything that was sent for the run, in the order of each partition."""
        begins = self._begins[run_id]
        reading = read_to_end(self.kafka, ROWS.name, [*begins], from_offsets=begins)
        return [record async for record in reading if record.key.split(b"#")[0] == run_id.encode()]

    async def sent(self, run_id: str, rows: int) -> bool:
        """Whether so many rows of the run are on the topic. Cheap, for a run that has its partitions to itself."""
        begins = self._begins[run_id]
        ends = await self._consumer.end_offsets([TopicPartition(ROWS.name, partition) for partition in begins])
        return bool(sum(ends.values()) - sum(begins.values()) >= rows)

    async def _ends(self, run_id: str, lanes: int) -> dict[int, int]:
        partitions = {partition_for(row_key(run_id, lane, lanes), DATA_PARTITIONS) for lane in range(lanes)}
        ends = await self._consumer.end_offsets([TopicPartition(ROWS.name, partition) for partition in partitions])
        return {tp.partition: offset for tp, offset in ends.items()}


class Counted:
    """What a stream processor takes of a lane's records: the guards of docs/design/architecture.md, written down a
    second time."""

    def __init__(self, lane: int, lanes: int) -> None:
        self.next, self.lanes, self.epoch = lane, lanes, 0
        self.rows: list[int] = []
        self.skipped: list[int] = []
        self.ending: str | None = None
        self.stale = self.again = self.ahead = 0

    def take(self, message_type: str, message: dict[str, Any]) -> None:
        if message["epoch"] < self.epoch:
            self.stale += 1
            return
        if message["epoch"] > self.epoch:
            self.epoch, self.ending = message["epoch"], None
        if message_type == "run-end":
            self.ending = message["ending"] if message["end_index"] <= self.next else self.ending
        elif message_type == "run-skip":
            if message["from_index"] <= self.next:
                self.skipped += range(self.next, message["to_index"], self.lanes)
                self.next = max(self.next, message["to_index"])
        elif message["row_index"] != self.next:
            self.again, self.ahead = (
                self.again + (message["row_index"] < self.next),
                self.ahead + (message["row_index"] > self.next),
            )
        elif self.ending is None:
            self.rows.append(self.next)
            self.next += self.lanes


def counted(records: list[ConsumerRecord], attempt: int = 1) -> dict[int, Counted]:
    """The lanes of an attempt as a stream processor counts them."""
    lanes: dict[int, Counted] = {}
    for record in records:
        for message in _messages(record):
            if message.get("attempt", 1) == attempt:
                lane, count = message.get("lane", 0), message.get("lanes", 1)
                lanes.setdefault(lane, Counted(lane, count)).take(dict(record.headers)[TYPE_HEADER].decode(), message)
    return dict(sorted(lanes.items()))


def _messages(record: ConsumerRecord) -> list[dict[str, Any]]:
    """What a record says, row by row."""
    if dict(record.headers)[CONTENT_TYPE_HEADER] != PACKED:
        return [msgspec.json.decode(record.value)]
    rows = msgspec.msgpack.decode(record.value, type=PackedRows)
    whose = {name: getattr(rows, name) for name in ("run_id", "attempt", "epoch", "lane", "lanes")}
    return [
        whose | {"row_index": rows.row_index + j * (rows.lanes or 1)}
        for j in range(rows.count)
        if rows.row_index is not None
    ]


@asynccontextmanager
async def replays(broker: Broker, folder: Path, frame: pl.DataFrame) -> AsyncIterator[Replays]:
    """A world for the producers of one module; ends them."""
    storage_url = f"file://{folder}/storage-{secrets.token_hex(4)}"
    write_split_and_model(
        Storage(storage_url).initialise(), frame, [name for name in frame.columns if not name.startswith("__")]
    )
    async with (
        AIOKafkaProducer(**broker.kwargs, enable_idempotence=True) as sender,
        AIOKafkaConsumer(**broker.kwargs) as consumer,
    ):
        world = Replays(broker, storage_url, folder, sender, consumer)
        try:
            yield world
        finally:
            for process in world.producers:
                process.end()
