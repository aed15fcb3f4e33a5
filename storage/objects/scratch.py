"""Scratch folders: files in the making, each folder locked by the process that made it, so that those of killed ones
can be told.

All is done relative to an open descriptor of the folder of folders, which goes on leading there wherever that is moved.
"""

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

NAME = ".scratch"
SWEEP_AFTER_SECONDS = 60.0
"""A folder younger than this may not be held yet by the process that made it."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def scratch_in(scratches: int) -> Iterator[str]:
    """A new folder, by name; removed with what is left in it. Takes the descriptor over."""
    name, held = uuid.uuid4().hex, None
    try:
        os.mkdir(name, dir_fd=scratches)
        held = _hold(os.open(name, FOLDER, dir_fd=scratches))
        yield name
    finally:
        shutil.rmtree(name, ignore_errors=True, dir_fd=scratches)
        os.close(scratches)
        if held is not None:
            os.close(held)


def sweep(scratches: int) -> int:
    """Remove the folders of processes that were killed; return how many. Those in use stay."""
    removed = 0
    for name in os.listdir(scratches):
        with suppress(FileNotFoundError):  # its owner was faster
            if time.time() - os.stat(name, dir_fd=scratches, follow_symlinks=False).st_mtime <= SWEEP_AFTER_SECONDS:
                continue
            if (lock := _hold(os.open(name, FOLDER, dir_fd=scratches))) is not None:
                shutil.rmtree(name, ignore_errors=True, dir_fd=scratches)
                os.close(lock)
                removed += 1
    return removed


def _hold(descriptor: int) -> int | None:
    """Lock the folder until the descriptor is closed, by the end of the process at the latest; None when another holds
    it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks: then it is left alone
        os.close(descriptor)
        return None
    return descriptor
