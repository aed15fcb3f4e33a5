"""TCP ports of this machine: find a free one, say who holds a taken one."""

import random
import socket

import psutil

from devstack.errors import PortTaken

LOOPBACK = "127.0.0.1"
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on now, from below the range that the kernel gives to outgoing connections; another one each time.

    Another process may take it before the caller does.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        _given.add(port)
        return port


def is_listening(port: int, host: str = LOOPBACK) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def require_free(port: int, *, part: str, setting: str) -> None:
    """Raise `PortTaken`, naming the holder, when something listens on the port."""
    if is_listening(port):
        raise PortTaken(f"port {port} for {part} is taken by {holder(port)}; end it, or choose another port with {setting}=<port>")


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
