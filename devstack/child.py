"""A child process of our own: started in its own session with a log file, stopped politely, killed when it must be."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from devstack.errors import PartFailed
from schemas.shown import printable, without_secrets

STOP_SECONDS = 20.0


class Child:
    """A command that can be started again and again; its output is appended to `log`.

    Ctrl-C in a terminal does not reach it (own session): whoever started it decides the order in which things end. On
    Linux it is sent SIGTERM when the thread that started it is gone, so that a killed supervisor or test run leaves
    nothing behind."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running child. Raises `PartFailed` when it does not run."""
        if self._process is None or not self.running:
            raise PartFailed(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the last start ended; None while it runs or before. Negative: the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def launch(self) -> None:
        """Start it and return at once."""
        with _opened(self.log) as output:
            self._process = subprocess.Popen(
                [*_with_parent(), *self.command],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=self.environment,
            )

    def start(self, ready: Callable[[], bool], *, timeout_seconds: float = 60.0) -> None:
        """Start it and wait until `ready()`. Raises `PartFailed` with the end of its log."""
        self.launch()
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if not self.running:
                raise PartFailed(f"{self.name} ended with code {self.exit_code} while starting\n{tail(self.log)}")
            if time.monotonic() > deadline:
                self.kill()
                raise PartFailed(f"{self.name} was not ready after {timeout_seconds:.0f} s\n{tail(self.log)}")
            time.sleep(0.02)

    def stop(self, *, timeout_seconds: float = STOP_SECONDS) -> None:
        """SIGTERM, then SIGKILL after the bound. Does nothing when it does not run."""
        self.send(signal.SIGTERM)
        if self._process is None:
            return
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP, if it runs."""
        if self.running:
            os.kill(self.pid, number)


def _opened(log: Path) -> IO[bytes]:
    """The log to append to; nothing, when the disk has no room even for an empty file: what is to run runs without."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return open(log, "ab", opener=only_ours)
    except OSError:
        return open(os.devnull, "wb")


@cache
def _with_parent() -> tuple[str, ...]:
    """Words before a command that end it with the thread that starts it: `setpriv` of util-linux keeps the pid."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if (
        setpriv is None
        or subprocess.run([setpriv, "--pdeathsig", "TERM", "true"], capture_output=True, check=False).returncode != 0
    ):
        return ()
    return (setpriv, "--pdeathsig", "TERM", "--")


def tail(log: Path, *, lines: int = 15) -> str:
    """The last lines of a log, with its path; for error messages."""
    if not log.exists():
        return f"(no log at {log})"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - (64 << 10)))
        text = file.read().decode(errors="replace").splitlines()[-lines:]
    return "\n".join([f"last lines of {log}:", *(f"  {printable(without_secrets(line))}" for line in text)])


def only_ours(path: str, flags: int) -> int:
    """Open a file that nobody else may read: what parts say may hold names and addresses."""
    return os.open(path, flags, 0o600)
