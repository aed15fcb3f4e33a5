"""Files below one root, `STORAGE_URL`: a folder (`file://`) or any other fsspec file system (`s3://`, `memory://`).

Paths are relative to the root, with `/`. A file appears whole or not at all; what is stored is never changed, so a copy fetched from a
remote storage stays good for ever. Errors: `FileNotFoundError` for what is not there, `StorageUnavailable` for all else.
"""

import fcntl
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from storage.errors import StorageUnavailable

SCRATCH = ".scratch"
SWEEP_AFTER_SECONDS = 60.0
"""A folder younger than this may not be held yet by the process that made it."""


class Storage:
    """Reads and writes below `url`. Opens nothing until first used; may be shared by threads."""

    def __init__(self, url: str, *, cache: Path | None = None) -> None:
        self.url = url
        self._root = _local_root(url)
        self._cache = cache or Path(tempfile.gettempdir()) / f"intelliinspect-{os.getuid()}" / sha256(url.encode()).hexdigest()[:16]

    def read_bytes(self, path: str) -> bytes:
        """Return the file's content."""
        with _unavailable():
            return self._here(path).read_bytes() if self._root else bytes(self._remote.cat_file(self._there(path)))

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write the whole file, replacing what was there."""
        with self.scratch() as folder:
            (folder / "data").write_bytes(data)
            self.put_file(folder / "data", path)

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder."""
        with _unavailable():
            return self._here(path).exists() if self._root else bool(self._remote.exists(self._there(path)))

    def names(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder, in order; none when there is no such folder."""
        with _unavailable(), suppress(FileNotFoundError):
            if self._root:
                return sorted(entry.name for entry in self._here(folder).iterdir())
            there = self._there(folder)
            self._remote.invalidate_cache(there)  # other processes write there
            return sorted(PurePosixPath(path).name for path in self._remote.ls(there, detail=False))
        return []

    def local(self, path: str) -> Path:
        """Return a path of this machine that holds the file, for libraries that want one. Read only."""
        with _unavailable():
            if self._root:
                here = self._here(path)
                if not here.exists():
                    raise FileNotFoundError(path)
                return here
            cached = self._cache / _clean(path)
            if not cached.exists():
                _replace_by(lambda target: self._remote.get_file(self._there(path), str(target)), cached)
            return cached

    def put_file(self, local: Path, path: str) -> None:
        """Move a file of this machine to its place, replacing what was there; make it in `scratch()`."""
        with _unavailable():
            if self._root:
                target = self._here(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                _sync(local)
                os.replace(local, target)
                _sync(target.parent)
            else:
                self._remote.put_file(str(local), self._there(path))

    def put_folder(self, local: Path, path: str) -> None:
        """Move a folder of files to its place, which must be new. On remote storage `manifest.json`, if there is one, comes last."""
        with _unavailable():
            files = sorted((file for file in local.rglob("*") if file.is_file()), key=lambda file: file.name == "manifest.json")
            if self._root:
                for file in files:
                    _sync(file)
                target = self._here(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.rename(local, target)
                return
            for file in files:
                self._remote.put_file(str(file), self._there(f"{path}/{file.relative_to(local).as_posix()}"))

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all in it; no error when there is none. A folder goes as a whole; on remote storage its
        `manifest.json`, if there is one, goes first."""
        with _unavailable(), suppress(FileNotFoundError):
            if not self._root:
                with suppress(FileNotFoundError):
                    self._remote.rm_file(self._there(f"{path}/manifest.json"))
                self._remote.rm(self._there(path), recursive=True)
            elif self._here(path).is_dir():
                with self.scratch() as folder:
                    os.rename(self._here(path), folder / "removed")
            else:
                self._here(path).unlink()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new folder for files in the making, on the storage's own disk where it has one; removed with what is left in it."""
        with _unavailable():
            folder = self._scratches / uuid.uuid4().hex
            folder.mkdir(parents=True)
            in_use = _hold(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if in_use is not None:
                os.close(in_use)

    def sweep(self) -> int:
        """Remove the scratch folders of processes that were killed; return how many. Those in use stay."""
        removed = 0
        with _unavailable():
            for folder in self._scratches.iterdir() if self._scratches.is_dir() else ():
                with suppress(FileNotFoundError):  # its owner was faster
                    if time.time() - folder.stat().st_mtime > SWEEP_AFTER_SECONDS and (lock := _hold(folder)) is not None:
                        shutil.rmtree(folder, ignore_errors=True)
                        os.close(lock)
                        removed += 1
        return removed

    @property
    def _scratches(self) -> Path:
        return (self._root or self._cache) / SCRATCH

    def _here(self, path: str) -> Path:
        assert self._root is not None
        return self._root / _clean(path)

    def _there(self, path: str) -> str:
        return f"{self._location.rstrip('/')}/{_clean(path)}"

    @property
    def _remote(self) -> Any:
        import fsspec  # costs start-up time that the default, a folder, does not need

        return fsspec.core.url_to_fs(self.url)[0]

    @property
    def _location(self) -> str:
        import fsspec

        return str(fsspec.core.url_to_fs(self.url)[1])


def _local_root(url: str) -> Path | None:
    if url.startswith("file://"):
        return Path(url.removeprefix("file://")).absolute()
    return None if "://" in url else Path(url).absolute()


def _clean(path: str) -> str:
    """Refuse paths that lead out of the root."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError(f"not a path below the storage root: {path!r}")
    return "/".join(parts)


def _replace_by(fetch: Any, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        fetch(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have the disk keep a file's content, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hold(folder: Path) -> int | None:
    """Lock the folder until the descriptor is closed, by the end of the process at the latest; None when another holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks: then it is left alone
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageUnavailable(str(error)) from error
