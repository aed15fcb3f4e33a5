"""Where trees are boosted: chosen by memory or by name, and the same model either way."""

import resource
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.kinds.xgboost import probability_fail
from rows.inputs import ModelInput, ModelInputs, numbers
from schemas.training import TrainingParameters
from storage.objects.files import Storage
from tests.integration.test_training_job import Job
from tests.support.small_split import USEFUL, write_small_split
from trainer.child.memory import available_bytes, needed_bytes
from trainer.child.wire import BackendSettings
from trainer.errors import JobFailed
from trainer.fit.backends import BackendPlan, choose, fit_as_planned
from trainer.fit.cluster import fit_on_cluster
from trainer.fit.data import SetReader, compact

MIB = 1 << 20


@pytest.fixture
def storage(storage_url: str) -> Storage:
    return Storage(storage_url).initialise()


@pytest.mark.parametrize(
    ("name", "needed", "backend"),
    [
        ("auto", 40, "memory"),
        ("auto", 60, "external"),
        ("memory", 60, "memory"),
        ("external", 1, "external"),
        ("dask", 1, "dask"),
    ],
)
def test_rows_that_need_more_than_their_share_of_memory_are_boosted_from_disk(
    name: str, needed: int, backend: str
) -> None:
    plan = choose(BackendSettings(name=name, memory_share=0.5), needed * MIB, 100 * MIB)  # type: ignore[arg-type]
    assert plan.backend == backend
    assert plan.batch_bytes <= 64 * MIB


def test_least_of_all_limits_counts(tmp_path: Path) -> None:
    assert needed_bytes(1_000_000, 100) > 1_000_000 * 100 * 4
    unlimited = available_bytes(tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5000000\n")
    assert available_bytes(tmp_path) > 100 * MIB
    (tmp_path / "memory.max").write_text("6000000\n")
    assert available_bytes(tmp_path) == 1_000_000
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 34, hard))
    try:
        assert available_bytes(tmp_path / "none") <= min(unlimited + 100 * MIB, 1 << 34)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_rows_are_read_alike_at_once_in_batches_by_number_and_by_feature(storage: Storage) -> None:
    small = write_small_split(storage)
    rows = SetReader(storage, small.split.train.path, numbers(USEFUL))
    chosen = np.flatnonzero(np.arange(len(rows.fails)) % 3 > 0)
    pieces = [matrix for _, matrix in rows.batches(chosen, 1200)]
    columns = np.hstack([matrix for _, matrix in rows.columns()])
    rows.load()
    assert len(pieces) > 3
    np.testing.assert_array_equal(np.vstack(pieces), rows.read(chosen))
    np.testing.assert_array_equal(columns, rows.read(range(len(rows.fails))))
    assert compact(np.arange(5, 9)) == range(5, 9)
    np.testing.assert_array_equal(compact(chosen), chosen)


def test_training_from_disk_gives_the_model_of_a_training_in_memory(storage: Storage) -> None:
    job = Job(storage, write_small_split(storage, rows=4000))
    job.select()
    by_the_tail = {
        "n_estimators": 40,
        "validation_fraction": 0.2,
    }  # said, so that few rows in memory are not judged in folds
    in_memory = job.train(parameters=by_the_tail).result["metrics"]
    job.backend = BackendSettings(memory_share=1e-9)
    from_disk = job.train(parameters=by_the_tail)
    assert any(entry.meta.get("backend") == "external" for entry in job.logs)
    for name in ("mcc", "roc_auc", "pr_auc"):
        assert from_disk.result["metrics"][name] == pytest.approx(in_memory[name], abs=0.05)
    assert not any(path.is_file() for path in storage.local("splits").parent.joinpath(".scratch").rglob("*"))


def test_without_a_cluster_the_reason_is_told_after_so_many_tries(storage: Storage) -> None:
    small = write_small_split(storage, rows=300)
    rows, warnings = SetReader(storage, small.split.train.path, numbers(USEFUL)), list[str]()

    def fit(address: str) -> None:
        settings = BackendSettings(name="dask", dask_scheduler=address, dask_timeout_seconds=0.2, dask_attempts=2)
        parameters, chosen = TrainingParameters(n_estimators=5), range(len(rows.fails))
        fitted = fit_on_cluster(
            rows, chosen, range(0), parameters, settings, seed=0, on_round=lambda *_: None, warn=warnings.append
        )
        pytest.fail(f"trained without a cluster: {fitted.best_iteration}")

    with pytest.raises(JobFailed, match="TRAINER_DASK_SCHEDULER must name"):
        fit("")
    with pytest.raises(JobFailed, match=r"does not answer within 0.2 s.*Tried 2 times"):
        fit("tcp://127.0.0.1:1")
    assert len(warnings) == 1


@pytest.mark.parametrize("backend", ["memory", "external"])
def test_texts_are_learnt_by_every_backend(storage: Storage, backend: Any) -> None:
    small = write_small_split(storage)
    path = storage.local(small.split.train.path)
    frame = pl.read_parquet(path)
    failed = frame["__label__"] == "FAIL"
    frame.with_columns(city=pl.Series(["LA" if one else "NYC" for one in failed])).write_parquet(path)
    inputs = ModelInputs([ModelInput("city", "category", ("LA", "NYC")), *numbers(USEFUL[:1]).inputs])
    rows = SetReader(storage, small.split.train.path, inputs)
    half = len(rows.fails) // 2
    fitted = fit_as_planned(
        BackendPlan(backend, "", 4096),
        rows,
        range(half),
        range(half, len(rows.fails)),
        TrainingParameters(n_estimators=20, colsample_bytree=1),
        BackendSettings(),
        seed=0,
        threads=1,
        on_round=lambda *_: None,
        warn=lambda _: None,
    )
    assert fitted.booster.feature_types == ["c", "q"]
    scores = probability_fail(fitted.booster, fitted.best_iteration, rows.read(range(len(rows.fails))))
    assert scores[rows.fails].min() > scores[~rows.fails].max()
