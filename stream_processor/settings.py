"""Settings of the stream processor: prefix `STREAM_PROCESSOR_`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from runtime.settings import ProcessSettings


class StreamProcessorSettings(ProcessSettings):
    """Everything beside `health_*` was measured or argued in docs/design/streaming.md; the defaults fit one machine and
    a cluster alike."""

    model_config = SettingsConfigDict(env_prefix="STREAM_PROCESSOR_", extra="ignore", populate_by_name=True)

    health_host: str = "127.0.0.1"
    health_port: int = Field(8101, ge=0, le=65535)
    batch_rows: int = Field(2000, ge=1, description="most records in one transaction")
    batch_bytes: int = Field(4 << 20, ge=1, description="about the most bytes of records in one transaction")
    exact_reasons_max_rows: int = Field(
        8, ge=0, description="up to this many rows in a batch the reasons are exact tree contributions"
    )
    approximate_reasons_max_rows: int = Field(
        256, ge=0, description="up to this many they are approximate; above, only the last row has any"
    )
    top_features: int = Field(3, ge=0)
    max_consecutive_dead_letters: int = Field(
        100, ge=0, description="a lane of a run with more dead letters in a row ends it as FAILED; 0: none does"
    )
    max_dead_letter_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="so does a larger share of dead letters, once 1,000 rows of the lane are handled; 1: none does",
    )
    foreign_rows_on_rows: bool = Field(
        False,
        description=(
            "rows of other systems are taken on rows.v1, too, for one release; else they are dead letters there"
        ),
    )
    forwarded_headers: str = Field(
        "traceparent,tracestate,correlation-id",
        description="headers of a row of another system that its prediction carries on",
    )
    external_runs_max: int = Field(
        2000,
        ge=0,
        description="runs of other systems in a partition, one for each key; rows of further keys share one",
    )
    models_max: int = Field(16, ge=1, description="model versions kept in memory")
    session_timeout_seconds: float = Field(
        6.0,
        gt=0,
        description=(
            "a worker that is silent for so long loses its partitions; not below the broker's"
            " group.min.session.timeout.ms"
        ),
    )
    transaction_timeout_seconds: float = Field(30.0, gt=0)
    unavailable_after_seconds: float = Field(
        60.0, gt=0, description="how long Kafka or the storage may be away before the process exits 75"
    )
    stall_timeout_seconds: float = Field(
        60.0, gt=0, description="exit 75 when there is lag and no progress for so long"
    )
    stop_timeout_seconds: float = Field(25.0, gt=0, description="exit 75 when a stop takes longer")
