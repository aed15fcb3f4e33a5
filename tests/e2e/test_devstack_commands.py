"""`python -m devstack` as `make` calls it: up, status, doctor, logs, down; two folders side by side; after a supervisor
was killed."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from devstack.ports import free_port
from devstack.state import process_of, read_state
from schemas.topics import ROWS
from tests.support.stack import PORTS
from tests.support.waiting import eventually_sync


class Folder:
    """A stack of Kafka, Redis and one process, handled through the command line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ports = {name: str(free_port()) for name in PORTS}
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if name not in ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "STORAGE_URL")
            },
            **self.ports,
            "DEVSTACK_FOLDER": str(path),
            "DEVSTACK_WITHOUT": "dashboard,gateway,stream_processor,trainer",
        }

    def run(self, *words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "devstack", *words]
        done = subprocess.run(
            command, env=self.environment, cwd=self.path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.run("status", "--json")))

    def findings(self) -> dict[str, str]:
        asked = subprocess.run(
            [sys.executable, "-m", "devstack", "doctor", "--json"],
            env=self.environment, cwd=self.path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return {found["check"]: found["state"] for found in json.loads(asked.stdout)}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    made.run("down")


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    made = Folder(tmp_path_factory.mktemp("other"))
    yield made
    made.run("down")


async def test_two_stacks_run_side_by_side_and_keep_their_data_over_down_and_up(folder: Folder, other: Folder) -> None:
    folder.run("up")
    other.run("up")
    first, second = folder.status(), other.status()
    assert first["phase"] == second["phase"] == "ready"
    assert {part["name"] for part in first["parts"]} == {"kafka", "redis", "producer"}
    assert all(part["memory_bytes"] > 0 for part in first["parts"])
    async with AIOKafkaProducer(bootstrap_servers=first["bootstrap"], acks="all") as producer:
        await producer.send_and_wait(ROWS.name, b"kept", partition=0)
    folder.run("down")
    assert other.status()["phase"] == "ready"
    assert "nothing runs" in folder.run("status", code=1)
    folder.run("up")
    tp = TopicPartition(ROWS.name, 0)
    async with AIOKafkaConsumer(bootstrap_servers=first["bootstrap"], auto_offset_reset="earliest") as consumer:
        consumer.assign([tp])
        assert (await consumer.getone()).value == b"kept"


def test_up_twice_is_once_and_doctor_finds_all_well(folder: Folder) -> None:
    folder.run("up")
    before = {part["name"]: part["pid"] for part in folder.status()["parts"]}
    folder.run("up")
    assert {part["name"]: part["pid"] for part in folder.status()["parts"]} == before
    assert set(folder.findings().values()) == {"ok"}
    assert "partition taken over" in folder.run("logs", "producer", "--no-follow")


def test_a_killed_supervisor_leaves_nothing_behind_and_the_stack_starts_again(folder: Folder) -> None:
    folder.run("up")
    state = read_state(folder.path)
    assert state is not None
    os.kill(state.supervisor_pid, signal.SIGKILL)
    eventually_sync(lambda: not any(process_of(part) for part in state.parts), message="every part ended")
    assert "nothing runs" in folder.run("status", code=1)
    assert folder.findings()["stack"] == "ok"
    folder.run("up")
    assert folder.status()["phase"] == "ready"


def test_every_taken_port_is_named_with_its_holder_and_its_setting(folder: Folder) -> None:
    with (
        socket.create_server(("127.0.0.1", int(folder.ports["PRODUCER_HEALTH_PORT"]))),
        socket.create_server(("127.0.0.1", int(folder.ports["DEVSTACK_REDIS_PORT"]))),
    ):
        said = folder.run("up", code=1)
        assert f"for producer is taken by process {os.getpid()} " in said
        assert "PRODUCER_HEALTH_PORT=<port>" in said
        assert "DEVSTACK_REDIS_PORT=<port>" in said
        assert folder.findings()[f"port {folder.ports['DEVSTACK_REDIS_PORT']}"] == "failed"


def test_topics_of_another_count_stop_the_start_with_the_reason(folder: Folder) -> None:
    folder.run("up")
    folder.run("down")
    folder.environment["CONTROL_PARTITIONS"] = "6"
    said = folder.run("up", code=1)
    assert "tasks.v1 has 4 partitions, wanted 6" in said
    del folder.environment["CONTROL_PARTITIONS"]
