"""Settings that every process shares: where Kafka, Redis and the storage are. Read once at start, passed on as plain
values."""

import os
from collections.abc import Mapping
from typing import ClassVar, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.errors import ConfigurationError

Settings = TypeVar("Settings", bound=BaseSettings)


def shared(name: str) -> AliasChoices:
    """An environment name that is read as it is, without the process's prefix."""
    return AliasChoices(name, name.upper())


class ProcessSettings(BaseSettings):
    """Base of each process's settings; a subclass adds its own fields under its own `env_prefix`."""

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, env_ignore_empty=True)
    former: ClassVar[Mapping[str, str]] = {}
    """Variables that are read no more, and what to set instead."""

    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", validation_alias=shared("kafka_bootstrap_servers"))
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", validation_alias=shared("kafka_security_protocol")
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", validation_alias=shared("kafka_sasl_mechanism")
    )
    kafka_sasl_username: str | None = Field(None, validation_alias=shared("kafka_sasl_username"))
    kafka_sasl_password: SecretStr | None = Field(None, validation_alias=shared("kafka_sasl_password"))
    redis_url: str = Field("redis://127.0.0.1:6379/0", validation_alias=shared("redis_url"))
    storage_url: str = Field("file://./.devstack/storage", validation_alias=shared("storage_url"))
    data_partitions: int = Field(
        8,
        ge=1,
        validation_alias=shared("data_partitions"),
        description="partitions of rows.v1 and what follows from it",
    )
    control_partitions: int = Field(
        4,
        ge=1,
        validation_alias=shared("control_partitions"),
        description="partitions of tasks.v1, commands, positions",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", validation_alias=shared("log_level"))
    log_format: Literal["json", "console"] = Field("json", validation_alias=shared("log_format"))

    @model_validator(mode="after")
    def _are_whole(self) -> Self:
        """Of settings that belong together all are given; addresses can be read."""
        sasl = self.kafka_security_protocol.startswith("SASL")
        secrets = {"KAFKA_SASL_USERNAME": self.kafka_sasl_username, "KAFKA_SASL_PASSWORD": self.kafka_sasl_password}
        given = {
            name
            for name, value in secrets.items()
            if value and (not isinstance(value, SecretStr) or value.get_secret_value())
        }
        if sasl and (missing := sorted(set(secrets) - given)):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL is {self.kafka_security_protocol}: {' and '.join(missing)} must be set, too"
            )
        if given and not sasl:
            raise ValueError(
                f"{' and '.join(sorted(given))} would not be used: KAFKA_SECURITY_PROTOCOL is"
                f" {self.kafka_security_protocol}, set it to SASL_SSL or SASL_PLAINTEXT"
            )
        _check_redis(self.redis_url)
        _check_brokers(self.kafka_bootstrap_servers)
        return self

    def kafka(self) -> dict[str, object]:
        """Keyword arguments that every aiokafka client of this process takes."""
        from aiokafka.helpers import create_ssl_context

        arguments: dict[str, object] = {
            "bootstrap_servers": self.kafka_bootstrap_servers,
            "security_protocol": self.kafka_security_protocol,
        }
        if "SSL" in self.kafka_security_protocol.split("_"):
            arguments["ssl_context"] = create_ssl_context()
        if self.kafka_security_protocol.startswith("SASL"):
            arguments |= {
                "sasl_mechanism": self.kafka_sasl_mechanism,
                "sasl_plain_username": self.kafka_sasl_username,
                "sasl_plain_password": (
                    self.kafka_sasl_password.get_secret_value() if self.kafka_sasl_password else None
                ),
            }
        return arguments


def load(settings: type[Settings]) -> Settings:
    """Read the settings from the environment; raise `ConfigurationError` that names every wrong variable in one
    message."""
    former = getattr(settings, "former", {})
    wrong = [f"{name} is read no more: {instead}" for name, instead in former.items() if os.environ.get(name)]
    try:
        found = settings()
    except ValidationError as error:
        wrong += [_wrong(settings, problem) for problem in error.errors()]
        raise ConfigurationError("; ".join(wrong)) from error
    if wrong:
        raise ConfigurationError("; ".join(wrong))
    return found


def variable(settings: type[BaseSettings], field: str) -> str:
    """The environment variable that sets a field."""
    alias = settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[-1])
    return str(alias) if alias else f"{settings.model_config.get('env_prefix', '')}{field}".upper()


def _wrong(settings: type[BaseSettings], problem: ErrorDetails) -> str:
    """`GATEWAY_PORT=x: Input should be a valid integer`; of a secret the value is left out."""
    where = str(problem["loc"][0]) if problem["loc"] else ""
    names = {variable(settings, field): field for field in settings.model_fields}
    field = where if where in settings.model_fields else names.get(where.upper(), "")
    if not field:
        return (f"{where}: " if where else "") + str(problem["msg"]).removeprefix("Value error, ")
    secret = "secret" in str(settings.model_fields[field].annotation).lower()
    given = "" if secret else f"={problem['input']}"
    return f"{variable(settings, field)}{given}: {problem['msg']}"


def _check_redis(url: str) -> None:
    """Raise `ValueError` unless it is the address of a Redis; the address itself is not named: it may hold a
    password."""
    try:
        found = urlsplit(url)
        known = found.scheme in ("redis", "rediss", "unix")
        numbered = found.scheme == "unix" or found.path.strip("/").isdecimal() or not found.path.strip("/")
        whole = bool(found.path) if found.scheme == "unix" else found.port != 0
    except ValueError:
        known = numbered = whole = False
    if not (known and numbered and whole):
        raise ValueError(
            "REDIS_URL must be like redis://host:6379/0, rediss://user:password@host:6379/0 or unix:///path"
        )


def _check_brokers(servers: str) -> None:
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError("KAFKA_BOOTSTRAP_SERVERS must be host:port, several separated by commas")
