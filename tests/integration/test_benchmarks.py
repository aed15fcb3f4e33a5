"""Contestants of the benchmarks at work on little: each makes what the others make, and a rival is loaded."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import contestants, ingest, split, training
from benchmarks.scoring import RIVALS
from benchmarks.side_by_side import FIGURES, Made, compare, table
from benchmarks.world import MODEL_VERSION, THRESHOLD, Size, Workload
from devstack.generate import generate
from models.bundle import MODEL, bundle_path
from storage.objects.files import Storage

ROWS, FEATURES = 2_000, 6


def made_by(contestant: Callable[..., Made], folder: Path, **work: object) -> object:
    """What it has made of the work, in a folder of its own."""
    folder.mkdir()
    return contestant(folder, **work).look()


def test_a_file_becomes_the_same_rows_whoever_takes_it_in(tmp_path: Path) -> None:
    upload = str(generate(tmp_path / "rows.csv", rows=ROWS, features=FEATURES).path)
    made = {
        name: made_by(contestant, tmp_path / name, upload=upload) for name, contestant in ingest.CONTESTANTS.items()
    }
    assert made["bare"] == made["ours"] == made["pandas in chunks"]
    assert made["ours"]["rows"] == ROWS  # type: ignore[index]


def test_a_dataset_is_split_into_the_same_rows_whoever_does_it(tmp_path: Path) -> None:
    storage, dataset = split.prepare(tmp_path, ROWS, FEATURES)
    work = {"storage": storage, "dataset": dataset}
    made = {name: made_by(contestant, tmp_path / name, **work) for name, contestant in split.CONTESTANTS.items()}
    assert made["bare"] == made["ours"] == made["pandas in chunks"]


def test_a_training_by_hand_gives_the_same_model_as_ours_on_few_rows_too(tmp_path: Path) -> None:
    work = training._prepared(tmp_path, ROWS, FEATURES)
    found = compare("benchmarks.training", ["by hand", "ours", "by hand, tuned"], 1, **work)  # or `Unequal` is raised
    assert all(figures["seconds"] > 0 and figures.keys() >= FIGURES.keys() for figures in found.values())
    assert len(table(found).splitlines()) == 2 + len(found)


@pytest.mark.parametrize("backend", ["ours, external", "ours, auto"])
def test_a_training_from_disk_ends_with_a_model(backend: str, tmp_path: Path) -> None:
    work = training._prepared(tmp_path, ROWS, FEATURES)
    assert "roc_auc" in training.CONTESTANTS[backend](tmp_path, **work, trees=3).look()


def test_a_rival_is_loaded_where_it_is_started(tmp_path: Path) -> None:
    work = Workload(Size(rows=8, features=4, trees=3, depth=2, runs=1, partitions=1))
    storage = Storage(f"file://{tmp_path}/storage").initialise()
    work.store(storage)
    configuration = tmp_path / "configuration.json"
    told = {
        "model": str(storage.local(bundle_path(MODEL_VERSION, MODEL))),
        "model_version": MODEL_VERSION,
        "features": work.features,
        "threshold": THRESHOLD,
        "bootstrap": "127.0.0.1:1",
        "group": "bench-1",
        "rows": "rows.v1",
        "predictions": "answers",
        "partitions": 1,
    }
    configuration.write_text(json.dumps(told))
    _, script = RIVALS["Faust, as its guide shows it"]  # the one whose packages are here, too
    rival = contestants.rival("Faust", sys.executable, script, configuration, "answers")
    load = f"import runpy; print(runpy.run_path({rival.command[1]!r})['app'].conf.id)"
    command, environment = [sys.executable, "-c", load, str(configuration)], dict(rival.environment)
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["bench-1"], done.stderr
