"""A storage in any file system of fsspec. What is read is kept on this machine: it never changes. "Not there" is
believed, and anything is written, only while the sentinel is there; what could be read needs no second look.
"""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from storage.errors import StorageFull, StorageUnavailable, StoredFileMissing, classified, is_full
from storage.objects import scratch, sentinel

Parts = Sequence[str]


class RemoteRoot:
    """See `storage.objects.files.Storage`, which this does the work for."""

    def __init__(self, url: str, cache: Path) -> None:
        self.url, self.cache = url, cache
        self.expected = sentinel.Expected()

    def check(self) -> None:
        with classified(self.unavailable):
            try:
                content = bytes(self._remote.cat_file(self._there([sentinel.NAME])))
            except FileNotFoundError:
                raise sentinel.absent(self.url) from None
            self.expected.check(self.url, content)

    def initialise(self) -> None:
        with classified(self.unavailable):
            there = self._there([sentinel.NAME])
            if not self._remote.exists(there):
                self._in_folder(there, lambda: self._remote.pipe_file(there, sentinel.new_sentinel()))

    def holds(self, parts: Parts) -> bool:
        """Whether the file is there, sentinel or not."""
        with classified(self.unavailable):
            return bool(self._remote.exists(self._there(parts)))

    def free_bytes(self) -> int | None:
        return None

    def read(self, parts: Parts) -> bytes:
        with self._reading():
            return bytes(self._remote.cat_file(self._there(parts)))

    def exists(self, parts: Parts) -> bool:
        with classified(self.unavailable):
            if self._remote.exists(self._there(parts)):
                return True
        self.check()
        return False

    def names(self, parts: Parts) -> list[str]:
        with suppress(StoredFileMissing), self._reading():
            there = self._there(parts)
            self._remote.invalidate_cache(there)  # other processes write there
            if found := sorted(PurePosixPath(path).name for path in self._remote.ls(there, detail=False)):
                return found
        self.check()
        return []

    def local(self, parts: Parts) -> Path:
        cached = self.cache.joinpath(*parts)
        if not cached.exists():
            with self._reading():
                _replace_by(lambda target: self._remote.get_file(self._there(parts), str(target)), cached)
        return cached

    def put_file(self, local: Path, parts: Parts) -> None:
        self.check()
        with classified(self.unavailable):
            there = self._there(parts)
            self._in_folder(there, lambda: self._remote.put_file(str(local), there))

    def put_folder(self, local: Path, parts: Parts) -> None:
        files = sorted(
            (file for file in local.rglob("*") if file.is_file()), key=lambda file: file.name == "manifest.json"
        )
        for file in files:
            self.put_file(file, [*parts, *file.relative_to(local).parts])

    def remove(self, parts: Parts) -> None:
        self.check()
        with suppress(StoredFileMissing), classified(self.unavailable):
            with suppress(FileNotFoundError):
                self._remote.rm_file(self._there([*parts, "manifest.json"]))
            self._remote.rm(self._there(parts), recursive=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with classified(self.unavailable), scratch.scratch_in(self._scratches()) as name:
            yield self.cache / scratch.NAME / name

    def sweep(self) -> int:
        with classified(self.unavailable):
            scratches = self._scratches()
            try:
                return scratch.sweep(scratches)
            finally:
                os.close(scratches)

    def _scratches(self) -> int:
        """They are on this machine."""
        folder = self.cache / scratch.NAME
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder, scratch.FOLDER)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with classified(self.unavailable):
                yield
        except StoredFileMissing:
            self.check()
            raise

    def unavailable(self, error: BaseException) -> StorageUnavailable:
        """What to raise for an error that is not about a missing file."""
        return StorageFull(f"the storage is full: {error}") if is_full(error) else StorageUnavailable(str(error))

    def _in_folder(self, there: str, write: Callable[[], object]) -> None:
        """Some file systems want the folder first."""
        try:
            write()
        except FileNotFoundError:
            self._remote.makedirs(PurePosixPath(there).parent.as_posix(), exist_ok=True)
            write()

    def _there(self, parts: Parts) -> str:
        return "/".join([self._location.rstrip("/"), *parts])

    @property
    def _remote(self) -> Any:
        import fsspec  # costs start-up time that the default, a folder, does not need

        return fsspec.core.url_to_fs(self.url)[0]

    @property
    def _location(self) -> str:
        import fsspec

        return str(fsspec.core.url_to_fs(self.url)[1])


def _replace_by(fetch: Callable[[Path], object], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        fetch(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
