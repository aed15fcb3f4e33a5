"""TCP ports of this machine: find a free one, say who holds a taken one."""

import fcntl
import getpass
import random
import socket
import tempfile
from pathlib import Path
from typing import TextIO

import psutil

from devstack.errors import PortTaken

LOOPBACK = "127.0.0.1"
_given: dict[int, TextIO] = {}


def free_port() -> int:
    """A port that nobody listens on now, from below the range that the kernel gives to outgoing connections; another
    one each time.

    No other process of this user is given it while this one lives; a process that does not ask here may still take it.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        if port in _given or not _is_bindable(port) or (lock := _locked(port)) is None:
            continue
        _given[port] = lock
        return port


def _is_bindable(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _locked(port: int) -> TextIO | None:
    """A lock on the port among processes, let go when this one ends; null when another holds it."""
    folder = Path(tempfile.gettempdir()) / f"intelliinspect-ports-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = (folder / str(port)).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def is_listening(port: int, host: str = LOOPBACK) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def require_free(port: int, *, part: str, setting: str) -> None:
    """Raise `PortTaken`, naming the holder, when something listens on the port."""
    if is_listening(port):
        raise PortTaken(
            f"port {port} for {part} is taken by {holder(port)}; end it, or choose another port with {setting}=<port>"
        )


def holder(port: int) -> str:
    """Name the process that listens on a port, as far as this user may see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return "a process of another user"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            try:
                process = psutil.Process(connection.pid)
                return f"process {process.pid} ({' '.join(process.cmdline())[:120] or process.name()})"
            except psutil.Error:
                break
    return "a process that cannot be seen from here"
