"""Scratch folders: gone with their block, and those of killed processes are swept up, never those in use."""

import os
import subprocess
import sys
from pathlib import Path

from storage.objects.files import Storage

KILLED = """
import os, signal, sys
from storage.objects.files import Storage
with Storage(sys.argv[1]).initialise().scratch() as folder:
    (folder / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def age(folder: Path) -> None:
    os.utime(folder, (0, 0))


def test_what_a_killed_process_left_is_swept_up_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    storage = Storage(f"file://{tmp_path}").initialise()
    assert storage.sweep() == 0
    assert subprocess.run([sys.executable, "-c", KILLED, storage.url], check=False).returncode == -9
    (left,) = (tmp_path / ".scratch").iterdir()
    assert storage.sweep() == 0, "too young to be sure"
    age(left)
    with storage.scratch() as used:
        age(used)
        assert storage.sweep() == 1
        assert used.is_dir()
    assert list((tmp_path / ".scratch").iterdir()) == []
