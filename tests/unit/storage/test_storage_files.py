"""Files below a root, on a folder and on another fsspec file system."""

from pathlib import Path

import pytest

from storage.errors import StorageUnavailable
from storage.objects.files import Storage


@pytest.fixture(params=["folder", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    url = f"file://{tmp_path}/storage" if request.param == "folder" else f"memory://{tmp_path.name}"
    return Storage(url, cache=tmp_path / "cache").initialise()


def test_what_is_written_is_read(storage: Storage) -> None:
    storage.write_bytes("a/b.json", b"one")
    storage.write_bytes("a/b.json", b"two")
    assert storage.read_bytes("a/b.json") == b"two"
    assert storage.exists("a/b.json")
    assert storage.exists("a")
    assert storage.local("a/b.json").read_bytes() == b"two"


def test_what_is_not_there_is_named(storage: Storage) -> None:
    assert not storage.exists("no/such")
    for read in (storage.read_bytes, storage.local):
        with pytest.raises(FileNotFoundError):
            read("no/such")


def test_a_folder_comes_whole(storage: Storage) -> None:
    with storage.scratch() as scratch:
        made = scratch / "made"
        made.mkdir()
        (made / "data").write_bytes(b"1")
        (made / "manifest.json").write_bytes(b"{}")
        storage.put_folder(made, "splits/s1")
    assert storage.read_bytes("splits/s1/data") == b"1"
    assert storage.read_bytes("splits/s1/manifest.json") == b"{}"
    assert not scratch.exists()


def test_removing_twice_is_the_same(storage: Storage) -> None:
    storage.write_bytes("x/y", b"1")
    storage.write_bytes("x/z", b"1")
    storage.remove("x/y")
    storage.remove("x/y")
    assert not storage.exists("x/y")
    storage.remove("x")
    assert not storage.exists("x/z")


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", ""])
def test_paths_lead_nowhere_else(path: str, storage: Storage) -> None:
    with pytest.raises(ValueError, match="not a path below"):
        storage.read_bytes(path)


def test_a_failed_write_leaves_nothing(storage: Storage) -> None:
    def write_half(scratch: Path) -> None:
        (scratch / "half").write_bytes(b"half")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError), storage.scratch() as scratch:
        write_half(scratch)
    assert not scratch.exists()


def test_a_root_that_is_no_folder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable):
        Storage(f"file://{tmp_path}/file/below").initialise().write_bytes("a", b"1")


def test_a_relative_root_is_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Storage("file://./kept").initialise().write_bytes("a", b"1")
    assert (tmp_path / "kept" / "a").read_bytes() == b"1"


def test_the_names_in_a_folder_are_those_of_now(storage: Storage) -> None:
    assert storage.names("outbox") == []
    storage.write_bytes("outbox/b", b"")
    storage.write_bytes("outbox/a", b"")
    assert storage.names("outbox") == ["a", "b"]
    storage.remove("outbox/a")
    storage.remove("outbox/b")
    assert storage.names("outbox") == []


def test_the_names_in_a_folder_that_cannot_be_looked_at_are_not_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "outbox").touch()
    with pytest.raises(StorageUnavailable):
        Storage(f"file://{tmp_path}").initialise().names("outbox")
