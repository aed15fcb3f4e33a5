"""What the benchmarks share: a broker of their own, a model, rows, and the machine's description."""

import asyncio
import os
import platform
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import xgboost
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from devstack.kafka import EmbeddedKafka
from devstack.topics import create_topics
from models.bundle import MODEL, Bundle, score, write_bundle
from models.kinds.base import Matrix
from models.kinds.xgboost import BoostedTrees
from producer.sending.encoding import Columns, Turn, row_encoder, row_packer
from producer.sending.positions import Positions
from producer.sending.sender import Lanes, Sender
from runtime.kafka.reading import partition_for
from schemas.manifests import ConfusionMatrix, Metrics, ModelManifest
from schemas.messages import encode
from schemas.tasks import RunPosition
from schemas.topics import RUN_POSITIONS
from storage.objects.files import Storage

MODEL_VERSION = "model-0000000bec4a"
THRESHOLD = 0.3
EPOCH = 5
BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}
"""Rivals stamp their answers as they like; the broker's time is the same for all."""
UNDEFINED = ("accuracy", "precision", "recall", "f1_score", "mcc", "roc_auc", "pr_auc")
PACKAGES = ("faust-streaming", "aiokafka", "msgspec", "xgboost-cpu", "numpy", "polars", "redis", "fastapi", "uvicorn")


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{cpu}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load at the start": f"{os.getloadavg()[0]:.1f}",
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: int
    features: int = 100
    trees: int = 200
    depth: int = 5
    runs: int = 8
    partitions: int = 4


class Workload:
    """A model version and rows of several runs, made from the size alone."""

    def __init__(self, size: Size) -> None:
        self.size = size
        random = np.random.default_rng(7)
        values = np.round(random.normal(size=(size.rows, size.features)), 4)
        values[random.random(values.shape) < 0.05] = np.nan
        self.values = values
        self.features = [f"L{i // 36}_S{i // 6}_F{i}" for i in range(size.features)]
        self.runs = _run_ids(size.runs, size.partitions)
        self.labels = np.where(random.random(size.rows) < 0.1, "FAIL", "PASS").tolist()

    @cached_property
    def trees(self) -> BoostedTrees:
        """The model: its trees are full, so that it costs what its size says."""
        booster = _booster(self.size.features, self.size.trees, self.size.depth)
        return BoostedTrees(booster, self.manifest.best_iteration)

    @cached_property
    def bundle(self) -> Bundle:
        """It as a model version."""
        return Bundle(self.manifest, self.trees)

    @cached_property
    def manifest(self) -> ModelManifest:
        """What scoring needs."""
        matrix = ConfusionMatrix(true_positives=0, false_positives=0, true_negatives=0, false_negatives=0)
        undefined: dict[str, Any] = dict.fromkeys(UNDEFINED)
        nothing = Metrics(threshold=THRESHOLD, rows=0, confusion_matrix=matrix, **undefined)
        return ModelManifest(
            model_version=MODEL_VERSION,
            workspace="default",
            task_id="task",
            dataset_id="ds-000000000000",
            dataset_sha256="0" * 64,
            split_id="split-000000000000",
            created_at=datetime.now(UTC),
            features=self.features,
            ignored_features=[],
            label="Response",
            pass_value="0",
            threshold=THRESHOLD,
            threshold_objective="fixed",
            best_iteration=self.size.trees - 1,
            parameters={},
            seed=0,
            validation_metrics=nothing,
            test_metrics=nothing,
            feature_gains={},
            reference={},
            library_versions={},
            files={},
        )

    def store(self, storage: Storage) -> None:
        """Write the model version."""
        write_bundle(storage, self.manifest, {MODEL: bytes(self.trees.booster.save_raw("ubj"))})

    @cached_property
    def matrix(self) -> Matrix:
        """The rows as the model takes them."""
        return self.values.astype(np.float32)

    @cached_property
    def expected(self) -> dict[str, float]:
        """P(FAIL) of every row by its prediction id."""
        probabilities = score(self.bundle, self.matrix).tolist()
        runs, per_run = self.runs, self.rows_per_run
        return {f"{runs[i // per_run]}:1:{i % per_run}": probability for i, probability in enumerate(probabilities)}

    @property
    def rows_per_run(self) -> int:
        """All runs are of equal length."""
        return self.size.rows // self.size.runs

    def identity(self, run: int) -> Turn:
        """What the records of a run carry."""
        return Turn(self.runs[run], 1, EPOCH, 1, MODEL_VERSION)

    def json(self, run: int, start: int, stop: int) -> Iterator[tuple[int, int, bytes]]:
        """Rows of a run as `Lanes.send` takes them."""
        encode_row = row_encoder(self.identity(run), self.features)
        first = run * self.rows_per_run
        for i in range(start, stop):
            at = first + i
            yield 0, i + 1, encode_row(i, [*self.values[at].tolist(), str(at), at * 1_000_000, self.labels[at]])

    def packed(self, run: int, start: int, stop: int, per_record: int) -> Iterator[tuple[int, int, bytes]]:
        """The same, packed."""
        pack, first = row_packer(self.identity(run)), run * self.rows_per_run
        for i in range(start, stop, per_record):
            upto = min(stop, i + per_record)
            at = range(first + i, first + upto)
            yield (
                0,
                upto,
                pack(
                    i,
                    Columns(
                        self.matrix[at.start : at.stop],
                        [*map(str, at)],
                        [j * 1_000_000 for j in at],
                        self.labels[at.start : at.stop],
                    ),
                ),
            )


@lru_cache(2)
def _booster(features: int, trees: int, depth: int) -> xgboost.Booster:
    random = np.random.default_rng(3)
    rows = random.normal(size=(5_000, features)).astype(np.float32)
    labels = (rows[:, :8].sum(axis=1) + random.normal(size=len(rows)) * 2 > 2).astype(int)
    parameters = {"max_depth": depth, "objective": "binary:logistic", "nthread": 1, "tree_method": "hist"}
    return xgboost.train(parameters, xgboost.DMatrix(rows, labels), trees)


def _run_ids(runs: int, partitions: int) -> list[str]:
    """As many runs in every partition, the same ones each time."""
    found: dict[int, list[str]] = {partition: [] for partition in range(partitions)}
    random = np.random.default_rng(11)
    while sum(map(len, found.values())) < runs:
        name = f"sim-task-{uuid.UUID(bytes=random.bytes(16), version=4)}"
        mine = found[partition_for(name.encode(), partitions)]
        if len(mine) < -(-runs // partitions):
            mine.append(name)
    return sorted(name for names in found.values() for name in names)[:runs]


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """A broker of its own; yields the keyword arguments of its clients."""
    kafka = EmbeddedKafka(folder / "kafka")
    await asyncio.to_thread(kafka.start)
    try:
        yield {"bootstrap_servers": kafka.bootstrap}
    finally:
        await asyncio.to_thread(kafka.stop)


async def renew_topics(
    kafka: dict[str, Any], partitions: int, names: Sequence[str], *, by_broker_time: Sequence[str] = ()
) -> None:
    """Delete these topics and create all of ours again that are missing; of some the broker stamps the records."""
    admin = AIOKafkaAdminClient(**kafka)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        if gone := [name for name in names if name in existing]:
            await admin.delete_topics(gone)
            while set(gone) & set(await admin.list_topics()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        if by_broker_time:
            await admin.create_topics(
                [NewTopic(name, partitions, 1, topic_configs=BROKER_TIME) for name in by_broker_time]
            )
    finally:
        await admin.close()
    await create_topics(kafka, data_partitions=partitions, control_partitions=4)


async def claim(kafka: dict[str, Any], runs: Sequence[str]) -> None:
    """Have the runs known, as their producer does before their first rows."""
    async with AIOKafkaProducer(**kafka) as producer:
        for run_id in runs:
            position = RunPosition(
                kind="position",
                run_id=run_id,
                attempt=1,
                epoch=EPOCH,
                owner="benchmark",
                acknowledged=[0],
                rows_per_second=None,
                paused=False,
                written_at=datetime.now(UTC),
            )
            while (
                await producer.send_and_wait(RUN_POSITIONS.name, encode(position), key=run_id.encode())
            ).offset < EPOCH:
                pass  # an epoch is the offset of an earlier record


async def load(kafka: dict[str, Any], work: Workload, *, per_record: int | None, chunk: int = 512) -> float:
    """Put all rows on `rows.v1` through our producer's own code, run by run in turns, JSON or packed. Returns the
    seconds it took."""
    await claim(kafka, work.runs)
    sender = Sender(kafka)
    await sender.start()
    started = asyncio.get_running_loop().time()
    lanes = [Lanes(sender, work.identity(run), Positions.from_row(0, 1)) for run in range(work.size.runs)]
    for start in range(0, work.rows_per_run, chunk):
        stop = min(start + chunk, work.rows_per_run)
        for run, lane in enumerate(lanes):
            rows = work.json(run, start, stop) if per_record is None else work.packed(run, start, stop, per_record)
            await lane.send("row", rows, packed=per_record is not None)
    for lane in lanes:
        await lane.all_confirmed()
    seconds = asyncio.get_running_loop().time() - started
    await sender.close()
    return seconds
