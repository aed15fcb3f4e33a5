"""How good the models are, against the five lines that a person would write: XGBoost with its defaults and a threshold
of 0.5, once with the texts as categories and once without.

Each set is written as a CSV and goes the whole way: taken in, split 60/20/20 by time, features selected, trained, all
with defaults. Judged is what comes after the training range, test and simulation rows together. Goal, by set, as the
median over the seeds: never more than 0.02 of MCC or 0.01 of the area under precision and recall below the better of
the two; and above it in most. The rivals know every text of the file, those of the future included; ours knows the
training range alone."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.quality_sets import LABEL, SETS, made

MCC_GOAL, AREA_GOAL = -0.02, -0.01
ROUNDS = 100
"""XGBoost's own default."""


class Reached(NamedTuple):
    """Figures on the rows after the training range."""

    mcc: float
    area: float
    recall: float
    seconds: float


def rival(storage: Any, dataset: Any, split: Any, *, categories: bool) -> Reached:
    """The five lines: read, texts as categories or dropped, train with defaults, call FAIL from 0.5 on."""
    import polars as pl
    import xgboost

    frames = [pl.read_parquet(storage.local(part.path)) for part in (split.train, split.test, split.simulation)]
    everything = pl.concat(frames)
    texts = [name for name in dataset.features if everything[name].dtype == pl.String]
    names = [name for name in dataset.features if name not in texts or categories]
    numbers = {
        name: {text: code for code, text in enumerate(everything[name].unique().drop_nulls().sort())} for name in texts
    }

    def matrix(frame: Any) -> Any:
        coded = [
            frame[name].replace_strict(numbers[name], default=None, return_dtype=pl.Float32)
            if name in texts
            else frame[name]
            for name in names
        ]
        return pl.DataFrame(coded).cast(pl.Float32).to_numpy()

    started = time.perf_counter()
    types = ["c" if name in texts else "q" for name in names]
    given: dict[str, Any] = {"feature_types": types, "enable_categorical": True, "nthread": 1}
    train, later = frames[0], pl.concat(frames[1:])
    data = xgboost.DMatrix(matrix(train), (train["__label__"] == "FAIL").to_numpy(), **given)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, ROUNDS)
    seconds = time.perf_counter() - started
    scores = booster.predict(xgboost.DMatrix(matrix(later), **given))
    return _reached(scores, (later["__label__"] == "FAIL").to_numpy(), 0.5, seconds)


def ours(storage: Any, dataset: Any, split: Any, seed: int) -> tuple[Reached, str | None]:
    """Selection and training with defaults, and the doubt that the model comes with."""
    import msgspec
    import numpy as np

    from models.bundle import load_bundle, score
    from rows.inputs import numbers
    from schemas.tasks import FeatureSelectionSpec, TaskState, TrainingSpec
    from trainer.child.reporting import Reporter
    from trainer.child.wire import BackendSettings, SelectionSettings
    from trainer.feature_selection import select_features
    from trainer.fit.data import read_set
    from trainer.settings import TrainerSettings
    from trainer.training_job import train

    now, quiet = datetime.now(UTC), Reporter("benchmark", lambda _: None)
    shared: dict[str, Any] = {
        "workspace": "benchmark",
        "status": "IN_PROGRESS",
        "attempt": 1,
        "epoch": 0,
        "created_at": now,
        "updated_at": now,
    }
    fields = TrainerSettings.model_fields
    selection = SelectionSettings(
        features=fields["selected_features"].default,
        fraction=fields["selection_fraction"].default,
        minimum_rows=fields["selection_minimum_rows"].default,
        time_share=fields["selection_time_share"].default,
        seed=seed,
    )
    spec = FeatureSelectionSpec(dataset_id=dataset.dataset_id)
    select_features(
        storage,
        TaskState(task_id="select", kind="feature_selection", spec=msgspec.to_builtins(spec), **shared),
        selection,
        1,
        quiet,
    )
    order = TrainingSpec(dataset_id=dataset.dataset_id, split_id=split.split_id, parameters={}, seed=seed)
    started = time.perf_counter()
    done = train(
        storage,
        TaskState(task_id="train", kind="training", spec=msgspec.to_builtins(order), **shared),
        1,
        BackendSettings(),
        quiet,
    )
    seconds = time.perf_counter() - started
    assert done.model_version is not None
    bundle = load_bundle(storage, done.model_version)
    inputs = bundle.inputs or numbers(bundle.manifest.features)
    parts = [read_set(storage, part, inputs) for part in (split.test, split.simulation)]
    scores, fails = (
        np.concatenate([score(bundle, part.matrix) for part in parts]),
        np.concatenate([part.fails for part in parts]),
    )
    return _reached(scores, fails, bundle.manifest.threshold, seconds), bundle.manifest.doubt


def _reached(scores: Any, fails: Any, threshold: float, seconds: float) -> Reached:
    from trainer.report.evaluation import Scored, evaluate

    found = evaluate(Scored.of(scores, fails), threshold)
    return Reached(found.mcc or 0.0, found.pr_auc or 0.0, found.recall or 0.0, seconds)


def contest(csv: Path, folder: Path, seed: int, label: str | None) -> dict[str, Any]:
    """One set with one seed, in this process: ours and both rivals on the same split."""
    from schemas.manifests import DatasetManifest, SplitManifest
    from storage.objects.files import Storage
    from storage.tables.datasets import DatasetOptions, ingest
    from storage.tables.ranges import DateRanges
    from storage.tables.splits import split, suggest

    storage = Storage(f"file://{folder}").initialise()
    options = DatasetOptions(label=label)
    dataset = ingest(storage, csv, file_name="set.csv", workspace="benchmark", options=options, sha256="0" * 64)
    assert isinstance(dataset, DatasetManifest), dataset
    ranges = suggest(storage, dataset)
    assert isinstance(ranges, DateRanges), ranges
    parts = split(storage, dataset, ranges)
    assert isinstance(parts, SplitManifest), parts
    reached, doubt = ours(storage, dataset, parts, seed)
    found = {
        "ours": reached._asdict(),
        "plain": rival(storage, dataset, parts, categories=False)._asdict(),
        "plain, categories": rival(storage, dataset, parts, categories=True)._asdict(),
    }
    counts = {"train": parts.train.failures, "later": parts.test.failures + parts.simulation.failures}
    return {
        "figures": found,
        "failures": counts,
        "rows": dataset.row_count,
        "columns": len(dataset.features),
        "doubt": doubt,
    }


def arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument(
        "--file",
        type=Path,
        action="append",
        default=[],
        help="a CSV of your own, such as SECOM's; may be said several times",
    )
    parser.add_argument("--label", help="label column of the files")


def main(given: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, return what the report needs."""
    contests: dict[str, list[dict[str, Any]]] = {}
    for name in [*given.sets, *map(str, given.file)]:
        shown = name if name in SETS else Path(name).name
        contests[shown] = [_apart(name, seed, given.label) for seed in range(given.seeds)]
        print(" | ".join(_row(shown, contests[shown])), flush=True)
    tables = {f"{given.seeds} seeds each": table(contests)}
    margins = [_margins(found) for found in contests.values()]
    goals = [
        ("MCC: the worst set's median distance to the better rival", min(mcc for mcc, _ in margins), MCC_GOAL, True),
        (
            "PR-AUC: the worst set's median distance to the better rival",
            min(area for _, area in margins),
            AREA_GOAL,
            True,
        ),
        ("MCC: share of the sets above the better rival", sum(mcc > 0 for mcc, _ in margins) / len(margins), 0.5, True),
        (
            "PR-AUC: share of the sets above the better rival",
            sum(area > 0 for _, area in margins) / len(margins),
            0.5,
            True,
        ),
    ]
    print(f"\n{tables[f'{given.seeds} seeds each']}\n", flush=True)
    return {"contests": contests, "tables": tables, "goals": goals}


def table(contests: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: a line for each set."""
    head = (
        "set",
        "rows × columns",
        "failures, train + later",
        "MCC: ours",
        "plain",
        "plain, categories",
        "difference (seeds)",
    )
    more = (
        "PR-AUC: ours",
        "plain",
        "plain, categories",
        "difference (seeds)",
        "recall: ours",
        "plain best",
        "s: ours",
        "s: plain",
        "in doubt",
    )
    lines = [f"| {' | '.join((*head, *more))} |", "|" + "---|" * len((*head, *more))]
    return "\n".join([*lines, *(f"| {' | '.join(_row(name, found))} |" for name, found in contests.items())])


def _row(name: str, found: list[dict[str, Any]]) -> list[str]:
    def median(who: str, what: str) -> float:
        return float(statistics.median(one["figures"][who][what] for one in found))

    def part(what: str) -> list[str]:
        told = [f"{median(who, what):.2f}" for who in ("ours", "plain", "plain, categories")]
        distances = [_distance(one, what) for one in found]
        return [*told, f"{statistics.median(distances):+.3f} ({', '.join(f'{one:+.2f}' for one in distances)})"]

    first = found[0]
    failures = f"{first['failures']['train']} + {first['failures']['later']}"
    recall = [
        f"{median('ours', 'recall'):.2f}",
        f"{max(median(who, 'recall') for who in ('plain', 'plain, categories')):.2f}",
    ]
    seconds = [f"{median('ours', 'seconds'):.1f}", f"{median('plain, categories', 'seconds'):.1f}"]
    doubted = f"{sum(one['doubt'] is not None for one in found)} of {len(found)}"
    return [
        name,
        f"{first['rows']:,} × {first['columns']}",
        failures,
        *part("mcc"),
        *part("area"),
        *recall,
        *seconds,
        doubted,
    ]


def _margins(found: list[dict[str, Any]]) -> tuple[float, float]:
    return statistics.median(_distance(one, "mcc") for one in found), statistics.median(
        _distance(one, "area") for one in found
    )


def _distance(one: dict[str, Any], what: str) -> float:
    """How far ours lies above the better of the rivals; below when negative."""
    figures = one["figures"]
    return float(figures["ours"][what] - max(figures["plain"][what], figures["plain, categories"][what]))


def _apart(name: str, seed: int, label: str | None) -> dict[str, Any]:
    """A contest in a process of its own, with one thread: memory and threads of one do not disturb the next."""
    words = [
        sys.executable,
        "-m",
        "benchmarks.quality",
        name,
        str(seed),
        *([label] if label and name not in SETS else []),
    ]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"{name}, seed {seed}: {found.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return answer


def _one(name: str, seed: int, label: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(name)
        if name in SETS:
            path = Path(folder) / "set.csv"
            made(name, seed).write_csv(path)
        print(json.dumps(contest(path, Path(folder), seed, label if name not in SETS else LABEL)))


if __name__ == "__main__":
    _one(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
