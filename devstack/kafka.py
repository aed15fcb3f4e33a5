"""A real Apache Kafka broker (KRaft, one node) as a child process: no container engine, no system Java, no root.

Data lives in `folder` and survives restarts, also after `kill -9`. Auto-creation of topics is off.
"""

import base64
import subprocess
import uuid
from pathlib import Path

from devstack.child import Child
from devstack.errors import PartFailed
from devstack.java import Progress, java, kafka_jars
from devstack.ports import LOOPBACK, free_port, is_listening, require_free

JVM = (
    "-Xms64m",
    "-Xmx512m",
    "-Xmn64m",  # at 100 rows/s one pause in 1.5 s (13 to 32 ms were seen), not two a second (8 to 14)
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=240m",  # the usual 48 made full collections of 117 ms, "CodeCache GC Threshold"
    "--sun-misc-unsafe-memory-access=allow",
)
LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)
PORT_SETTING, CONTROLLER_PORT_SETTING = "DEVSTACK_KAFKA_PORT", "DEVSTACK_KAFKA_CONTROLLER_PORT"


def properties(data: Path, port: int, controller_port: int) -> str:
    """The broker's settings: small, quick to start, quick to notice that a client died.

    After `kill -9` it waits for its own old session (default 9 s) before it leads again; with 3 s it was fenced on a
    machine at load 20. Readers of committed records wait behind an open transaction, whoever left it: a minute is the
    default of all clients, and the most. Topics made before their time was the broker's (`schemas.topics`) must take
    writers whose clock is ahead."""
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{LOOPBACK}:{controller_port}
listeners=PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}
advertised.listeners=PLAINTEXT://{LOOPBACK}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes={4 << 20}
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=6000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
transaction.max.timeout.ms=60000
log.message.timestamp.after.max.ms={(1 << 63) - 1}
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
log.segment.bytes={128 << 20}
log.index.size.max.bytes={1 << 20}
log.cleaner.dedupe.buffer.size={16 << 20}
num.network.threads=2
num.io.threads=4
background.threads=2
"""


class EmbeddedKafka:
    """One broker in a folder. `start` downloads and formats when needed; a port of 0 is chosen once and kept for
    restarts."""

    def __init__(self, folder: Path, *, port: int = 0, controller_port: int = 0, log: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()
        self.controller_port = controller_port or free_port()
        self.log = log or self.folder / "kafka.log"
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        """Value for `bootstrap_servers`."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def child(self) -> Child:
        """The broker's process. Raises `PartFailed` before the first start."""
        if self._child is None:
            raise PartFailed("kafka was never started")
        return self._child

    def start(self, *, progress: Progress | None = None, timeout_seconds: float = 60.0) -> None:
        """Start, and wait until it listens. Raises `DownloadFailed`, `PortTaken`, `PartFailed`."""
        command = self.prepare(progress)
        require_free(self.port, part="kafka", setting=PORT_SETTING)
        require_free(self.controller_port, part="kafka's controller", setting=CONTROLLER_PORT_SETTING)
        self._child = Child("kafka", command, self.log)
        self._child.start(lambda: is_listening(self.port), timeout_seconds=timeout_seconds)

    def stop(self) -> None:
        """Stop cleanly: everything is flushed, the next start needs no recovery."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()

    def prepare(self, progress: Progress | None = None) -> list[str]:
        """Download what is missing, write the settings, format the folder once; return the command that runs the
        broker."""
        classpath = ":".join(str(jar) for jar in kafka_jars(progress))
        data, config = self.folder / "data", self.folder / "server.properties"
        self.folder.mkdir(parents=True, exist_ok=True)
        config.write_text(properties(data, self.port, self.controller_port))
        if not (data / "meta.properties").exists():
            cluster = (
                base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
            )  # a leading dash would be an option
            self._run_tool(classpath, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config))
        return [java(), *JVM, *LOGGING, "-cp", classpath, "kafka.Kafka", str(config)]

    def _run_tool(self, classpath: str, *arguments: str) -> None:
        result = subprocess.run(
            [java(), *JVM, "-cp", classpath, *arguments], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise PartFailed(f"kafka could not be set up: {' '.join(arguments)}\n{result.stdout}{result.stderr}")
