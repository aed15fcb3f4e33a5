"""The files of examples/own_broker make a Kafka that speaks TLS and asks for a password, and our settings reach it.
Nothing else does."""

import base64
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.child import Child
from devstack.java import java, kafka_jars
from devstack.kafka import JVM, LOGGING
from devstack.ports import free_port, is_listening

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_broker"
USER, PASSWORD = "intelliinspect", "change-me"
ROUND_TRIP = """
import asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from runtime.settings import ProcessSettings
from schemas.topics import INGRESS

async def main():
    kafka = ProcessSettings().kafka()
    producer, consumer = AIOKafkaProducer(**kafka), AIOKafkaConsumer(**kafka, isolation_level="read_committed")
    async with producer, consumer:
        sent = await producer.send_and_wait(INGRESS.name, b"{}", partition=0)
        place = TopicPartition(INGRESS.name, 0)
        consumer.assign([place])
        consumer.seek(place, sent.offset)
        print((await asyncio.wait_for(consumer.getone(), 20)).value.decode())

asyncio.run(asyncio.wait_for(main(), 45))
"""


class Secured:
    """A running broker, and what a process of ours is told of it."""

    def __init__(self, port: int, certificates: Path) -> None:
        self.port = port
        self.environment = os.environ | {
            line.partition("=")[0]: line.partition("=")[2]
            for line in (EXAMPLE / "env.example").read_text().splitlines()
            if line[:1] not in "#"
        }
        self.environment |= {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
            "SSL_CERT_FILE": str(certificates / "ca.pem"),
        }

    def runs(self, *words: str, cwd: Path, **changed: str) -> subprocess.CompletedProcess[str]:
        """A Python of ours, with its settings."""
        environment = {**self.environment, "PYTHONPATH": str(EXAMPLE.parents[1]), **changed}
        return subprocess.run(
            [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=100, check=False
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """As the README of the example does it."""
    folder = tmp_path_factory.mktemp("own-broker")
    certificates, port = folder / "certificates", free_port()
    subprocess.run([EXAMPLE / "certificates.sh", certificates], check=True, capture_output=True)
    text = (EXAMPLE / "server.properties").read_text()
    filled = {
        "PORT": port,
        "CONTROLLER_PORT": free_port(),
        "DATA": folder / "data",
        "CERTIFICATES": certificates,
        "BROKER_PASSWORD": "broker-secret",
    }
    for name, value in filled.items():
        text = text.replace(f"@{name}@", str(value))
    (folder / "filled.properties").write_text(text)
    classpath = ":".join(str(jar) for jar in kafka_jars(None))
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    users = [
        ("--add-scram", f"SCRAM-SHA-512=[name={name},password={secret}]")
        for name, secret in (("broker", "broker-secret"), (USER, PASSWORD))
    ]
    format_ = [
        "kafka.tools.StorageTool",
        "format",
        "-t",
        cluster,
        "-c",
        str(folder / "filled.properties"),
        *users[0],
        *users[1],
    ]
    done = subprocess.run([java(), *JVM, "-cp", classpath, *format_], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    child = Child(
        "kafka",
        [java(), *JVM, *LOGGING, "-cp", classpath, "kafka.Kafka", str(folder / "filled.properties")],
        folder / "kafka.log",
    )
    child.start(lambda: is_listening(port), timeout_seconds=60)
    yield Secured(port, certificates)
    child.stop()


@pytest.mark.timeout(200)
def test_topics_are_made_and_a_record_goes_there_and_back(secured: Secured, tmp_path: Path) -> None:
    made = secured.runs("-m", "devstack", "topics", cwd=tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    again = secured.runs("-m", "devstack", "topics", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    told = secured.runs("-c", ROUND_TRIP, cwd=tmp_path)
    assert (told.returncode, told.stdout.strip()) == (0, "{}"), told.stderr


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"KAFKA_SASL_PASSWORD": "guessed"}, "uthentication"),
        ({"SSL_CERT_FILE": os.devnull}, "CERTIFICATE_VERIFY_FAILED"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "onnection"),
    ],
)
def test_whoever_is_not_let_in_is_told(secured: Secured, tmp_path: Path, changed: dict[str, str], said: str) -> None:
    refused = secured.runs("-c", ROUND_TRIP, cwd=tmp_path, **changed)
    assert refused.returncode != 0
    assert said in refused.stderr


def test_the_example_sets_only_settings_that_exist() -> None:
    from runtime.settings import ProcessSettings, variable

    known = {variable(ProcessSettings, field) for field in ProcessSettings.model_fields} | {"SSL_CERT_FILE"}
    lines = [line.removeprefix("# ") for line in (EXAMPLE / "env.example").read_text().splitlines()]
    named = {line.partition("=")[0] for line in lines if line.partition("=")[0].isupper()}
    assert {"KAFKA_SECURITY_PROTOCOL", "REDIS_URL"} <= named <= known
