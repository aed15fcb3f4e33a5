"""Where trees are boosted: in memory, from caches on disk, or on a Dask cluster. All take the same rows and give the
same kind of model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from schemas.training import TrainingParameters
from trainer.child import memory
from trainer.child.wire import BackendSettings
from trainer.fit.data import BATCH_BYTES, Numbers, SetReader, labels
from trainer.fit.external import batch_bytes, fit_external
from trainer.fit.training import Fitted, OnRound, fit


@dataclass(frozen=True, slots=True)
class BackendPlan:
    """The backend of a training, why, and how many bytes of a matrix are read at once where not all of it is kept."""

    backend: Literal["memory", "external", "dask"]
    reason: str
    batch_bytes: int


def plan_for(rows: int, features: int, settings: BackendSettings) -> BackendPlan:
    """Choose as the settings say; `auto` takes memory while the rows need no more than their share of what is left."""
    return choose(settings, memory.needed_bytes(rows, features), memory.available_bytes())


def choose(settings: BackendSettings, needed: int, available: int) -> BackendPlan:
    """The same of figures in bytes. Pure."""
    budget = int(available * settings.memory_share)
    figures = f"about {needed >> 20} MiB in memory, where {budget >> 20} MiB are allowed"
    if settings.name == "dask":
        return BackendPlan("dask", "Trees are boosted on the Dask cluster", min(BATCH_BYTES, batch_bytes(budget)))
    if settings.name == "external" or (settings.name == "auto" and needed > budget):
        return BackendPlan(
            "external", f"Trees are boosted from caches on disk: the rows take {figures}", batch_bytes(budget)
        )
    return BackendPlan("memory", f"Trees are boosted in memory: the rows take {figures}", BATCH_BYTES)


def fit_as_planned(
    plan: BackendPlan,
    rows: SetReader,
    fitting: Numbers,
    held_out: Numbers,
    parameters: TrainingParameters,
    settings: BackendSettings,
    *,
    seed: int,
    threads: int,
    on_round: OnRound,
    warn: Callable[[str], None],
) -> Fitted:
    """Boost on the fitting rows, stop early by the others. Raises `StorageUnavailable`, and `JobFailed` when there is
    no cluster."""
    if plan.backend == "dask":
        from trainer.fit.cluster import fit_on_cluster

        return fit_on_cluster(rows, fitting, held_out, parameters, settings, seed=seed, on_round=on_round, warn=warn)
    if plan.backend == "external":
        return fit_external(
            rows,
            fitting,
            held_out,
            parameters,
            seed=seed,
            threads=threads,
            on_round=on_round,
            batch_bytes=plan.batch_bytes,
        )
    matrices = rows.read(fitting), labels(rows.fails, fitting), rows.read(held_out), labels(rows.fails, held_out)
    return fit(*matrices, parameters, seed=seed, threads=threads, on_round=on_round, types=rows.inputs.types)
