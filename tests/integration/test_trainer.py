"""The trainer's process on a real broker: tasks from order to model, cancel, crash, two trainers, what cannot be
done."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from devstack.ports import free_port
from models.bundle import load_bundle
from runtime.kafka.reading import read_to_end
from runtime.quarantine import read_quarantine
from schemas.http.shared import TrainingStatus
from schemas.ids import new_id, new_training_id
from schemas.manifests import ModelManifest
from schemas.messages import Alias, encode
from schemas.tasks import Command, FeatureSelectionSpec, LogEntry, Quarantined, TaskState, TrainingSpec
from schemas.topics import MODELS, TASK_LOGS, TASKS, TRAINING_COMMANDS
from storage.objects.files import Storage
from tests.support.brokers import CONTROL_PARTITIONS, Broker
from tests.support.small_split import SmallSplit, write_small_split
from tests.support.storage_away import bring_back, take_away
from tests.support.waiting import eventually, eventually_sync

LONG = {
    "n_estimators": 5000,
    "early_stopping_rounds": 5000,
    "learning_rate": 0.001,
    "validation_fraction": 0.2,
    "num_parallel_tree": 1,
}
"""Parameters of a training that takes several seconds."""


class World:
    """The gateway's side: orders tasks and reads what becomes of them."""

    def __init__(self, kafka: Broker, storage_url: str, folder: Path, sender: AIOKafkaProducer) -> None:
        self.kafka, self.storage_url, self.storage = kafka.kwargs, storage_url, Storage(storage_url).initialise()
        self.workspace = new_id("ws")
        self.trainers: list[subprocess.Popen[bytes]] = []
        self._bootstrap, self._folder, self._sender = kafka.bootstrap, folder, sender
        self._states: dict[str, list[TaskState]] = {}

    def start_trainer(self, **settings: str) -> subprocess.Popen[bytes]:
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self._bootstrap,
            "STORAGE_URL": self.storage_url,
            "TRAINER_HEALTH_PORT": "0",
            "TRAINER_THREADS": "1",
            "TRAINER_SESSION_TIMEOUT_MS": "3000",
            "TRAINER_PROGRESS_INTERVAL_SECONDS": "0.1",
        }
        log = (self._folder / f"trainer-{len(self.trainers)}.log").open("wb")
        with log:
            trainer = subprocess.Popen(
                [sys.executable, "-m", "trainer"], stderr=log, env=os.environ | environment | settings
            )
        self.trainers.append(trainer)
        return trainer

    def stop(self) -> None:
        for trainer in self.trainers:
            trainer.terminate()
        for trainer in self.trainers:
            trainer.wait(30)

    async def write_state(self, task: TaskState) -> None:
        await self._sender.send_and_wait(TASKS.name, encode(task), key=task.task_id.encode())

    async def order(self, command: Any, task_id: str, task: TaskState | None = None) -> None:
        value = encode(Command(command=command, task_id=task_id, issued_at=datetime.now(UTC), task=task))
        await self._sender.send_and_wait(TRAINING_COMMANDS.name, value, key=task_id.encode())

    def task(self, kind: Any, spec: Any, **changes: Any) -> TaskState:
        now = datetime.now(UTC)
        task = TaskState(
            task_id=new_training_id(),
            kind=kind,
            workspace=self.workspace,
            status="PENDING",
            attempt=0,
            epoch=0,
            created_at=now,
            updated_at=now,
            spec=msgspec.to_builtins(spec),
        )
        return msgspec.structs.replace(task, **changes)

    async def begin(self, task: TaskState) -> str:
        """Accept a task as the gateway does (there in one transaction)."""
        await self.write_state(task)
        await self.order("start", task.task_id, task)
        return task.task_id

    async def select(self, small: SmallSplit) -> TaskState:
        task_id = await self.begin(
            self.task("feature_selection", FeatureSelectionSpec(dataset_id=small.dataset.dataset_id))
        )
        return await self.ended(task_id)

    async def train(self, small: SmallSplit, parameters: dict[str, Any] | None = None) -> str:
        spec = TrainingSpec(
            dataset_id=small.dataset.dataset_id, split_id=small.split.split_id, parameters=parameters or {}
        )
        return await self.begin(self.task("training", spec))

    async def follow(self, reader: AIOKafkaConsumer) -> None:
        """Take in every state that is committed, as it comes."""
        async for record in reader:
            self._states.setdefault(record.key.decode(), []).append(msgspec.json.decode(record.value, type=TaskState))

    def history(self, task_id: str) -> list[TaskState]:
        return [*self._states.get(task_id, ())]

    async def reached(self, task_id: str, *statuses: str, iteration: int = 0) -> TaskState:
        def check() -> list[TaskState]:
            newest = self.history(task_id)[-1:]
            return [
                state
                for state in newest
                if state.status in statuses and ((state.progress or {}).get("iteration") or 0) >= iteration
            ]

        return (await eventually(check, timeout_seconds=120, message=f"{task_id} is {statuses}"))[0]

    async def ended(self, task_id: str) -> TaskState:
        return await self.reached(task_id, "COMPLETED", "FAILED", "STOPPED")

    async def models(self) -> tuple[list[ModelManifest], list[Alias]]:
        records = [record async for record in read_to_end(self.kafka, MODELS.name)]
        aliases = [msgspec.json.decode(record.value, type=Alias) for record in records if b"@" in record.key]
        manifests = [ModelManifest.model_validate_json(record.value) for record in records if b"@" not in record.key]
        mine = [manifest for manifest in manifests if manifest.workspace == self.workspace]
        return mine, [alias for alias in aliases if alias.workspace == self.workspace]

    async def logs(self, task_id: str) -> list[LogEntry]:
        records = [record async for record in read_to_end(self.kafka, TASK_LOGS.name)]
        return [
            msgspec.json.decode(record.value, type=LogEntry) for record in records if record.key == task_id.encode()
        ]


@pytest.fixture
async def world(fresh_kafka: Broker, storage_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with AIOKafkaProducer(**fresh_kafka.kwargs, enable_idempotence=True) as sender:
        world = World(fresh_kafka, storage_url, tmp_path, sender)
        async with AIOKafkaConsumer(
            **fresh_kafka.kwargs, isolation_level="read_committed", auto_offset_reset="earliest"
        ) as reader:
            reader.assign([TopicPartition(TASKS.name, partition) for partition in range(CONTROL_PARTITIONS)])
            following = asyncio.create_task(world.follow(reader))
            yield world
            await asyncio.to_thread(world.stop)
            following.cancel()


@pytest.fixture
def small(storage_url: str) -> SmallSplit:
    return write_small_split(Storage(storage_url).initialise())


def job_of(trainer: subprocess.Popen[bytes]) -> psutil.Process:
    return eventually_sync(
        lambda: next(iter(psutil.Process(trainer.pid).children()), None), message="the trainer has a job"
    )


async def test_a_task_goes_from_its_order_to_a_model_that_is_registered_with_its_completion(
    world: World, small: SmallSplit
) -> None:
    port = free_port()
    world.start_trainer(TRAINER_HEALTH_PORT=str(port))
    selected = await world.select(small)
    assert (selected.status, selected.attempt) == ("COMPLETED", 1)
    assert selected.result is not None
    assert selected.result["selected"] == 8
    task_id = await world.train(small)
    ended = await world.ended(task_id)
    shown = TrainingStatus.model_validate(msgspec.structs.asdict(ended))
    assert (shown.status, shown.error) == ("COMPLETED", None)
    assert shown.result is not None
    assert shown.progress is not None
    assert shown.progress.percent == 100
    manifests, aliases = await world.models()
    assert (
        [manifest.model_version for manifest in manifests]
        == [alias.model_version for alias in aliases]
        == [shown.result.model_version]
    )
    assert aliases[0].alias == "latest"
    assert load_bundle(world.storage, shown.result.model_version).manifest == manifests[0]
    history = world.history(task_id)
    assert list(dict.fromkeys(state.status for state in history)) == ["PENDING", "IN_PROGRESS", "COMPLETED"]
    percents = [(state.progress or {}).get("percent", 0) for state in history]
    assert percents == sorted(percents)
    assert [state.updated_at for state in history] == sorted(state.updated_at for state in history)
    assert {entry.source for entry in await world.logs(task_id)} == {"trainer", "trainer.training"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.get("/ready")).status_code == (await http.get("/live")).status_code == 200
        assert 'trainer_jobs_ended_total{kind="training",status="COMPLETED"} 1.0' in (await http.get("/metrics")).text


async def test_tasks_run_one_after_the_other_and_either_can_be_cancelled(world: World, small: SmallSplit) -> None:
    trainer = world.start_trainer()
    await world.select(small)
    running = await world.train(small, LONG)
    shown = await world.reached(running, "IN_PROGRESS", iteration=20)
    assert shown.progress is not None
    assert shown.progress["of"] == 5000
    assert shown.progress["eta_seconds"] > 0
    waiting, last = await world.train(small, LONG), await world.train(small)
    await world.order("cancel", waiting)
    assert (await world.ended(waiting)).status == "STOPPED"
    await world.reached(last, "PENDING")
    assert world.history(running)[-1].status == "IN_PROGRESS"
    job = job_of(trainer)
    await world.order("cancel", running)
    assert (await world.ended(running)).status == "STOPPED"
    assert not job.is_running()
    assert (await world.ended(last)).status == "COMPLETED"
    for task_id in (running, waiting, last):
        await world.order("cancel", task_id)  # of what has ended: changes nothing
    after = await world.train(small)
    assert (await world.ended(after)).status == "COMPLETED"
    assert [world.history(task_id)[-1].status for task_id in (running, waiting, last)] == [
        "STOPPED",
        "STOPPED",
        "COMPLETED",
    ]
    assert len((await world.models())[0]) == 2


async def test_a_killed_trainer_takes_its_job_along_and_the_next_one_completes_it_as_attempt_2(
    world: World, small: SmallSplit
) -> None:
    trainer = world.start_trainer()
    await world.select(small)
    task_id = await world.train(small, LONG | {"n_estimators": 2500})
    await world.reached(task_id, "IN_PROGRESS", iteration=20)
    job = job_of(trainer)
    trainer.kill()
    await eventually(lambda: not job.is_running(), message="the job died with its trainer")
    world.start_trainer()
    ended = await world.ended(task_id)
    assert (ended.status, ended.attempt) == ("COMPLETED", 2)
    assert len((await world.models())[0]) == 1


async def test_a_stopped_trainer_hands_its_task_back(world: World, small: SmallSplit) -> None:
    trainer = world.start_trainer()
    await world.select(small)
    task_id = await world.train(small, LONG | {"n_estimators": 2500})
    await world.reached(task_id, "IN_PROGRESS", iteration=20)
    trainer.terminate()
    assert await asyncio.to_thread(trainer.wait, 30) == 0
    await world.reached(task_id, "PENDING")
    world.start_trainer()
    ended = await world.ended(task_id)
    assert (ended.status, ended.attempt) == ("COMPLETED", 1)


async def test_two_trainers_do_each_task_once(world: World, small: SmallSplit) -> None:
    world.start_trainer()
    world.start_trainer()
    await world.select(small)
    tasks = [await world.train(small) for _ in range(4)]
    for task_id in tasks:
        assert (await world.ended(task_id)).status == "COMPLETED"
        history = world.history(task_id)
        begun = [
            state
            for state, former in zip(history[1:], history, strict=False)
            if former.status == "PENDING" != state.status
        ]
        attempts = {state.attempt for state in history} - {0}
        assert len(begun) == 1
        assert len([state for state in history if state.status == "COMPLETED"]) == 1
        assert attempts <= {1, 2}  # 2 only when the second trainer joined in the middle of it
    manifests, _ = await world.models()
    assert sorted(manifest.task_id for manifest in manifests) == sorted(tasks)


async def test_a_job_that_the_system_kills_ends_failed_in_words_and_the_trainer_goes_on(
    world: World, small: SmallSplit
) -> None:
    trainer = world.start_trainer()
    await world.select(small)
    task_id = await world.train(small, LONG)
    await world.reached(task_id, "IN_PROGRESS", iteration=20)
    job_of(trainer).send_signal(signal.SIGKILL)
    ended = await world.ended(task_id)
    assert ended.status == "FAILED"
    assert ended.error is not None
    assert "ran out of memory" in ended.error
    assert (await world.ended(await world.train(small))).status == "COMPLETED"


async def test_what_cannot_be_done_fails_with_its_reason(world: World, small: SmallSplit) -> None:
    world.start_trainer()
    without_selection = await world.ended(await world.train(small))
    spec = TrainingSpec(dataset_id="ds-1", split_id="split-000000000000")
    without_split = await world.ended(await world.begin(world.task("training", spec)))
    assert [state.status for state in (without_selection, without_split)] == ["FAILED"] * 2
    assert (
        without_selection.error
        == f"The feature selection of the dataset {small.dataset.dataset_id} does not exist in the storage."
    )
    assert without_split.error == "The split split-000000000000 does not exist in the storage."
    assert (await world.models())[0] == []


async def test_an_order_that_no_training_can_have_is_in_quarantine(world: World) -> None:
    world.start_trainer()
    nonsense = await world.begin(world.task("training", {"colour": "red"}))

    async def in_quarantine() -> list[Quarantined]:
        return [one for one in await read_quarantine(world.kafka) if nonsense.encode() in (one.value or b"")]

    [kept] = await eventually(in_quarantine, timeout_seconds=120)
    assert (kept.topic, kept.reader, "dataset_id" in kept.reason) == (TRAINING_COMMANDS.name, "trainer", True)


async def test_a_task_that_was_left_behind_too_often_fails(world: World) -> None:
    spec = TrainingSpec(dataset_id="ds-1", split_id="split-1")
    task = world.task(
        "training",
        spec,
        status="IN_PROGRESS",
        attempt=3,
        progress={"status": "Training XGBoost model...", "percent": 41.5},
    )
    await world.write_state(task)
    world.start_trainer()
    ended = await world.ended(task.task_id)
    assert (ended.status, ended.attempt) == ("FAILED", 3)
    assert ended.error is not None
    assert "3 times" in ended.error


async def test_tasks_of_other_workers_are_left_alone(world: World, small: SmallSplit) -> None:
    task = world.task("pipeline", {}, status="IN_PROGRESS", attempt=1)
    await world.begin(task)
    world.start_trainer()
    await world.select(small)
    assert [state.status for state in world.history(task.task_id)] == ["IN_PROGRESS"]


async def test_a_task_waits_for_a_storage_that_is_away_and_is_done_when_it_is_back(
    world: World, small: SmallSplit, tmp_path: Path
) -> None:
    take_away(world.storage_url)
    task_id = await world.begin(
        world.task("feature_selection", FeatureSelectionSpec(dataset_id=small.dataset.dataset_id))
    )
    trainer = world.start_trainer(TRAINER_STORAGE_ATTEMPTS="1", TRAINER_MAX_ATTEMPTS="2")

    async def waits() -> bool:
        return any("waits for the storage" in entry.message for entry in await world.logs(task_id))

    await eventually(waits, timeout_seconds=60)
    bring_back(world.storage_url)
    ended = await world.ended(task_id)
    assert (ended.status, ended.attempt, ended.error) == ("COMPLETED", 1, None)
    assert trainer.poll() is None
