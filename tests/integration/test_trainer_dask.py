"""Training on a real Dask cluster of two workers: the same model, and a cluster that is free again whatever becomes of
a training."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from distributed import Client

from devstack.ports import free_port
from schemas.tasks import TrainingSpec
from storage.objects.files import Storage
from tests.integration.test_training_job import Job, make_task
from tests.support.small_split import write_small_split
from tests.support.waiting import eventually_sync
from trainer.child import wire

LONG = {
    "n_estimators": 5000,
    "early_stopping_rounds": 5000,
    "learning_rate": 0.001,
    "validation_fraction": 0.2,
    "num_parallel_tree": 1,
}


class Cluster:
    """A scheduler and its workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._parts = folder, list[subprocess.Popen[bytes]]()
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self._start("dask_scheduler", "--host", "127.0.0.1", "--port", self.address.rsplit(":", 1)[1])
        self.workers = [self.add_worker() for _ in range(2)]

    def add_worker(self) -> "subprocess.Popen[bytes]":
        return self._start("dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")

    def stop(self) -> None:
        for part in self._parts:
            part.kill()
        for part in self._parts:
            part.wait(30)

    def _start(self, command: str, *arguments: str) -> "subprocess.Popen[bytes]":
        log = (self._folder / f"{command}-{len(self._parts)}.log").open("wb")
        with log:
            part = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{command}", *arguments, "--no-dashboard"],
                stdout=log,
                stderr=log,
                cwd=Path.cwd(),
            )
        self._parts.append(part)
        return part


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        with Client(cluster.address, timeout=60, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(2, timeout=60)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def job(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Job:
    storage = Storage(f"file://{tmp_path_factory.mktemp('storage')}").initialise()
    job = Job(storage, write_small_split(storage, rows=10_000))
    job.select()
    return job


def on(cluster: Cluster, attempts: int = 3) -> wire.BackendSettings:
    return wire.BackendSettings(
        name="dask", dask_scheduler=cluster.address, dask_timeout_seconds=20, dask_attempts=attempts
    )


def child(job: Job, cluster: Cluster, attempts: int = 3) -> "subprocess.Popen[bytes]":
    """A training of many rounds in the process that a trainer would start for it, when it has begun to boost."""
    ids = {"dataset_id": job.small.dataset.dataset_id, "split_id": job.small.split.split_id}
    task = make_task("training", msgspec.convert(ids | {"parameters": LONG}, TrainingSpec))
    order = wire.Job(
        task, job.storage.url, 1, 1, wire.SelectionSettings(100, 0.05, 20_000, 0.6, 0), on(cluster, attempts)
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.child.process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(wire.encode(order) + b"\n")
    process.stdin.flush()
    for line in process.stdout:
        report = wire.decode_report(line)
        assert not isinstance(report, wire.Outcome), report
        if isinstance(report, wire.Progress) and (report.iteration or 0) >= 10:
            return process
    raise AssertionError("the job ended")


def test_a_cluster_gives_the_model_of_one_machine_and_tells_its_rounds(job: Job, cluster: Cluster) -> None:
    job.backend = wire.BackendSettings(name="memory")
    by_the_tail = {
        "n_estimators": 40,
        "validation_fraction": 0.2,
    }  # said, so that few rows in memory are not judged in folds
    alone = job.train(parameters=by_the_tail).result["metrics"]
    job.backend = on(cluster)
    job.progress.clear()
    together = job.train(parameters=by_the_tail)
    for name in ("mcc", "roc_auc", "pr_auc"):
        assert together.result["metrics"][name] == pytest.approx(alone[name], abs=0.06)
    rounds = [report.iteration for report in job.progress if report.iteration]
    assert rounds == list(range(1, len(together.result["training_chart"]["train_loss"]) + 1))
    percents = [report.percent for report in job.progress]
    assert percents == sorted(percents)


def test_a_killed_training_leaves_the_cluster_to_the_next_one(job: Job, cluster: Cluster) -> None:
    killed = child(job, cluster)
    killed.kill()
    killed.wait()
    job.backend = on(cluster)
    assert job.train().model_version  # while the killed one was not a tenth through
    workers = [psutil.Process(worker.pid) for worker in cluster.workers]

    def idle() -> bool:
        return all(worker.cpu_percent(0.3) < 50 for worker in workers)

    eventually_sync(idle, timeout_seconds=30, message="no worker goes on with the killed training")


def test_a_training_that_loses_a_worker_is_tried_again_and_in_the_end_tells_why_it_failed(
    job: Job, cluster: Cluster
) -> None:
    losing = child(job, cluster, attempts=1)
    cluster.workers[0].kill()
    assert losing.stdout is not None
    outcome = [wire.decode_report(line) for line in losing.stdout][-1]
    assert isinstance(outcome, wire.Failed)
    assert "Dask worker" in outcome.reason
    assert "Tried 1 times" in outcome.reason
    losing.kill()
    losing.wait()
    job.backend = on(cluster)
    assert job.train().model_version  # on the worker that is left
