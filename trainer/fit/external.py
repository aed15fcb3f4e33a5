"""Training on more rows than memory holds: XGBoost's external memory.

The rows are read from Parquet a batch at a time, binned, and cached on disk beside the storage; each round reads the
cache again. The bins come from a sketch that is merged from batch to batch, so the trees differ a little from those of
a training in memory."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xgboost

from models.kinds.base import Matrix
from schemas.training import TrainingParameters
from trainer.fit.data import Numbers, SetReader, labels
from trainer.fit.training import Fitted, OnRound, boost

SMALLEST_BATCH_BYTES, LARGEST_BATCH_BYTES = 1 << 20, 64 << 20
BATCHES_IN_BUDGET = 24
"""XGBoost holds some batches at once, as they are and binned."""


def batch_bytes(budget_bytes: int) -> int:
    """How large batches may be so that a training keeps to its budget."""
    return max(SMALLEST_BATCH_BYTES, min(LARGEST_BATCH_BYTES, budget_bytes // BATCHES_IN_BUDGET))


def fit_external(
    rows: SetReader,
    fitting: Numbers,
    held_out: Numbers,
    parameters: TrainingParameters,
    *,
    seed: int,
    threads: int,
    on_round: OnRound,
    batch_bytes: int,
) -> Fitted:
    """`trainer.fit.training.boost` on these rows with memory for a few batches. Raises `StorageUnavailable`."""
    with rows.storage.scratch() as folder:
        return _fit(
            rows,
            fitting,
            held_out,
            parameters,
            folder,
            seed=seed,
            threads=threads,
            on_round=on_round,
            batch_bytes=batch_bytes,
        )


def _fit(
    rows: SetReader,
    fitting: Numbers,
    held_out: Numbers,
    parameters: TrainingParameters,
    folder: Path,
    *,
    seed: int,
    threads: int,
    on_round: OnRound,
    batch_bytes: int,
) -> Fitted:
    """A function of its own, so that the caches are given up before their folder is removed."""
    kwargs: dict[str, Any] = {
        "max_bin": parameters.max_bin,
        "nthread": threads,
        "enable_categorical": rows.inputs.types is not None,
    }
    data = xgboost.ExtMemQuantileDMatrix(_Batches(rows, fitting, batch_bytes, folder / "fitting"), **kwargs)
    validation = None
    if len(held_out):
        validation = xgboost.ExtMemQuantileDMatrix(
            _Batches(rows, held_out, batch_bytes, folder / "held-out"), ref=data, **kwargs
        )
    return boost(data, validation, parameters, seed=seed, threads=threads, on_round=on_round)


class _Batches(xgboost.DataIter):
    """The rows as XGBoost asks for them, several times over."""

    def __init__(self, rows: SetReader, chosen: Numbers, batch_bytes: int, cache: Path) -> None:
        self._begin: Callable[[], Iterator[tuple[Numbers, Matrix]]] = lambda: rows.batches(chosen, batch_bytes)
        self._fails, self._types, self._batches = rows.fails, rows.inputs.types, self._begin()
        super().__init__(cache_prefix=str(cache), on_host=False)

    def reset(self) -> None:
        self._batches = self._begin()

    def next(self, input_data: Callable[..., None]) -> bool:
        batch = next(self._batches, None)
        if batch is None:
            return False
        chosen, matrix = batch
        input_data(data=matrix, label=labels(self._fails, chosen), feature_types=self._types)
        return True
