"""Settings that belong together, half set: one sentence that names the variable, exit code 78, no traceback, no
password."""

import os
import subprocess
import sys

import pytest

GATEWAY = [sys.executable, "-m", "gateway"]
DEVSTACK = [sys.executable, "-m", "devstack", "topics"]
SASL = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}


@pytest.mark.parametrize("command", [GATEWAY, DEVSTACK], ids=["gateway", "devstack"])
@pytest.mark.parametrize(
    ("given", "named"),
    [
        (SASL, ["KAFKA_SASL_PASSWORD", "KAFKA_SASL_USERNAME"]),
        (SASL | {"KAFKA_SASL_USERNAME": "u"}, ["KAFKA_SASL_PASSWORD"]),
        (SASL | {"KAFKA_SASL_PASSWORD": "hidden-one"}, ["KAFKA_SASL_USERNAME"]),
        (SASL | {"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": ""}, ["KAFKA_SASL_PASSWORD"]),
        ({"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "hidden-one"}, ["KAFKA_SECURITY_PROTOCOL"]),
        ({"REDIS_URL": "http://:hidden-one@host"}, ["REDIS_URL"]),
        ({"REDIS_URL": "redis://:hidden-one@host:port/0"}, ["REDIS_URL"]),
        ({"REDIS_URL": "redis://:hidden-one@host/nonsense"}, ["REDIS_URL"]),
        ({"KAFKA_BOOTSTRAP_SERVERS": "localhost"}, ["KAFKA_BOOTSTRAP_SERVERS"]),
        ({"KAFKA_BOOTSTRAP_SERVERS": "a:9092,"}, ["KAFKA_BOOTSTRAP_SERVERS"]),
    ],
    ids=str,
)
def test_half_set_settings_are_said_and_end_the_process(
    command: list[str], given: dict[str, str], named: list[str]
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "REDIS_"))}
    ended = subprocess.run(command, env=environment | given, capture_output=True, text=True, timeout=60, check=False)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 78, said
    assert all(name in said for name in named)
    assert "Traceback" not in said
    assert "hidden-one" not in said
