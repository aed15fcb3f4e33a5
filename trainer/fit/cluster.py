"""Training on a Dask cluster: each worker reads its share of the rows from the storage, XGBoost adds their histograms
up.

Not `xgboost.dask.train`: it holds a lock of Dask's that a killed client never gives back, and leaves its workers
training to the end, so that a cancelled task would block the cluster. Needs the extra `dask`.
"""

import importlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise, repeat
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import xgboost
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from schemas.ids import new_id
from schemas.training import TrainingParameters
from trainer.child.wire import BackendSettings
from trainer.errors import JobFailed
from trainer.fit.data import Numbers, SetReader
from trainer.fit.training import Fitted, OnRound

POLL_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 10.0
ENDED = ("finished", "error", "cancelled", "lost")


class ClusterLost(Exception):
    """The cluster does not answer, has no worker, or lost one in the middle: another try may succeed."""


def fit_on_cluster(
    rows: SetReader,
    fitting: Numbers,
    held_out: Numbers,
    parameters: TrainingParameters,
    settings: BackendSettings,
    *,
    seed: int,
    on_round: OnRound,
    warn: Callable[[str], None],
) -> Fitted:
    """`trainer.fit.training.boost` on the cluster's workers. Tried again as often as set; then `JobFailed` with the
    reason."""
    if not settings.dask_scheduler:
        raise JobFailed(
            "TRAINER_BACKEND is dask: TRAINER_DASK_SCHEDULER must name the scheduler, like tcp://host:8786."
        )
    try:
        importlib.import_module("distributed")
    except ImportError as error:
        raise JobFailed(
            "TRAINER_BACKEND is dask, but Dask is not installed here: pip install 'intelliinspect[dask]'."
        ) from error
    training = _Training(rows, fitting, held_out, parameters, settings, seed, on_round)
    retrying = Retrying(
        retry=retry_if_exception_type(ClusterLost),
        stop=stop_after_attempt(settings.dask_attempts),
        wait=wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_SECONDS),
        before_sleep=lambda state: warn(f"{state.outcome.exception() if state.outcome else ''} Trying again."),
        reraise=True,
    )
    try:
        return retrying(training.run)
    except ClusterLost as error:
        raise JobFailed(f"{error} Tried {settings.dask_attempts} times.") from error


class _Training:
    """One training, as often as it is tried."""

    def __init__(
        self,
        rows: SetReader,
        fitting: Numbers,
        held_out: Numbers,
        parameters: TrainingParameters,
        settings: BackendSettings,
        seed: int,
        on_round: OnRound,
    ) -> None:
        self._rows, self._fitting, self._held_out, self._parameters = rows, fitting, held_out, parameters
        self._settings, self._seed, self._on_round = settings, seed, on_round
        self._told = 0
        self._events: SimpleQueue[tuple[int, int, float, float | None]] = SimpleQueue()

    def run(self) -> Fitted:
        """Connect, boost, disconnect."""
        distributed: Any = importlib.import_module("distributed")
        address, timeout = self._settings.dask_scheduler, self._settings.dask_timeout_seconds
        try:
            client = distributed.Client(address, timeout=timeout, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterLost(f"The Dask scheduler {address} does not answer within {timeout:g} s: {error}.") from error
        try:
            return self._boost(client)
        except OSError as error:  # Dask's CommClosedError among them
            raise ClusterLost(f"The connection to the Dask scheduler {address} broke: {error}.") from error
        finally:
            client.close(timeout=timeout)

    def _boost(self, client: Any) -> Fitted:
        from trainer.fit import cluster_part

        workers = self._workers(client)
        self._claim(client)
        topic = new_id("training")
        client.subscribe_topic(topic, lambda event: self._events.put(tuple(json.loads(event[1]))))
        timeout = max(1, round(self._settings.dask_timeout_seconds))
        tracker = client.run_on_scheduler(cluster_part.start_tracker, len(workers), timeout)
        futures = [
            client.submit(
                cluster_part.train_part,
                part,
                tracker,
                rank,
                workers=[worker],
                allow_other_workers=False,
                pure=False,
                retries=0,
            )
            for rank, (worker, part) in enumerate(zip(workers, self._parts(len(workers), topic), strict=True))
        ]
        self._wait(client, futures, workers)
        trained = futures[0].result()
        for number, figures in enumerate(
            zip(trained.history.train_loss, trained.history.validation_loss or repeat(None), strict=False), 1
        ):
            self._tell(number, self._parameters.n_estimators, *figures)
        return Fitted(xgboost.Booster(model_file=bytearray(trained.model)), trained.best_iteration, trained.history)

    def _workers(self, client: Any) -> list[str]:
        """Those of the cluster, no more than there are rows for."""
        try:
            client.wait_for_workers(1, timeout=self._settings.dask_timeout_seconds)
        except TimeoutError as error:
            raise ClusterLost(f"The Dask cluster {self._settings.dask_scheduler} has no worker.") from error
        most = min(len(self._fitting), len(self._held_out) or len(self._fitting))
        return sorted(client.nthreads())[:most]

    def _claim(self, client: Any) -> None:
        """Wait until no other training has the cluster."""
        from trainer.fit import cluster_part

        while not client.run_on_scheduler(cluster_part.claim, client.id):
            time.sleep(POLL_SECONDS)

    def _parts(self, count: int, topic: str) -> list[Any]:
        from trainer.fit import cluster_part

        storage = self._rows.storage
        fixed = (storage.url, getattr(storage, "attempts", 1), self._rows.path, self._rows.inputs.inputs)
        shares = zip(_shares(self._fitting, count), _shares(self._held_out, count), strict=True)
        return [
            cluster_part.ClusterPart(*fixed, *share, self._parameters.model_dump(), self._seed, topic)
            for share in shares
        ]

    def _wait(self, client: Any, futures: list[Any], workers: list[str]) -> None:
        """Until all parts are done; a part that failed, and a worker that is gone, end all of them."""
        while not all(future.status == "finished" for future in futures):
            with suppress(Empty):
                self._tell(*self._events.get(timeout=POLL_SECONDS))
                continue
            if client.status != "running":
                raise ClusterLost(f"The Dask scheduler {self._settings.dask_scheduler} went away.")
            if gone := set(workers) - set(client.nthreads()):
                client.cancel(futures, force=True)
                raise ClusterLost(f"The Dask worker {min(gone)} went away.")
            if failed := [future for future in futures if future.status in ENDED[1:]]:
                reason = _reason(failed[0])
                client.cancel(futures, force=True)
                raise reason

    def _tell(self, done: int, of: int, train_loss: float, validation_loss: float | None) -> None:
        """Each round once, also when the training is tried again."""
        if done > self._told:
            self._told = done
            self._on_round(done, of, train_loss, validation_loss)


def _shares(rows: Numbers, count: int) -> list[Numbers]:
    """About equal runs of the rows, in order."""
    borders = np.linspace(0, len(rows), count + 1).round().astype(int).tolist()
    return [rows[start:end] for start, end in pairwise(borders)]


def _reason(future: Any) -> Exception:
    """Why a part failed: its own exception, for the trainer to treat as if it had happened here."""
    error = future.exception(timeout=POLL_SECONDS * 10) if future.status == "error" else None
    if error is None:
        return ClusterLost("The Dask cluster gave a part of the training up.")
    if isinstance(error, xgboost.core.XGBoostError):  # a worker that cannot reach the others any more
        return ClusterLost(f"The Dask workers lost each other: {str(error).splitlines()[0]}.")
    return error if isinstance(error, Exception) else RuntimeError(str(error))
