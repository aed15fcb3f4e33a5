"""A fresh clone and somebody in front of it: nothing is set, what is typed is a line of a shell."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from devstack.ports import free_port
from tests.support.stack import PORTS

REPOSITORY = Path(__file__).parents[2]
SET = ("INTELLIINSPECT_URL", "INTELLIINSPECT_WORKSPACE", "KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "STORAGE_URL", *PORTS)
OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "VIRTUAL_ENV", "PYTHONPATH")
INSTALLED = 'export PATH="$PWD/.venv/bin:$PATH"'


def offset() -> str:
    """One by which every port of a stack is free, most likely."""
    return str(free_port() - 9000)


class Clone:
    """The repository's own files, linked, in a folder where nothing has been installed or started. Its stack has moved
    ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tracked = subprocess.run(
            ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for name in {line.split("/")[0] for line in tracked}:
            (folder / name).symlink_to(REPOSITORY / name)
        self.offset = offset()
        (folder / ".env").write_text(f"DEVSTACK_PORT_OFFSET={self.offset}\n")
        own = str(Path(sys.executable).parent)
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in (*SET, *OF_MAKE) and not name.startswith("DEVSTACK_")
        }
        path = ":".join(part for part in os.environ["PATH"].split(":") if part != own)
        self.environment = kept | {"PATH": path, "COLUMNS": "80"}

    def address(self, port: int) -> str:
        """Where the README's port is, moved as the stack is."""
        return f"http://127.0.0.1:{port + int(self.offset)}"

    def install(self) -> None:
        """What `make` would install is the environment of the tests, linked."""
        (self.folder / ".venv").mkdir()
        for entry in Path(sys.prefix).iterdir():
            if not entry.name.startswith("."):
                (self.folder / ".venv" / entry.name).symlink_to(entry)
        for stamp in (".runtime", ".dev"):
            (self.folder / ".venv" / stamp).touch()

    def shell(self, text: str, *, code: int = 0, timeout_seconds: float = 200, **settings: str) -> str:
        """Type it, and return what is seen. It must end with `code`, and so must every part of a pipe."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.folder, env=self.environment | settings,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_seconds, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{text}\n{done.returncode}\n{done.stdout}"
        return done.stdout

    def first_line(self, text: str) -> str:
        """Type something that goes on for ever, read its first line, press Ctrl-C."""
        command = ["bash", "-c", text]
        with subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=30)
        return line
