"""Settings of the development stack: prefix `DEVSTACK_`, and the ports of the processes under the processes' own names.

A `.env` file in the working directory is read too (see `.env.example`); the environment wins over it.
"""

import os
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from devstack.ports import LOOPBACK
from runtime.settings import ProcessSettings, load


class Port(NamedTuple):
    """A port and the environment variable that sets it."""

    number: int
    setting: str


def _port(setting: str, default: int) -> int:
    return Field(
        default,
        ge=1,
        le=65535,
        validation_alias=setting,
        description=f"{setting}, moved by DEVSTACK_PORT_OFFSET unless given",
    )


class DevstackSettings(ProcessSettings):
    """What `python -m devstack` needs to know; every process's own settings pass through it untouched."""

    model_config = SettingsConfigDict(
        env_prefix="DEVSTACK_", extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    folder: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        Path(".devstack"), validate_default=True, description="data, logs and state of this stack"
    )
    port_offset: int = Field(
        0, ge=0, le=50_000, description="added to every port that is not given: a second stack beside the first"
    )
    without: str = Field("", description="processes that are left out, separated by commas, such as dashboard")
    redis_appendonly: bool = Field(
        False, description="Redis keeps its data over restarts; it is only a view, so it need not"
    )
    start_timeout_seconds: float = Field(120.0, gt=0, description="a part that is not ready in time is started again")
    live_timeout_seconds: float = Field(
        30.0, gt=0, description="a process whose /live fails for so long is started again"
    )
    max_restarts: int = Field(
        8, ge=0, description="restarts in a row, without `stable_seconds` between, before a part is set aside"
    )
    set_aside_seconds: float = Field(
        600.0, gt=0, description="a part that is set aside is tried again after so long, or by `make up`"
    )
    stable_seconds: float = Field(30.0, gt=0, description="a part that was ready for so long starts its restarts anew")
    backoff_seconds: float = Field(0.5, gt=0, description="wait before the first restart; doubles up to 10 s")
    stop_timeout_seconds: float = Field(28.0, gt=1, description="everything is stopped within this time, or killed")
    log_bytes: int = Field(
        20 << 20, gt=0, description="a log that grows beyond this starts anew; the former one is kept as .1"
    )

    kafka_port: int = _port("DEVSTACK_KAFKA_PORT", 9092)
    kafka_controller_port: int = _port("DEVSTACK_KAFKA_CONTROLLER_PORT", 9093)
    redis_port: int = _port("DEVSTACK_REDIS_PORT", 6379)
    gateway_port: int = _port("GATEWAY_PORT", 8000)
    stream_processor_port: int = _port("STREAM_PROCESSOR_HEALTH_PORT", 8101)
    producer_port: int = _port("PRODUCER_HEALTH_PORT", 8102)
    trainer_port: int = _port("TRAINER_HEALTH_PORT", 8103)
    dashboard_port: int = _port("DASHBOARD_PORT", 8080)

    def port(self, part: str) -> Port:
        """Where a part listens on this machine."""
        field = f"{part}_port"
        setting = str(type(self).model_fields[field].validation_alias)
        offset = 0 if field in self.model_fields_set else self.port_offset
        return Port(getattr(self, field) + offset, setting)

    @property
    def left_out(self) -> set[str]:
        """Names of the processes that are left out."""
        return {name.strip() for name in self.without.split(",") if name.strip()}

    @property
    def own_kafka(self) -> bool:
        """Whether the stack runs Kafka itself: no KAFKA_BOOTSTRAP_SERVERS is given."""
        return "kafka_bootstrap_servers" not in self.model_fields_set

    @property
    def own_redis(self) -> bool:
        """Whether the stack runs Redis itself: no REDIS_URL is given."""
        return "redis_url" not in self.model_fields_set

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def bootstrap(self) -> str:
        """The broker's address, given or our own."""
        return f"{LOOPBACK}:{self.port('kafka').number}" if self.own_kafka else self.kafka_bootstrap_servers

    @property
    def redis(self) -> str:
        """The Redis URL, given or our own."""
        return f"redis://{LOOPBACK}:{self.port('redis').number}/0" if self.own_redis else self.redis_url

    @property
    def storage(self) -> str:
        """The storage URL, given or a folder of this stack."""
        return self.storage_url if "storage_url" in self.model_fields_set else f"file://{self.folder}/storage"

    @property
    def gateway_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port('gateway').number}"

    def kafka(self) -> dict[str, object]:
        """Keyword arguments for aiokafka clients of this stack."""
        return {**super().kafka(), "bootstrap_servers": self.bootstrap}


def read_env_file() -> None:
    """Take what `.env` says into the environment, which wins over it."""
    from dotenv import dotenv_values

    for name, value in dotenv_values(".env").items():
        if value is not None:
            os.environ.setdefault(name, value)


def load_settings() -> DevstackSettings:
    """Read the environment and `.env`. Raises `ConfigurationError`."""
    read_env_file()
    return load(DevstackSettings)
