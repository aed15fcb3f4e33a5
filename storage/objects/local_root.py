"""A storage in a folder. Every act is done relative to an open descriptor of the root, in which the sentinel was seen:
whatever happens to the root's path meanwhile (renamed, unmounted, something else put there), nothing is written
anywhere else, and "not there" means so.

Paths come as parts that `storage.objects.files.clean` has passed. Symbolic links below the root are not followed.
"""

import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.errors import (
    NotAPath,
    StorageFull,
    StorageUnavailable,
    StoredFileMissing,
    classified,
    is_full,
    is_of_the_disk,
)
from storage.objects import scratch, sentinel

FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
Parts = Sequence[str]


class LocalRoot:
    """See `storage.objects.files.Storage`, which this does the work for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.expected = sentinel.Expected()

    def check(self) -> None:
        with self._opened():
            pass

    def initialise(self) -> None:
        with classified(self.unavailable):
            scratches = self.root / scratch.NAME
            scratches.mkdir(parents=True, exist_ok=True)
            with scratch.scratch_in(
                os.open(scratches, scratch.FOLDER)
            ) as name:  # what a killed process leaves there is swept
                made = scratches / name / sentinel.NAME
                made.write_bytes(sentinel.new_sentinel())
                _sync_path(made)
                with suppress(FileExistsError):  # the first of several wins
                    os.link(made, self.root / sentinel.NAME)
                    _sync_path(self.root)

    def holds(self, parts: Parts) -> bool:
        """Whether the file is there, sentinel or not."""
        with suppress(OSError):
            return self.root.joinpath(*parts).is_file()
        return False

    def free_bytes(self) -> int | None:
        with suppress(OSError):
            return shutil.disk_usage(self.root).free
        return None

    def read(self, parts: Parts) -> bytes:
        with self._as_missing(parts), self._folder(parts[:-1]) as folder:
            self._refuse_link(folder, parts)
            with os.fdopen(os.open(parts[-1], FILE, dir_fd=folder), "rb") as file:
                return file.read()

    def exists(self, parts: Parts) -> bool:
        with suppress(StoredFileMissing), self._as_missing(parts), self._folder(parts[:-1]) as folder:
            self._refuse_link(folder, parts)
            return True
        return False

    def names(self, parts: Parts) -> list[str]:
        with suppress(StoredFileMissing), self._folder(parts) as folder:
            return sorted(os.listdir(folder))
        return []

    def local(self, parts: Parts) -> Path:
        with self._as_missing(parts), self._folder(parts[:-1]) as folder:
            self._refuse_link(folder, parts)
        return self.root.joinpath(*parts)

    def put_file(self, local: Path, parts: Parts) -> None:
        with self._folder(parts[:-1], make=True) as folder, self._of_scratch():
            _sync_path(local)
            os.replace(local, parts[-1], dst_dir_fd=folder)
            os.fsync(folder)

    def put_folder(self, local: Path, parts: Parts) -> None:
        with self._folder(parts[:-1], make=True) as folder, self._of_scratch():
            for file in local.rglob("*"):
                _sync_path(file)
            os.rename(local, parts[-1], dst_dir_fd=folder)
            os.fsync(folder)

    def remove(self, parts: Parts) -> None:
        with suppress(StoredFileMissing), self._folder(parts[:-1]) as folder:
            if not stat.S_ISDIR(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode):
                os.unlink(parts[-1], dir_fd=folder)
                return
            with self._folder([scratch.NAME], make=True) as scratches:  # goes as a whole
                removed = uuid.uuid4().hex
                os.rename(parts[-1], removed, src_dir_fd=folder, dst_dir_fd=scratches)
                shutil.rmtree(removed, ignore_errors=True, dir_fd=scratches)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with self._folder([scratch.NAME], make=True) as scratches:
            kept = os.dup(scratches)
        with self._of_scratch(), scratch.scratch_in(kept) as name:
            yield self.root / scratch.NAME / name

    def sweep(self) -> int:
        with suppress(StoredFileMissing), self._folder([scratch.NAME]) as scratches:
            return scratch.sweep(scratches)
        return 0

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The root, which is a storage, and the one that it was before."""
        with classified(self.unavailable):
            try:
                root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                raise StorageUnavailable(f"{self.root} is not there: {error.strerror}") from error
            try:
                self.expected.check(str(self.root), _sentinel(root, self.root))
                yield root
            finally:
                os.close(root)

    @contextmanager
    def _folder(self, parts: Parts, *, make: bool = False) -> Iterator[int]:
        """A folder below the root."""
        with self._opened() as root:
            at = os.dup(root)
            try:
                for part in parts:
                    if make:
                        with suppress(FileExistsError):
                            os.mkdir(part, dir_fd=at)
                    following = _into(part, at, parts)
                    os.close(at)
                    at = following
                yield at
            finally:
                os.close(at)

    def _refuse_link(self, folder: int, parts: Parts) -> None:
        if stat.S_ISLNK(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode):
            raise _link(parts)

    def unavailable(self, error: BaseException) -> StorageUnavailable:
        """What to raise for an error of the disk that is not about a missing file."""
        if is_full(error):
            free = self.free_bytes()
            said = "" if free is None else f", {free} bytes are free"
            return StorageFull(f"the storage is full{said}: {error}", free)
        return StorageUnavailable(str(error))

    @contextmanager
    def _as_missing(self, parts: Parts) -> Iterator[None]:
        """Name the whole path of what is missing. A file where a folder should be, or the other way round, in a root
        that is there, is missing, too: it does not go away by waiting."""
        try:
            yield
        except NotAPath:
            raise
        except StoredFileMissing as error:  # which names the part that is missing
            raise StoredFileMissing("/".join(parts)) from error
        except StorageUnavailable as error:
            if isinstance(error.__cause__, NotADirectoryError | IsADirectoryError) and not isinstance(
                error, StorageFull
            ):
                self.check()
                raise StoredFileMissing("/".join(parts)) from error
            raise

    @contextmanager
    def _of_scratch(self) -> Iterator[None]:
        """What goes wrong with files in the making because the root is gone is no fault of theirs."""
        try:
            yield
        except (StorageUnavailable, NotAPath):
            raise
        except Exception as error:
            if is_full(error):
                raise self.unavailable(error) from error
            if is_of_the_disk(error):
                self.check()
            if isinstance(error, FileNotFoundError) and str(self.root / scratch.NAME) in str(error):
                raise StorageUnavailable(f"{self.root} was moved for a moment: {error}") from error
            raise


def _sentinel(root: int, where: Path) -> bytes:
    try:
        with os.fdopen(os.open(sentinel.NAME, FILE, dir_fd=root), "rb") as file:
            return file.read(4096)
    except FileNotFoundError:
        raise sentinel.absent(str(where)) from None


def _into(part: str, folder: int, parts: Parts) -> int:
    try:
        return os.open(part, scratch.FOLDER, dir_fd=folder)
    except NotADirectoryError as error:
        if stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode):
            raise _link(parts) from error
        raise


def _link(parts: Parts) -> NotAPath:
    return NotAPath(f"{'/'.join(parts)}: symbolic links in the storage are not followed")


def _sync_path(path: Path) -> None:
    """Have the disk keep a file's content, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
