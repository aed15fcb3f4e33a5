"""What runs on the machines of a Dask cluster, which need this package and the storage: a part of a training on each
chosen worker.

Functions only: Dask sends their names, not their code.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from distributed import get_worker
from distributed.comm.addressing import get_address_host
from xgboost import QuantileDMatrix, collective
from xgboost.callback import TrainingCallback
from xgboost.tracker import RabitTracker

from rows.inputs import ModelInput, ModelInputs
from schemas.training import TrainingParameters
from trainer.fit.data import Numbers, SetReader, labels
from trainer.fit.training import OnRound, RoundHistory, boost, column_types
from trainer.patience import PatientStorage

CLAIM = "intelliinspect_training"


class ClusterPart(NamedTuple):
    """A worker's share of the rows, and all it must know about the training. `topic` is where the rounds are told."""

    storage_url: str
    storage_attempts: int
    path: str
    inputs: tuple[ModelInput, ...]
    fitting: Numbers
    held_out: Numbers
    parameters: dict[str, Any]
    seed: int
    topic: str


class Trained(NamedTuple):
    """The model, the same on every worker."""

    model: bytes
    best_iteration: int
    history: RoundHistory


def claim(client_id: str, dask_scheduler: Any) -> bool:
    """On the scheduler: take the cluster for a training, unless another client that is still there has it.

    Two trainings at once could each wait for a worker that the other has. A lock of Dask's would outlive a client that
    was killed."""
    holder = getattr(dask_scheduler, CLAIM, None)
    if holder not in (None, client_id) and holder in dask_scheduler.clients:
        return False
    setattr(dask_scheduler, CLAIM, client_id)
    return True


def start_tracker(workers: int, timeout_seconds: int, dask_scheduler: Any) -> dict[str, Any]:
    """On the scheduler, which every worker can reach: where the workers find each other."""
    host = get_address_host(dask_scheduler.address)
    tracker = RabitTracker(workers, host, sortby="task", timeout=timeout_seconds)
    tracker.start()
    dask_scheduler.loop.run_in_executor(None, _outlive, tracker)
    return tracker.worker_args()


def train_part(part: ClusterPart, tracker: dict[str, Any], rank: int) -> Trained | None:
    """On a worker: read its rows, boost together with the others; the first one returns the model."""
    worker = get_worker()
    storage = PatientStorage(part.storage_url, part.storage_attempts)
    rows = SetReader(storage, part.path, ModelInputs(part.inputs))
    parameters, threads = TrainingParameters(**part.parameters), worker.state.nthreads
    fitting, held_out = rows.read(part.fitting), rows.read(part.held_out)
    with collective.CommunicatorContext(**tracker, dmlc_task_id=f"{rank:06}"):
        kwargs: dict[str, Any] = {"nthread": threads, "max_bin": parameters.max_bin, **column_types(rows.inputs.types)}
        data = QuantileDMatrix(fitting, labels(rows.fails, part.fitting), **kwargs)
        validation = None
        if len(part.held_out):
            validation = QuantileDMatrix(held_out, labels(rows.fails, part.held_out), ref=data, **kwargs)
        tell: OnRound = _teller(worker, part.topic) if rank == 0 else lambda *_: None
        watch = _StillWanted(worker, worker.get_current_task())
        fitted = boost(data, validation, parameters, seed=part.seed, threads=threads, on_round=tell, watch=watch)
    return Trained(bytes(fitted.booster.save_raw("ubj")), fitted.best_iteration, fitted.history) if rank == 0 else None


def _outlive(tracker: RabitTracker) -> None:
    """A tracker lives until its workers are done with it."""
    tracker.wait_for()


def _teller(worker: Any, topic: str) -> Callable[..., None]:
    def tell(*figures: float | None) -> None:
        worker.log_event(topic, json.dumps(figures))

    return tell


class _StillWanted(TrainingCallback):
    """Ends the training after the same round on all workers when one of them sees that nobody waits for it any more.

    Dask cannot stop a running task: without this a cancelled training would keep its cluster busy to its end.
    """

    def __init__(self, worker: Any, key: Any) -> None:
        super().__init__()
        self._worker, self._key = worker, key

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        task = self._worker.state.tasks.get(self._key)
        unwanted = task is None or task.state != "executing"
        return bool(collective.allreduce(np.array([unwanted], np.int32), collective.Op.MAX)[0])
