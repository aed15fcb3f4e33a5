"""Settings of the trainer, prefix `TRAINER_`."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from runtime.settings import ProcessSettings


class TrainerSettings(ProcessSettings):
    """How many jobs run beside each other, where and with how many threads, and how features are selected."""

    model_config = SettingsConfigDict(env_prefix="TRAINER_", extra="ignore", populate_by_name=True)

    health_host: str = "127.0.0.1"
    health_port: int = Field(8103, ge=0, le=65535)
    jobs: int = Field(
        1, ge=1, le=64, description="trainings beside each other, and as many feature selections; others wait"
    )
    threads: int = Field(0, ge=0, le=1024, description="threads of each job; 0: as many as XGBoost finds processors")
    backend: Literal["auto", "memory", "external", "dask"] = Field(
        "auto",
        description=(
            "where trees are boosted: auto takes memory while the rows fit, else external (caches on disk); dask: a"
            " cluster"
        ),
    )
    memory_share: float = Field(
        0.5, gt=0, le=1, description="share of the memory left that a training in memory may take"
    )
    dask_scheduler: str = Field("", description="address of the Dask scheduler, tcp://host:8786, for the backend dask")
    dask_timeout_seconds: float = Field(
        10.0, ge=0.1, le=600, description="wait for the cluster to answer and to have a worker"
    )
    dask_attempts: int = Field(
        3, ge=1, le=100, description="tries of a training whose Dask cluster does not answer or loses a worker"
    )
    max_attempts: int = Field(
        3, ge=1, le=100, description="tries of a task whose trainer went away, before it is FAILED"
    )
    progress_interval_seconds: float = Field(0.5, ge=0.05, le=60)
    storage_attempts: int = Field(
        5, ge=1, le=100, description="tries of a read or write before the storage counts as unavailable"
    )
    selected_features: int = Field(100, ge=1, le=10_000)
    selection_fraction: float = Field(
        0.05, gt=0, le=1, description="share of the rows in the sample of a feature selection"
    )
    selection_minimum_rows: int = Field(20_000, ge=100, description="rows in that sample at least")
    selection_time_share: float = Field(
        0.6, gt=0, le=1, description="the sample is drawn from this share of the rows, the earliest"
    )
    selection_seed: int = Field(0, ge=0, lt=2**31)
    session_timeout_ms: int = Field(
        10_000, ge=1000, le=300_000, description="after a crash nobody works on a partition for this long"
    )

    @model_validator(mode="after")
    def _names_its_cluster(self) -> Self:
        if self.backend == "dask" and not self.dask_scheduler:
            raise ValueError(
                "TRAINER_BACKEND is dask: TRAINER_DASK_SCHEDULER must name the scheduler, like tcp://host:8786"
            )
        return self
