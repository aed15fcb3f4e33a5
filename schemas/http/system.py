"""HTTP shapes of `GET /v1/system`: what runs, what is down and what that means. What is not known is null, never
guessed."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.http.shared import Shape


class SystemPart(Shape):
    """A process or server. `unknown`: the part that could tell is down itself."""

    name: Literal["gateway", "kafka", "redis", "view", "storage", "producer", "stream_processor", "trainer"]
    state: Literal["up", "down", "unknown"]
    processes: int | None = Field(None, description="how many of them there are; null for servers")
    detail: str | None = Field(None, description="what is wrong, or what it is doing")
    meaning: str = Field(description="what it means while this part is down")


class PartitionLag(Shape):
    """A partition of `rows.v1` or `ingress.rows.v1`. `position` is the next offset to be scored."""

    topic: str = "rows.v1"
    partition: int
    first_offset: int
    end_offset: int
    position: int | None
    lag: int | None = Field(description="records that are not scored yet")


class TopicView(Shape):
    """A topic as the broker has it."""

    name: str
    partitions: int
    cleanup: str | None
    retention_seconds: float | None = Field(description="null: kept for ever, or compacted")
    offsets: int = Field(description="offsets in it: records and transaction markers")
    size_bytes: int | None


class EndToEndLatency(Shape):
    """From the time a row's record entered its topic to `scored_at`, over the newest predictions."""

    rows: int
    median_seconds: float
    p95_seconds: float
    max_seconds: float
    newest_scored_at: datetime


class RedisView(Shape):
    """What Redis says of itself. `max_bytes` null: no limit."""

    version: str
    used_bytes: int
    max_bytes: int | None
    keys: int
    clients: int
    uptime_seconds: int
    policy: str | None = Field(
        None, description="what it does when it is full; any but `noeviction` removes keys of the view"
    )
    evicted_keys: int | None = Field(None, description="keys that it has removed since its start to make room")


class System(Shape):
    """The whole system at one moment. Answered within seconds also when parts are down; then their figures are null or
    empty."""

    asked_at: datetime
    status: Literal["ready", "degraded"]
    parts: list[SystemPart]
    lag: list[PartitionLag]
    total_lag: int | None
    records_per_second: float | None = Field(
        description="records of rows handled, over the last seconds; null at the first question"
    )
    latency: EndToEndLatency | None
    topics: list[TopicView]
    redis: RedisView | None
    versions: dict[str, str]
