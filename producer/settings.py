"""Settings of the producer: prefix `PRODUCER_`."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from runtime.settings import ProcessSettings


class ProducerSettings(ProcessSettings):
    """What the producer needs beside the shared settings."""

    model_config = SettingsConfigDict(env_prefix="PRODUCER_", extra="ignore", populate_by_name=True)

    health_host: str = "127.0.0.1"
    health_port: int = Field(8102, ge=0, le=65535)
    group: str = Field("producer", description="producers of one group share the runs")
    session_timeout_seconds: float = Field(10.0, gt=0, description="after a crash its runs stand still for so long")
    report_interval_seconds: float = Field(
        1.0, gt=0, description="positions and progress are written so often; a crash repeats so much"
    )
    compression: Literal["none", "lz4", "zstd", "snappy"] = "none"
    encoding: Literal["auto", "json", "packed"] = Field(
        "auto", description="of rows: packed is faster, JSON is readable; auto packs at full speed"
    )
    replays_kept: int = Field(
        50,
        ge=0,
        description=(
            "so many ended replays of each control partition keep their rows in the storage, for retries: the newest"
        ),
    )
    max_lag_rows: int = Field(
        20_000,
        ge=0,
        description=(
            "full speed waits while so many rows are not scored yet, for rows of other runs wait behind them; runs with"
            " a pace wait at ten times as many; 0: never"
        ),
    )
