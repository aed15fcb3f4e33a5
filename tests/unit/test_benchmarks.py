"""The benchmarks run with the code as it is now: every module is imported, and what is cheap of each is done."""

import argparse
import importlib
import pkgutil
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from prometheus_client import generate_latest

import benchmarks
from benchmarks import contestants, growth, in_memory, report
from benchmarks.__main__ import NAMES
from benchmarks.environments import PACKAGES
from benchmarks.latency import quantiles
from benchmarks.quality_sets import LABEL, SETS, made
from benchmarks.rivals.work import RivalWork
from benchmarks.scoring import FAST, RIVALS, SLOW
from benchmarks.upload import BUCKET
from benchmarks.world import MODEL_VERSION, THRESHOLD, Size, Workload
from gateway import metrics
from models.bundle import MODEL, bundle_path, load_bundle
from storage.objects.files import Storage

FOLDER = Path(benchmarks.__file__).parent
SIZE = Size(rows=60, features=4, trees=3, depth=2, runs=2, partitions=1)
PER_RECORD = 8


@pytest.fixture(scope="module")
def work() -> Workload:
    """A workload as the benchmarks make it, as small as can be."""
    return Workload(SIZE)


@pytest.fixture
def storage(work: Workload, tmp_path: Path) -> Storage:
    """Where its model version is."""
    kept = Storage(f"file://{tmp_path}/storage").initialise()
    work.store(kept)
    return kept


def json_records(work: Workload) -> list[bytes]:
    """All rows of the first run."""
    return [value for _, _, value in work.json(0, 0, work.rows_per_run)]


# Rivals run where they are: in environments of their own. What they use of ours, which is `rivals.work`, mypy checks.
@pytest.mark.parametrize("name", [found.name for found in pkgutil.iter_modules([str(FOLDER)])])
def test_every_module_is_imported(name: str) -> None:
    importlib.import_module(f"benchmarks.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_needs_no_more_than_its_name(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    parser = argparse.ArgumentParser()
    module.arguments(parser)
    parser.parse_args([])
    assert callable(module.main)


def test_the_report_is_that_of_the_results() -> None:
    assert report.text() == report.REPORT.read_text()


def test_every_program_of_ours_that_a_benchmark_starts_is_there() -> None:
    sources = [path.read_text() for path in FOLDER.glob("*.py")]
    started = {name for text in sources for name in re.findall(r'sys\.executable, "-m", "([\w.]+)"', text)}
    assert started == {
        "benchmarks.in_memory",
        "benchmarks.side_by_side",
        "devstack",
        "trainer.child.process",
        "venv",
    }
    assert all(map(find_spec, started))


def test_every_setting_of_our_contestant_is_one_of_ours() -> None:
    ours = contestants.ours({"bootstrap_servers": "127.0.0.1:1"}, "file:///nowhere", 4, workers=2)
    known = re.findall(r"^# (\w+)=", (contestants.REPOSITORY / ".env.example").read_text(), re.MULTILINE)
    assert set(ours.environment) <= set(known)


def test_every_rival_has_a_program_and_an_environment() -> None:
    assert {*FAST, *SLOW} == set(RIVALS)
    assert {environment for environment, _ in RIVALS.values()} == {*PACKAGES, "faust"}
    assert {script for _, script in RIVALS.values()} == {path.name for path in (FOLDER / "rivals").glob("*_*.py")} - {
        "__init__.py"
    }


def test_the_metrics_that_an_upload_is_judged_by_are_those_of_the_gateway() -> None:
    assert metrics.LOOP_LATE_SECONDS
    found = {(kind, edge) for kind, edge, _ in BUCKET.findall(generate_latest().decode())}
    assert found >= {("late", "0.05"), ("late", "+Inf"), ("busy", "0.05"), ("busy", "+Inf")}


@pytest.mark.parametrize("encoding", ["JSON", "packed"])
@pytest.mark.parametrize(("runs", "lanes"), [(1, 1), (2, 1), (1, 4)])
def test_growth_scores_every_row_of_every_run_and_lane(encoding: str, runs: int, lanes: int) -> None:
    work = Workload(replace(SIZE, runs=runs))
    log = list(growth.records(work, encoding, lanes=lanes))
    table: dict[bytes, bytes] = {}
    assert growth.score_all(log, 7, growth.models_of(work), table) == SIZE.rows
    assert table
    assert growth.cost(work, encoding, lanes=lanes) > 0


def test_the_limit_in_memory_answers_every_row_whichever_the_encoding(work: Workload, storage: Storage) -> None:
    bundle = load_bundle(storage, MODEL_VERSION)
    packed = [value for _, _, value in work.packed(0, 0, work.rows_per_run, PER_RECORD)]
    assert in_memory.plain(bundle, json_records(work)) == in_memory.packed(bundle, packed) > 100 * work.rows_per_run


def test_rivals_answer_what_is_expected_of_everybody(work: Workload, storage: Storage) -> None:
    model = str(storage.local(bundle_path(MODEL_VERSION, MODEL)))
    told = {"model": model, "model_version": MODEL_VERSION, "features": work.features, "threshold": THRESHOLD}
    rival = RivalWork(told)
    records = [(0, offset, value) for offset, value in enumerate(json_records(work))]
    answers = rival.score(records, "rows.v1")
    assert len(answers) == work.rows_per_run
    assert all(answer.probability_fail == work.expected[answer.prediction_id] for answer in answers)


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_the_same_for_the_same_seed_and_has_both_labels(name: str) -> None:
    table = made(name, 0)
    assert set(table[LABEL]) == {"PASS", "FAIL"}
    assert table.equals(made(name, 0))


def test_quantiles_are_those_of_the_ordered_values() -> None:
    found = quantiles([float(value) for value in range(1000, 0, -1)])
    assert found == {"rows": 1000, "p50": 501.0, "p99": 991.0, "p99.9": 1000.0, "max": 1000.0}
