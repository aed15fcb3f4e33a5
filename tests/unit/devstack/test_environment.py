"""`.env.example`, docker-compose.yml and the settings classes say the same."""

import re
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field, SecretStr

from devstack.environment import check, example, settings_classes
from devstack.settings import DevstackSettings
from runtime.errors import ConfigurationError
from runtime.settings import ProcessSettings, load, variable

REPOSITORY = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
OURS = {"gateway", "stream_processor", "producer", "trainer", "dashboard"}


def known_names() -> set[str]:
    return {variable(settings, field) for _, settings in settings_classes() for field in settings.model_fields}


def test_env_example_holds_every_setting_of_every_process() -> None:
    assert (REPOSITORY / ".env.example").read_text() == example(), "run: python -m devstack.environment > .env.example"


def test_env_example_names_each_setting_once() -> None:
    names = re.findall(r"^# ([A-Z_]+)=", example(), re.MULTILINE)
    assert len(names) == len(set(names))
    assert set(names) == known_names() | {"DEMO_ROWS", "DEMO_EXIT"}


def test_compose_sets_only_settings_that_exist() -> None:
    for name in OURS | {"topics"}:
        assert set(COMPOSE["services"][name]["environment"]) <= known_names(), name


def test_compose_runs_every_process_without_root_with_health_check_volume_and_graceful_stop() -> None:
    services = COMPOSE["services"]
    assert set(services) == OURS | {"kafka", "redis", "topics"}
    for name in OURS:
        service = services[name]
        assert service["command"] == ["python", "-m", name]
        assert (service["stop_grace_period"], service["cap_drop"], service["volumes"]) == (
            "30s",
            ["ALL"],
            ["storage:/data"],
        )
        assert service["healthcheck"]["test"][0] == "CMD"
    assert "USER inspect" in (REPOSITORY / "Dockerfile").read_text()


def test_compose_takes_the_broker_that_the_embedded_stack_takes() -> None:
    from devstack.java import KAFKA_VERSION

    assert COMPOSE["services"]["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_port_offset_moves_every_port_that_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVSTACK_PORT_OFFSET", "100")
    monkeypatch.setenv("GATEWAY_PORT", "8500")
    settings = DevstackSettings()
    assert settings.port("kafka") == (9192, "DEVSTACK_KAFKA_PORT")
    assert settings.port("gateway") == (8500, "GATEWAY_PORT")
    assert (settings.bootstrap, settings.redis) == ("127.0.0.1:9192", "redis://127.0.0.1:6479/0")


def test_a_given_broker_and_redis_are_used_and_not_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    monkeypatch.setenv("REDIS_URL", "redis://redis.example/3")
    monkeypatch.setenv("DEVSTACK_FOLDER", str(tmp_path))
    settings = DevstackSettings()
    assert (settings.own_kafka, settings.own_redis) == (False, False)
    assert (settings.bootstrap, settings.redis) == ("kafka.example:9092", "redis://redis.example/3")
    assert settings.storage == f"file://{tmp_path}/storage"


def test_an_empty_variable_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")
    assert DevstackSettings().own_kafka


LINES = [line.removeprefix("# ") for line in example().splitlines() if re.match(r"# [A-Z_]+=", line)]
CLASSES = [settings for _, settings in settings_classes()]


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in known_names():
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("line", LINES)
def test_each_line_uncommented_changes_nothing_and_starts_every_process(clean: pytest.MonkeyPatch, line: str) -> None:
    as_it_is = [load(settings).model_dump() for settings in CLASSES]
    name, _, value = line.partition("=")
    clean.setenv(name, value)
    assert [load(settings).model_dump() for settings in CLASSES] == as_it_is


def test_all_lines_uncommented_start_every_process(clean: pytest.MonkeyPatch) -> None:
    for line in LINES:
        name, _, value = line.partition("=")
        clean.setenv(name, value)
    check()


def test_wrong_settings_are_named_by_their_variables_all_at_once(clean: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("GATEWAY_PORT", "http"),
        ("TRAINER_JOBS", "0"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("DASHBOARD_PORT", "-1"),
    ):
        clean.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        check()
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "KAFKA_SECURITY_PROTOCOL=TLS",
        "GATEWAY_PORT=http",
        "TRAINER_JOBS=0",
        "DASHBOARD_PORT=-1",
    ]


def test_secrets_are_not_repeated(clean: pytest.MonkeyPatch) -> None:
    class Secretive(ProcessSettings):
        password: Annotated[SecretStr, Field(min_length=20)] = SecretStr("")

    clean.setenv("PASSWORD", "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        load(Secretive)
    assert str(caught.value).startswith("PASSWORD: ")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("GATEWAY_STATUS_STYLE", "celery"), ("GATEWAY_SCORE_SCALE", "100")])
def test_settings_of_old_are_refused_with_what_replaces_them(clean: pytest.MonkeyPatch, name: str, value: str) -> None:
    clean.setenv(name, value)
    with pytest.raises(ConfigurationError, match=rf"{name} is read no more: set GATEWAY_ML_DIALECT=celery"):
        check()
