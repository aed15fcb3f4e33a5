"""How large a field of a message may be, and of what form: ids become keys and paths, numbers sizes, and things are
sorted by times.

A field of one of these types is checked where a message enters, by its decoder, and nowhere behind it.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta
from pydantic import AfterValidator, AwareDatetime, Field

from schemas.decoding import unfit

INTEGER_MAX = 2**53 - 1
"""Redis and JavaScript count in doubles: above it two numbers are one."""
ATTEMPT_MAX = LANE_MAX = 2**31 - 1
RUN_LANES_MAX = 64
"""Lanes of a run of ours."""
_END = r"$(?!\n)"  # Python's $ matches before a newline, too
ID_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9_.@-]{{0,99}}{_END}"
"""As `schemas.ids.RUN_ID`: no separator of paths, of keys or of lines, and no name that begins with a dot."""
WORKSPACE_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9_.-]{{0,63}}{_END}"
LETTER_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9_.:@-]{{0,299}}{_END}"
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)

Id = Annotated[str, Meta(pattern=ID_PATTERN)]
Workspace = Annotated[str, Meta(pattern=WORKSPACE_PATTERN)]
LetterId = Annotated[str, Meta(pattern=LETTER_PATTERN)]
Count = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Attempt = Annotated[int, Meta(ge=1, le=ATTEMPT_MAX)]
AcceptedAttempt = Annotated[int, Meta(ge=0, le=ATTEMPT_MAX)]
Lane = Annotated[int, Meta(ge=0, le=LANE_MAX)]
Lanes = Annotated[int, Meta(ge=1, le=LANE_MAX)]
RunLanes = Annotated[int, Meta(ge=1, le=RUN_LANES_MAX)]
Pace = Annotated[float, Meta(ge=1e-6, le=1e6)]
UtcTime = Annotated[datetime, Meta(tz=True)]


def untimely(**times: datetime | None) -> str | None:
    """Which of the times that things are sorted and found by lies outside of all sense."""
    for name, moment in times.items():
        if moment is not None and not EARLIEST <= moment < LATEST:
            return f"{name}: {moment.isoformat()} lies outside {EARLIEST.year} to {LATEST.year}"
    return None


def _sortable(moment: datetime) -> datetime:
    if problem := untimely(time=moment):
        raise ValueError(problem)
    return moment


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    if problem := unfit(value):
        raise ValueError(problem)
    return value


ManifestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}$")]
ManifestWorkspace = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
ManifestCount = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
ManifestSeed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_PART = r"[A-Za-z0-9][A-Za-z0-9_@-]*(\.[A-Za-z0-9_@-]+)*"
ManifestPath = Annotated[str, Field(max_length=300, pattern=rf"^{_PART}(/{_PART})*$")]
"""Below the storage root: no part of it begins with a dot."""
SortedTime = Annotated[AwareDatetime, AfterValidator(_sortable)]
Plain = Annotated[dict[str, Any], AfterValidator(_plain)]
