"""The stack that is disturbed: its processes (several of some), a storage that can be taken away, a dataset, a split
and two models."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.aio import AsyncClient
from client.transport import Retries
from devstack.generate import generate
from schemas.http.v1 import Range, Split, SplitCreate, TrainingCreate
from schemas.messages import TERMINAL
from storage.objects.files import Storage
from tests.support.stack import Process, Stack, running_stack
from tests.support.waiting import eventually

SESSION_SECONDS = 5.0
SETTINGS = {
    "STREAM_PROCESSOR_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
    "PRODUCER_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
    "TRAINER_SESSION_TIMEOUT_MS": str(int(SESSION_SECONDS * 1000)),
    "GATEWAY_PROJECTOR_SESSION_TIMEOUT_MS": "4000",
    "DEVSTACK_BACKOFF_SECONDS": "0.2",
    "DEVSTACK_STABLE_SECONDS": "3",
    "STREAM_PROCESSOR_STALL_TIMEOUT_SECONDS": "30",
}
"""Sessions shorter than by default, so that a minute holds more disturbances."""
FEATURES = 12
TRAINING_SHARE, TESTING_SHARE = 0.15, 0.1
READY_SECONDS = 120.0
MEANT = ("SIGKILL", "SIGTERM", "code 70 ", "code 75 ")
"""How a process that is disturbed may end: killed by us, fenced, or because a part that it needs is away."""
TRAIN_SECONDS = 180.0


@dataclass
class World:
    """What is disturbed, and what the disturbers and the load know of it."""

    stack: Stack
    client: AsyncClient
    """Asks once."""
    patient: AsyncClient
    """Asks again for a minute."""
    folder: Path
    csv: Path
    split: Split
    models: list[str]
    trainings: list[str]
    findings: list[str] = field(default_factory=list)
    """Everything that must not be, in words."""
    done: list[str] = field(default_factory=list)
    """What happened, with the time."""
    exits: Counter[str] = field(default_factory=Counter)

    @property
    def storage(self) -> Storage:
        """The storage, wherever it is just now."""
        return Storage(f"file://{self.folder}/storage")

    @property
    def kafka(self) -> dict[str, Any]:
        return self.stack.kafka

    def processes(self, name: str) -> list[Process]:
        """All processes of a kind, the stack's own first."""
        return [self.stack.process(name), *self.stack.added(name)]

    def everything(self) -> list[Process]:
        """Every process and server."""
        own = [self.stack.process(name) for name in self.stack.supervisor.parts]
        return [*own, *self.stack.added("stream_processor"), *self.stack.added("producer")]

    async def note_exits(self) -> None:
        """Until cancelled: count how processes end. A code that nobody means is a finding: no part may fall over its
        own feet."""
        seen: dict[str, int] = {}
        while True:
            for process in self.everything():
                if process.restarts != seen.get(process.name, 0):
                    seen[process.name] = process.restarts
                    self.exits[f"{process.name.rstrip('_23456')} {process.note}"] += 1
                    if not any(meant in process.note for meant in MEANT):
                        self.findings.append(f"{process.name} {process.note}")
            await asyncio.sleep(0.1)

    async def all_ready(self) -> None:
        """Wait until every process that is meant to run is ready."""
        await asyncio.to_thread(self.stack.wait_until_ready, timeout_seconds=READY_SECONDS)
        for process in (*self.stack.added("stream_processor"), *self.stack.added("producer")):
            await eventually(
                lambda p=process: p.ready or p.stopped,  # type: ignore[misc]
                timeout_seconds=READY_SECONDS,
                message=process.name,
            )


def take_storage_away(folder: Path) -> None:
    """Have the storage's path lead to a file: everything below it is unavailable, not missing."""
    _lead(folder, folder / "in-the-way")


def bring_storage_back(folder: Path) -> None:
    """Have the storage's path lead to the storage."""
    _lead(folder, folder / "storage")


def take_root_away(folder: Path, *, mount_point: bool) -> None:
    """Rename the storage's root; an empty folder may be left where it was, as when a disk is unmounted."""
    (folder / "storage").rename(folder / "storage-away")
    if mount_point:
        (folder / "storage").mkdir()


def bring_root_back(folder: Path) -> list[Path]:
    """Rename it back; return what was written into the empty folder meanwhile."""
    written: list[Path] = []
    if (folder / "storage").exists():
        written = [*(folder / "storage").rglob("*")]
        (folder / "storage").rename(folder / f"storage-wrong-{time.monotonic_ns()}")
    (folder / "storage-away").rename(folder / "storage")
    return written


def _lead(folder: Path, to: Path) -> None:
    (folder / "place.next").symlink_to(to)
    (folder / "place.next").replace(folder / "place")


@asynccontextmanager
async def world(
    folder: Path, *, rows: int, seed: int, workers: int, producers: int, **settings: str
) -> AsyncIterator[World]:
    """A stack with so many workers and producers; a model is trained on a few of the rows, most are there to be
    replayed."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is killed is said by the schedule
    (folder / "storage").mkdir(parents=True)
    (folder / "in-the-way").touch()
    bring_storage_back(folder)
    csv = folder / "rows.csv"
    await asyncio.to_thread(generate, csv, rows=rows, features=FEATURES, failure_rate=0.15, seed=seed)
    with running_stack(folder / "stack", STORAGE_URL=f"file://{folder}/place", **{**SETTINGS, **settings}) as stack:
        for name, number in (("stream_processor", workers), ("producer", producers)):
            for _ in range(number - 1):
                stack.add(name)
        patient = AsyncClient(stack.gateway_url, workspace="default", retries=Retries(attempts=20))
        async with patient, AsyncClient(stack.gateway_url, workspace="default", retries=Retries(attempts=1)) as client:
            found = World(stack, client, patient, folder, csv, *await _prepared(patient, csv))
            await found.all_ready()
            yield found


async def _prepared(client: AsyncClient, csv: Path) -> tuple[Split, list[str], list[str]]:
    dataset = await client.upload(csv)
    first, last = dataset.first_timestamp, dataset.last_timestamp
    borders = [first + (last - first) * share for share in (TRAINING_SHARE, TRAINING_SHARE + TESTING_SHARE)]
    step = (last - first) / (2 * dataset.row_count)
    split = await client.split(
        SplitCreate(
            dataset_id=dataset.dataset_id,
            train=Range(start=first.isoformat(), end=borders[0].isoformat()),
            test=Range(start=(borders[0] + step).isoformat(), end=borders[1].isoformat()),
            simulation=Range(start=(borders[1] + step).isoformat(), end=last.isoformat()),
        )
    )
    models, trainings = [], []
    for seed in (1, 2):
        training = await client.train(
            TrainingCreate(split_id=split.split_id, seed=seed, objective="mcc" if seed == 1 else "f1")
        )
        await client.wait_for(training.task_id, timeout_seconds=TRAIN_SECONDS)
        ended = await client.training(training.task_id)
        assert ended.status in TERMINAL
        assert ended.result is not None
        models.append(ended.result.model_version)
        trainings.append(training.task_id)
    await client.set_champion(models[0], force=True)
    return split, models, trainings
