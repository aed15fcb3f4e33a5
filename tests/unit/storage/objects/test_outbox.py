"""Datasets whose record is still to reach Kafka, as they lie in the storage."""

from pathlib import Path

import pytest

from storage.objects import outbox
from storage.objects.files import Storage
from tests.support.view_records import dataset


@pytest.fixture(params=["folder", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(
        f"file://{tmp_path}/storage" if request.param == "folder" else f"memory://{tmp_path.name}",
        cache=tmp_path / "cache",
    ).initialise()


def test_a_dataset_waits_from_being_put_there_until_it_is_removed_however_often(storage: Storage) -> None:
    manifest = dataset("ds-1")
    storage.write_bytes("datasets/ds-1/manifest.json", manifest.model_dump_json(indent=2).encode())
    assert outbox.waiting(storage) == []
    for _ in range(2):
        outbox.put(storage, "ds-1")
    assert outbox.waiting(storage) == ["ds-1"]
    assert outbox.manifest(storage, "ds-1") == manifest
    for _ in range(2):
        outbox.remove(storage, "ds-1")
    assert outbox.waiting(storage) == []
    assert outbox.manifest(storage, "ds-1") == manifest, "the dataset itself stays"


def test_a_dataset_that_is_not_stored_has_no_manifest(storage: Storage) -> None:
    assert outbox.manifest(storage, "ds-2") is None
