"""A training, against the same XGBoost call by hand. Goal: 1.15 × its time.

The ratio contains everything between an order and its answer: `ours` is the trainer's child process from its start to
its last report (manifests, reading, reference histograms, boosting with a report each round, threshold, evaluation,
curves, the picture, the bundle); `by hand` is a script from its start to the saved model: imports, reading the same
Parquet, the same call with early stopping, predicting the test rows; `by hand, tuned` is the same with the trainer's
own tricks for threads and imports.

At the end, a larger training under a limit on the memory of its process: in memory it must fail there, with XGBoost's
external memory it must do as well as without a limit.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.side_by_side import Made, Unequal, compare, measured, table
from benchmarks.split import prepare


def by_hand(folder: Path, storage: str, split: str, dataset: str) -> Made:
    """What a careful person writes in a notebook."""
    import polars as pl
    import xgboost

    from schemas.training import TrainingParameters
    from trainer.fit.training import booster_parameters

    def read(name: str) -> tuple[Any, Any]:
        frame = pl.read_parquet(Path(storage) / "splits" / split / f"{name}.parquet")
        features = frame.select(pl.exclude("__index__", "__id__", "__time__", "__label__").cast(pl.Float32))
        return features.to_numpy(), (frame["__label__"] == "FAIL").to_numpy()

    parameters = TrainingParameters()
    values, fails = read("train")
    fitting = len(fails) - round(len(fails) * parameters.validation_fraction)
    data, held_out = (
        xgboost.DMatrix(values[:fitting], fails[:fitting]),
        xgboost.DMatrix(values[fitting:], fails[fitting:]),
    )
    booster = xgboost.train(
        booster_parameters(parameters, 0, 0),
        data,
        parameters.n_estimators,
        evals=[(data, "train"), (held_out, "validation")],
        early_stopping_rounds=parameters.early_stopping_rounds,
        verbose_eval=False,
    )
    values, fails = read("test")
    scores = booster.predict(xgboost.DMatrix(values), iteration_range=(0, booster.best_iteration + 1))
    booster.save_model(folder / "model.ubj")
    return Made(lambda: _same(scores, fails), {"rounds": booster.num_boosted_rounds()})


def by_hand_tuned(folder: Path, storage: str, split: str, dataset: str) -> Made:
    """The same with what the trainer has found out: threads that do not spin while they wait, XGBoost without
    scikit-learn."""
    from models.kinds.xgboost import import_xgboost

    os.environ["OMP_WAIT_POLICY"] = "passive"  # read when XGBoost is imported
    import_xgboost()
    return by_hand(folder, storage, split, dataset)


def ours(
    folder: Path,
    storage: str,
    split: str,
    dataset: str,
    backend: str = "memory",
    limit: int = 0,
    trees: int | None = None,
) -> Made:
    """The trainer's child process, as the trainer starts it; `limit` is of its data segments, in bytes, `trees` at
    most, if said."""
    import msgspec

    from schemas.tasks import TaskState, TrainingSpec
    from schemas.training import TrainingParameters
    from trainer.child.job_process import job_environment
    from trainer.child.wire import BackendSettings, Done, Job, Progress, SelectionSettings, decode_report, encode

    now = datetime.now(UTC)
    chosen = TrainingParameters() if trees is None else TrainingParameters(n_estimators=trees)
    parameters = chosen.model_dump()  # all are said, or few rows would be boosted in folds, and three trees a round
    spec = msgspec.to_builtins(TrainingSpec(dataset_id=dataset, split_id=split, parameters=parameters))
    task = TaskState(
        task_id="train-benchmark",
        kind="training",
        workspace="benchmark",
        status="IN_PROGRESS",
        attempt=1,
        epoch=0,
        created_at=now,
        updated_at=now,
        spec=spec,
    )
    settings = BackendSettings(name=backend)  # type: ignore[arg-type]
    order = Job(task, f"file://{storage}", 1, 0, SelectionSettings(100, 0.05, 20_000, 0.6, 0), settings)
    bound = partial(resource.setrlimit, resource.RLIMIT_DATA, (limit, limit)) if limit else None
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.child.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=bound,
        env=job_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(encode(order) + b"\n")
    process.stdin.flush()
    rounds, outcome = 0, None
    for line in process.stdout:
        outcome = decode_report(line)
        rounds = max(rounds, (outcome.iteration or 0) if isinstance(outcome, Progress) else 0)
    process.stdin.close()
    code = process.wait()
    if not isinstance(outcome, Done):
        return Made(
            lambda: {"failed": str(outcome) if outcome and not isinstance(outcome, Progress) else f"exit {code}"}
        )
    auc = outcome.result["metrics"]["roc_auc"]
    return Made(lambda: {"roc_auc": round(auc, 6)}, {"rounds": rounds}, started)


def _same(scores: Any, fails: Any) -> dict[str, float]:
    from trainer.report.evaluation import Scored, roc_auc

    return {"roc_auc": round(roc_auc(Scored.of(scores, fails).table), 6)}


LIMITED_TREES = 30
NOISE = 0.002
"""Of the area under the curve: XGBoost's bins differ a little when they are merged from batches."""
CONTESTANTS: dict[str, Callable[..., Made]] = {
    "by hand": by_hand,
    "by hand, tuned": by_hand_tuned,
    "ours": ours,
    "ours, external": partial(ours, backend="external"),
    "ours, auto": partial(ours, backend="auto"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 300_000])
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--limited-rows", type=int, default=600_000, help="of the dataset that is trained on under a limit; 0: none"
    )
    parser.add_argument(
        "--limit-mib", type=int, default=800, help="data segments of the process in the run that shows external memory"
    )


def main(given: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, return what the report needs."""
    sizes, tables = {}, {}
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as folder:
            title = f"Training on 60 % of {rows:,} rows, {given.features} features"
            work = _prepared(Path(folder), rows, given.features)
            sizes[title] = compare("benchmarks.training", ["by hand", "ours", "by hand, tuned"], given.rounds, **work)
            tables[title] = table(sizes[title])
            print(f"{title}\n\n{tables[title]}\n", flush=True)
    if given.limited_rows:
        with tempfile.TemporaryDirectory() as folder:
            title = (
                f"Training on 60 % of {given.limited_rows:,} rows, {LIMITED_TREES} trees, under a limit of"
                f" {given.limit_mib} MiB"
            )
            work = _prepared(Path(folder), given.limited_rows, given.features)
            tables[title] = _limited(work, given.limit_mib << 20)
            print(f"{title}\n\n{tables[title]}\n", flush=True)
    goals = [
        (f"{title}: {what} / by hand", found["ours"][key], 1.15, False)
        for title, found in sizes.items()
        for what, key in (("time", "× time"), ("processor time", "× CPU"))
    ]
    goals += [
        (
            f"{title}: processor time / by hand, tuned",
            found["ours"]["cpu"] / found["by hand, tuned"]["cpu"],
            1.15,
            False,
        )
        for title, found in sizes.items()
    ]
    return {"sizes": sizes, "tables": tables, "goals": goals}


def _prepared(folder: Path, rows: int, features: int) -> dict[str, str]:
    storage, dataset = prepare(folder, rows, features)
    return {"storage": storage, "dataset": dataset, "split": _split(storage, dataset)}


def _limited(work: dict[str, str], limit: int) -> str:
    """Markdown: what becomes of a training in memory, of one from disk, and of one that may choose. Raises `Unequal` if
    not as promised.

    The limit (`RLIMIT_DATA`) also counts what is reserved but never touched: stacks of threads, arenas of allocators.
    """
    lines = [
        "| backend | limit | outcome | s | peak MiB | of that its own |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    areas = {}
    for name, bytes_ in (("ours", 0), ("ours", limit), ("ours, external", limit), ("ours, auto", limit)):
        found = measured("benchmarks.training", name, {**work, "limit": bytes_, "trees": LIMITED_TREES})
        made = areas[name, bool(bytes_)] = found["made"]
        outcome = ", ".join(f"{key}: {value}" for key, value in made.items())
        peaks = f"{found['peak_mib']:.0f} | {found['peak_anonymous_mib']:.0f}"
        lines.append(f"| {name} | {'yes' if bytes_ else 'no'} | {outcome} | {found['seconds']:.1f} | {peaks} |")
        print(f"  {lines[-1]}", flush=True)
    reached = [made.get("roc_auc", 0.0) for made in areas.values()]
    if (
        "failed" not in areas["ours", True]
        or max(abs(area - reached[0]) for area in (reached[0], *reached[2:])) > NOISE
    ):
        raise Unequal("\n".join(lines))
    return "\n".join(lines)


def _split(folder: str, dataset: str) -> str:
    from schemas.manifests import DatasetManifest, FeatureSelection, SplitManifest
    from storage.objects.files import Storage
    from storage.tables.ranges import DateRanges
    from storage.tables.splits import split, suggest

    storage = Storage(f"file://{folder}").initialise()
    manifest = DatasetManifest.model_validate_json(storage.read_bytes(f"datasets/{dataset}/manifest.json"))
    ranges = suggest(storage, manifest)
    assert isinstance(ranges, DateRanges), ranges
    made = split(storage, manifest, ranges)
    assert isinstance(made, SplitManifest), made
    names = manifest.features
    chosen = FeatureSelection(
        dataset_id=dataset,
        features=names,
        gains=[0.0] * len(names),
        considered=len(names),
        sampled_rows=1,
        seed=0,
        parameters={},
    )
    storage.write_bytes(f"datasets/{dataset}/features.json", chosen.model_dump_json().encode())
    return made.split_id


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    arguments(parser)
    main(parser.parse_args())
