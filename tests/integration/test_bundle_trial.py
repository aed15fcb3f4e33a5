"""Bundles are what was registered, score as they did, and can do harm only to a child process."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from models import golden
from models.bundle import (
    BundleCorrupt,
    BundleFiles,
    bundle_path,
    digest,
    load_bundle,
    read_bundle,
    read_manifest,
    write_bundle,
)
from models.kinds.base import finite
from models.kinds.xgboost import import_xgboost, probability_fail
from models.trial import Trial
from schemas.manifests import ModelManifest
from storage.objects.files import Storage
from tests.unit.stream_processor.toys import FEATURES, MODEL_A, booster, manifest

VERSION = import_xgboost().__version__


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(f"file://{tmp_path}").initialise()


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    found = Trial(seconds=20.0)
    found.warm()
    yield found
    found.close()


def model_bytes() -> bytes:
    return bytes(booster(len(FEATURES), 1).save_raw("ubj"))


def golden_rows() -> bytes:
    rows = finite(np.random.default_rng(5).normal(size=(20, len(FEATURES))))
    return golden.encode(lambda matrix: probability_fail(booster(len(FEATURES), 1), 7, matrix), rows)


def written(storage: Storage, made_by: str = VERSION, **files: bytes) -> ModelManifest:
    described = manifest(MODEL_A).model_copy(update={"library_versions": {"xgboost": made_by}})
    given = {"model.ubj": model_bytes(), **{name.replace("_", "."): content for name, content in files.items()}}
    return write_bundle(storage, described, given)


CHANGES: dict[str, Callable[[dict[str, object]], object]] = {
    "threshold": lambda found: found.update(threshold=0.9),
    "feature order": lambda found: found.update(features=[*reversed(FEATURES)]),
    "label": lambda found: found.update(pass_value="1"),
    "best iteration": lambda found: found.update(best_iteration=1),
    "ignored features": lambda found: found.update(ignored_features=[]),
    "files": lambda found: found.update(files={**found["files"], "more": "0" * 64}),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_edited_manifest_is_not_what_was_registered(storage: Storage, change: str) -> None:
    registered = digest(written(storage))
    path = bundle_path(MODEL_A, "manifest.json")
    found = json.loads(storage.read_bytes(path))
    storage.write_bytes(path, json.dumps(found).encode())  # laid out in another way, it says the same
    assert load_bundle(storage, MODEL_A, registered=registered).manifest.threshold == 0.4
    CHANGES[change](found)
    storage.write_bytes(path, json.dumps(found).encode())
    for load in (load_bundle, read_bundle, read_manifest):
        with pytest.raises(BundleCorrupt, match="not the one that was registered"):
            load(storage, MODEL_A, registered=registered)


def test_golden_rows_score_as_they_did(storage: Storage, trial: Trial) -> None:
    written(storage, made_by="0.1", golden_f32=golden_rows())
    load_bundle(storage, MODEL_A)
    assert trial.problem(read_bundle(storage, MODEL_A)) is None


@pytest.mark.parametrize("made_by", [VERSION, "0.1"])
def test_golden_rows_that_score_differently_by_a_bit_refuse_the_bundle(
    storage: Storage, trial: Trial, made_by: str
) -> None:
    rows = np.frombuffer(golden_rows(), "<f4").reshape(-1, len(FEATURES) + 1).copy()
    rows[3, -1] = np.nextafter(rows[3, -1], np.float32(1))
    written(storage, made_by=made_by, golden_f32=rows.tobytes())
    with pytest.raises(BundleCorrupt, match="1 of its 21 golden rows"):
        load_bundle(storage, MODEL_A)
    assert "1 of its 21 golden rows" in (trial.problem(read_bundle(storage, MODEL_A)) or "")


@pytest.mark.parametrize("content", [b"", b"123", golden_rows()[:-4]])
def test_golden_rows_of_another_size_refuse_the_bundle(storage: Storage, content: bytes) -> None:
    written(storage, golden_f32=content)
    with pytest.raises(BundleCorrupt, match="golden"):
        load_bundle(storage, MODEL_A)


def test_a_bundle_of_another_library_without_golden_rows_is_refused_with_both_versions(storage: Storage) -> None:
    written(storage, made_by="0.1")
    with pytest.raises(BundleCorrupt, match=rf"XGBoost 0\.1, this is {VERSION}.*train it again"):
        load_bundle(storage, MODEL_A)


def mutated(seed: int) -> bytes:
    chance, content = random.Random(seed), bytearray(model_bytes())
    for _ in range(chance.choice([1, 3, 20])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content[: chance.randrange(len(content))] if seed % 10 == 0 else content)


def test_no_mutated_model_harms_the_process_that_asks(storage: Storage, trial: Trial) -> None:
    """Whatever comes of it: a crash is one of the child, and the next bundle is tried out all the same."""
    problems = []
    for seed in range(60):
        content = BundleFiles(manifest(MODEL_A).model_copy(update={"seed": seed}), mutated(seed), None)
        problems.append(trial.problem(content))
    assert any(problems)
    assert any(problem and "crashed" in problem for problem in problems), (
        "none of these crashes the library any more: find others"
    )
    assert (
        trial.problem(BundleFiles(manifest(MODEL_A).model_copy(update={"seed": 60}), model_bytes(), golden_rows()))
        is None
    )


def test_what_crashed_once_is_not_tried_again(storage: Storage) -> None:
    trial = Trial()
    crashing = BundleFiles(manifest(MODEL_A), b"", None)
    trial.warm()
    child = trial._child
    assert child is not None
    child.kill()
    child.wait()
    first = trial.problem(crashing)
    assert first
    assert trial.problem(crashing) == first
    trial.close()


def test_a_bundle_that_takes_too_long_is_given_up(storage: Storage) -> None:
    trial = Trial(seconds=0.0)
    assert "not done" in (trial.problem(BundleFiles(manifest(MODEL_A), model_bytes(), None)) or "")
    trial.close()
