"""HTTP shapes of `/v1/quarantine`: records that their readers pass over."""

from datetime import datetime

from pydantic import Field

from schemas.http.shared import Shape


class QuarantineSummary(Shape):
    """A record in quarantine. `place` is its name: topic:partition:offset, where it stands."""

    place: str
    topic: str
    partition: int
    offset: int
    reason: str
    reader: str = Field(description="who passed it over")
    quarantined_at: datetime
    by_hand: bool = Field(description="a person asked for it")


class QuarantineList(Shape):
    """Records in quarantine, newest first. `total` counts all that are known, by topic `by_topic`."""

    items: list[QuarantineSummary]
    total: int
    by_topic: dict[str, int]


class QuarantineView(QuarantineSummary):
    """A record with its bytes, of many the beginning. A text is null when the bytes are not UTF-8."""

    key_text: str | None
    key_base64: str | None
    value_text: str | None
    value_base64: str | None
    value_bytes: int = Field(description="length of the whole value")
