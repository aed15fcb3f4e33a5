"""A root that is gone is not an empty one, and nothing gets out of it or into another one."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import NotAPath, StorageFull, StorageUnavailable, StoredFileMissing
from storage.objects.files import Storage
from tests.support.full_disk import small_disk

AWAY = ("renamed", "file in its place", "empty folder in its place", "another storage in its place")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    made = Storage(f"file://{tmp_path}/root").initialise()
    made.write_bytes("datasets/a/manifest.json", b"1")
    return made


def take_away(tmp_path: Path, how: str) -> None:
    root = tmp_path / "root"
    root.rename(tmp_path / "kept")
    if how == "file in its place":
        root.touch()
    elif how == "empty folder in its place":
        root.mkdir()
    elif how == "another storage in its place":
        Storage(f"file://{root}").initialise().write_bytes("datasets/b", b"2")


def scratched(storage: Storage) -> None:
    with storage.scratch():
        pass


def put(storage: Storage) -> None:
    with storage.scratch() as folder:
        (folder / "x").write_bytes(b"1")
        storage.put_file(folder / "x", "new/file")


ACTS: dict[str, Callable[[Storage], object]] = {
    "read": lambda storage: storage.read_bytes("datasets/a/manifest.json"),
    "read what never was": lambda storage: storage.read_bytes("datasets/never"),
    "exists": lambda storage: storage.exists("datasets/a/manifest.json"),
    "exists not": lambda storage: storage.exists("datasets/never"),
    "names": lambda storage: storage.names("datasets"),
    "names of nothing": lambda storage: storage.names("never"),
    "local": lambda storage: storage.local("datasets/a/manifest.json"),
    "write": lambda storage: storage.write_bytes("new/file", b"1"),
    "put": put,
    "remove": lambda storage: storage.remove("datasets"),
    "scratch": scratched,
    "sweep": Storage.sweep,
    "initialise again": Storage.initialise,
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("how", AWAY)
def test_a_root_that_is_gone_is_unavailable_and_nothing_is_written_in_its_place(
    storage: Storage, tmp_path: Path, how: str, act: str
) -> None:
    take_away(tmp_path, how)
    there = sorted((tmp_path / "root").rglob("*"))
    with pytest.raises(StorageUnavailable):
        ACTS[act](storage)
    assert sorted((tmp_path / "root").rglob("*")) == there
    if how != "renamed":
        (tmp_path / "root").rename(tmp_path / "other")
    (tmp_path / "kept").rename(tmp_path / "root")
    assert storage.read_bytes("datasets/a/manifest.json") == b"1"
    assert storage.names("datasets") == ["a"]


def test_a_root_that_was_never_made_a_storage_is_not_written_into(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "not there"):
        with pytest.raises(StorageUnavailable, match=r"storage\.json|is not there"):
            Storage(f"file://{path}").write_bytes("a", b"1")
    assert [*tmp_path.iterdir()] == []


def test_a_remote_root_without_sentinel_is_unavailable_and_stays_empty(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}-gone"
    storage = Storage(url, cache=tmp_path / "cache")
    for act in ("read what never was", "exists not", "names", "write", "put", "remove"):
        with pytest.raises(StorageUnavailable):
            ACTS[act](storage)
    assert not storage.holds("new/file")
    storage.initialise().write_bytes("new/file", b"1")
    assert storage.names("new") == ["file"]
    with pytest.raises(StoredFileMissing):
        storage.read_bytes("datasets/never")


@pytest.mark.parametrize("how", AWAY)
def test_a_root_that_goes_while_files_are_made_is_unavailable_and_leaves_nothing_anywhere(
    storage: Storage, tmp_path: Path, how: str
) -> None:
    def make_files() -> None:
        with storage.scratch() as folder:
            (folder / "half").write_bytes(b"1")
            take_away(tmp_path, how)
            (folder / "rest").write_bytes(b"2")

    with pytest.raises(StorageUnavailable):
        make_files()
    assert [*(tmp_path / "kept" / ".scratch").iterdir()] == []


def test_a_file_is_put_where_the_root_has_moved_to_or_nowhere(storage: Storage, tmp_path: Path) -> None:
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            (tmp_path / "root").rename(tmp_path / "kept")
            (tmp_path / "kept").rename(tmp_path / "root")

    moving = threading.Thread(target=move)
    moving.start()
    written = set()
    try:
        for number in range(300):
            try:
                storage.write_bytes(f"many/{number}", b"1")
                written.add(str(number))
            except StorageUnavailable:
                pass
    finally:
        stop.set()
        moving.join()
    assert written <= {*storage.names("many")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]
    assert [*(tmp_path / "root" / ".scratch").iterdir()] == []


def test_all_who_initialise_at_once_make_one_storage(tmp_path: Path) -> None:
    storages = [Storage(f"file://{tmp_path}/root") for _ in range(8)]
    threads = [threading.Thread(target=storage.initialise) for storage in storages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({storage.id for storage in storages}) == 1
    assert sorted(path.name for path in (tmp_path / "root").rglob("*")) == [".scratch", "storage.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"id":1}', b"\xff"])
def test_a_damaged_sentinel_is_no_sentinel(storage: Storage, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "root" / "storage.json").write_bytes(content)
    with pytest.raises(StorageUnavailable, match=r"storage\.json"):
        storage.exists("datasets")


BAD = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "../outside",
    "a/../b",
    "a/..",
    "a//b",
    "a/",
    "./a",
    "a/./b",
    "a\0b",
    "a\nb",
    "a\\b",
    "..\\..\\b",
    "C:\\x",
    "C:/x",
    "c:x",
    "\\\\host\\share",
    "~/x",
    "a b",
    " a",
    "a ",
    "-rf",
    ".hidden",
    ".scratch/x",
    "storage.json",
    "a" * 201,
    "/".join("a" * 17),
    "é",
    "a\u202eb",
    "\ud800",
    "%2e%2e/x",
    "a*",
    "a?b",
    "$HOME",
]


@pytest.mark.parametrize("path", BAD)
@pytest.mark.parametrize("url", ["file://{}/root", "memory://{}"])
def test_what_is_no_name_of_ours_is_refused_before_the_disk_is_asked(tmp_path: Path, url: str, path: str) -> None:
    storage = Storage(url.format(tmp_path), cache=tmp_path / "cache").initialise()
    acts: list[Callable[[], object]] = [
        lambda: storage.read_bytes(path),
        lambda: storage.write_bytes(path, b""),
        lambda: storage.exists(path),
        lambda: storage.names(path),
        lambda: storage.local(path),
        lambda: storage.remove(path),
        lambda: storage.put_file(tmp_path / "x", path),
        lambda: storage.put_folder(tmp_path, path),
    ]
    for act in acts:
        with pytest.raises(NotAPath):
            act()


@pytest.mark.parametrize("at", ["datasets", "datasets/a", "datasets/a/manifest.json"])
def test_links_in_the_root_lead_nowhere(storage: Storage, tmp_path: Path, at: str) -> None:
    outside = tmp_path / "outside"
    (outside / "a").mkdir(parents=True)
    for name in ("manifest.json", "a/manifest.json"):
        (outside / name).write_bytes(b"secret")
    storage.remove(at)
    there = tmp_path / "root" / at
    there.symlink_to(outside / "manifest.json" if at.endswith("json") else outside)
    for read in (storage.read_bytes, storage.local):
        with pytest.raises(NotAPath, match="symbolic"):
            read("datasets/a/manifest.json")
    if not at.endswith("json"):
        with pytest.raises(NotAPath, match="symbolic"):
            storage.write_bytes("datasets/a/manifest.json", b"2")
    storage.remove(at)
    assert not os.path.lexists(there)
    assert (outside / "manifest.json").read_bytes() == b"secret"


def test_what_a_library_does_not_find_is_missing_or_away(storage: Storage, tmp_path: Path) -> None:
    path = storage.local("datasets/a/manifest.json")
    path.unlink()
    with pytest.raises(StoredFileMissing), storage.classified():
        path.read_bytes()
    take_away(tmp_path, "renamed")
    with pytest.raises(StorageUnavailable), storage.classified():
        path.read_bytes()
    with pytest.raises(ZeroDivisionError), storage.classified():
        raise ZeroDivisionError


def test_a_full_disk_is_said_with_what_is_free_and_leaves_nothing_half(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 256 << 10) as folder:
        storage = Storage(f"file://{folder}").initialise()
        storage.write_bytes("before", b"1")
        with pytest.raises(StorageFull, match="full") as told:
            storage.write_bytes("large", bytes(1 << 20))
        assert told.value.free_bytes is not None
        assert not storage.exists("large")
        assert storage.read_bytes("before") == b"1"
        assert [*(folder / ".scratch").iterdir()] == []
        storage.write_bytes("small", b"2")


def test_a_file_in_the_place_of_a_folder_is_missing_not_away(storage: Storage) -> None:
    storage.write_bytes("splits", b"1")
    assert not storage.exists("splits/a/manifest.json")
    for path in ("splits/a/manifest.json", "datasets/a"):
        with pytest.raises(StoredFileMissing):
            storage.read_bytes(path)
