"""Settings of the gateway: `GATEWAY_…` beside those that every process shares."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from runtime.settings import ProcessSettings

GIB = 1 << 30


class GatewaySettings(ProcessSettings):
    """Read once at start."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", extra="ignore", populate_by_name=True)
    former: ClassVar[Mapping[str, str]] = {
        "GATEWAY_STATUS_STYLE": (
            "set GATEWAY_ML_DIALECT=celery for a .NET backend; the web client's routes speak its dialect by default"
        ),
        "GATEWAY_SCORE_SCALE": "set GATEWAY_ML_DIALECT=celery or GATEWAY_DOTNET_DIALECT=web, which have percent",
    }

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535, description="0 takes a free one")
    root_path: str = Field(
        "",
        pattern=r"^(/[^/?#\s]+)*$",
        description="what a proxy in front puts before every path, such as /inspect; links then stay below it",
    )
    cors_origins: str = Field(
        "auto",
        description=(
            "web pages of these origins may call, separated by commas, such as http://localhost:4200; "
            "auto: while GATEWAY_HOST is loopback, ports 4200, 5173 and 3000 of this machine"
        ),
    )
    max_upload_bytes: int = Field(10 * GIB, gt=0, description="larger uploads are answered 413")
    max_columns: int = Field(20_000, gt=0, description="a CSV with more is refused by its header")
    max_unread_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description=(
            "of a column's values, how many may be no number, or no time, and are then missing; more make it text"
        ),
    )
    max_body_bytes: int = Field(1 << 20, gt=0, description="limit of every other request's body")
    body_stall_seconds: float = Field(
        60.0, gt=0, description="a client that sends nothing of its body for so long is answered 408"
    )
    max_connections: int = Field(2000, ge=1, description="a request on one more connection is answered 503")
    upload_jobs: int = Field(2, ge=1, description="uploads and splits that are worked on at once; more wait")
    feature_selection_wait_seconds: float = Field(
        80.0,
        ge=0,
        le=90,
        description="how long a split waits for a running feature selection; .NET clients give up after 100 s",
    )
    dotnet_dialect: Literal["web", "contract"] = Field(
        "web", description="words, scales and errors on /api/: those of the web client, or those of the contract"
    )
    ml_dialect: Literal["contract", "celery"] = Field(
        "contract",
        description=(
            "words and scales on /dataset, /process, /simulation: those of the contract, or those of the .NET backend"
        ),
    )
    dependency_timeout_seconds: float = Field(5.0, gt=0, description="longest wait for Kafka or Redis before 503")
    stop_timeout_seconds: float = Field(20.0, gt=0, description="longest wait for open requests at a stop")
    predictions_kept: int = Field(
        1000, ge=1, description="newest predictions of each run in Redis; older ones are read from Kafka"
    )
    runs_kept_whole: int = Field(
        200,
        ge=1,
        description=(
            "so many runs, those with the newest predictions, have any in Redis; of older ones they are read from Kafka"
        ),
    )
    dead_letters_kept: int = Field(
        5000, ge=1, description="newest dead letters that are listed; older ones are found by their id"
    )
    kept_seconds: int = Field(
        86_400, ge=60, description="how long after their last one a run's predictions and logs stay in Redis"
    )
    rebuild_records: int = Field(
        5000, ge=0, description="how far back per partition an empty Redis is filled with predictions and logs"
    )
    projector_group: str = Field(
        "gateway-projector", description="consumer group that the gateways share the projection in"
    )
    projector_session_timeout_ms: int = Field(
        6000, ge=1000, description="after a crash another gateway projects within this time"
    )
    stop_wait_seconds: float = Field(5.0, ge=0, description="how long stopping a run waits for its final numbers")
