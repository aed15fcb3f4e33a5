"""A disk that is full: a small tmpfs where that is allowed, else a bound on how large files may grow."""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def small_disk(folder: Path, bytes_: int) -> Iterator[Path]:
    """A folder in which about so many bytes fit; for this process."""
    folder.mkdir()
    mounted = os.getuid() == 0 and _mount(folder, bytes_)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, before[1]))
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _mount(folder: Path, bytes_: int) -> bool:
    with suppress(OSError):
        return (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={bytes_}", "none", str(folder)], capture_output=True
            ).returncode
            == 0
        )
    return False
