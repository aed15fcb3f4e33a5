"""Files below one root, `STORAGE_URL`: a folder (`file://`) or any other fsspec file system (`s3://`, `memory://`).

Paths are relative to the root, with `/`. A file appears whole or not at all; what is stored is never changed, so a copy
fetched from a remote storage stays good for ever. A root that is gone is not an empty one: see
`storage.objects.sentinel`.

Every method raises `StorageUnavailable` while the storage is not there or does not answer, `StorageFull` when there is
no room, and where a file is asked for `StoredFileMissing` when a storage that is there does not have it, `NotAPath` for
a name that none can have."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path

from storage.errors import NotAPath, StorageUnavailable, StoredFileMissing, is_full, is_of_the_disk
from storage.objects import sentinel
from storage.objects.local_root import LocalRoot
from storage.objects.remote_root import RemoteRoot

PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+=-]{0,199}")
"""What a name of a file or folder may be: no dots first, no blanks, nothing that any system gives a meaning to."""
MOST_PARTS = 16


class Storage:
    """Reads and writes below `url`. Opens nothing until first used; may be shared by threads."""

    def __init__(self, url: str, *, cache: Path | None = None) -> None:
        self.url = url
        local = _local_root(url)
        cache = (
            cache
            or Path(tempfile.gettempdir()) / f"intelliinspect-{os.getuid()}" / sha256(url.encode()).hexdigest()[:16]
        )
        self._root: LocalRoot | RemoteRoot = LocalRoot(local) if local else RemoteRoot(url, cache)

    def check(self) -> None:
        """Raise `StorageUnavailable` unless the storage is there."""
        self._root.check()

    def initialise(self) -> "Storage":
        """Make it a storage, unless it is one, and return it: the one way that anything comes into a root without a
        sentinel.

        For a root that is known to be new; who cannot know asks `gateway.system.storage_start`. One that was seen here
        before is never made anew."""
        if self._root.expected.id is None:
            self._root.initialise()
        self.check()
        return self

    @property
    def id(self) -> str | None:
        """The storage's id, once it was seen."""
        return self._root.expected.id

    def holds(self, path: str) -> bool:
        """Whether the root holds the file, be it a storage or not: for who must tell an old storage from a folder that
        is not one."""
        try:
            return self._root.holds(clean(path))
        except NotAPath:
            return False

    def free_bytes(self) -> int | None:
        """Room that is left; null where nobody can tell."""
        return self._root.free_bytes()

    def read_bytes(self, path: str) -> bytes:
        """Return the file's content."""
        return self._root.read(clean(path))

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write the whole file, replacing what was there."""
        clean(path)
        with self.classified(), self.scratch() as folder:
            (folder / "data").write_bytes(data)
            self.put_file(folder / "data", path)

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder."""
        return self._root.exists(clean(path))

    def names(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder, in order; none when there is no such folder."""
        return self._root.names(clean(folder))

    def local(self, path: str) -> Path:
        """Return a path of this machine that holds the file, for libraries that want one. Read only, and within
        `classified`."""
        return self._root.local(clean(path))

    def put_file(self, local: Path, path: str) -> None:
        """Move a file of this machine to its place, replacing what was there; make it in `scratch()`."""
        self._root.put_file(local, clean(path))

    def put_folder(self, local: Path, path: str) -> None:
        """Move a folder of files to its place, which must be new. On remote storage `manifest.json`, if there is one,
        comes last."""
        self._root.put_folder(local, clean(path))

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all in it; no error when there is none. A folder goes as a whole; on remote
        storage its `manifest.json`, if there is one, goes first."""
        self._root.remove(clean(path))

    def scratch(self) -> AbstractContextManager[Path]:
        """A new folder for files in the making, on the storage's own disk where it has one; removed with what is left
        in it."""
        return self._root.scratch()

    def sweep(self) -> int:
        """Remove the scratch folders of processes that were killed; return how many. Those in use stay."""
        return self._root.sweep()

    @contextmanager
    def classified(self) -> Iterator[None]:
        """For work of a library on files of `local()`: what the system refuses becomes the error that it means."""
        try:
            yield
        except (StorageUnavailable, StoredFileMissing):
            raise
        except Exception as error:
            if not is_of_the_disk(error):
                raise
            if is_full(error):
                raise self._root.unavailable(error) from error
            self.check()
            if isinstance(error, FileNotFoundError):
                raise StoredFileMissing(str(error.filename or error)) from error
            raise StorageUnavailable(str(error)) from error


def clean(path: str) -> list[str]:
    """The parts of a path below the root; raises `NotAPath` for every other text."""
    parts = path.split("/")
    if len(parts) > MOST_PARTS or not all(map(PART.fullmatch, parts)) or parts == [sentinel.NAME]:
        raise NotAPath(f"not a path below the storage root: {path!r:.120}")
    return parts


def _local_root(url: str) -> Path | None:
    if url.startswith("file://"):
        return Path(url.removeprefix("file://")).absolute()
    return None if "://" in url else Path(url).absolute()
