"""How values are shown: status words, score scale, sizes, times. Pure.

Everything inside speaks the plain words and the scale 0-1, and so do `/v1` and our own pages; only answers of the older
route groups pass through a dialect (ADR 0032).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from schemas.http.shared import AnyStatus
from schemas.manifests import DatasetManifest
from schemas.messages import Status
from schemas.shown import without_secrets

CELERY: dict[Status, AnyStatus] = {
    "PENDING": "PENDING",
    "IN_PROGRESS": "PROGRESS",
    "PAUSED": "PROGRESS",
    "COMPLETED": "SUCCESS",
    "FAILED": "FAILURE",
    "STOPPED": "REVOKED",
}


Verdict = Literal["PASS", "FAIL", "Pass", "Fail"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a group of routes says it: as the contract does, or as the old clients need it (`old`): their words, percent,
    figures for C#."""

    old: bool = False

    def word(self, status: Status) -> AnyStatus:
        """The status as this dialect says it."""
        return CELERY[status] if self.old else status

    def verdict(self, verdict: Literal["PASS", "FAIL"]) -> Verdict:
        """PASS and FAIL as this dialect writes them."""
        if not self.old:
            return verdict
        return "Pass" if verdict == "PASS" else "Fail"

    def score(self, probability: float) -> float:
        """A confidence or quality score on this dialect's scale."""
        return probability * 100 if self.old else probability

    def figure(self, value: float | None) -> float | None:
        """A figure that may be undefined; C# has no `double` for that, so old clients see 0.0."""
        return 0.0 if value is None and self.old else value


CONTRACT, OLD = Dialect(), Dialect(old=True)


def size_text(size: int) -> str:
    """A file size for people: `512 B`, `1.20 MB` (1 MB = 1024 KB)."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KB", "MB", "GB"):
        value /= 1024
        if round(value, 2) < 1024:
            return f"{value:.2f} {unit}"
    return f"{value / 1024:.2f} TB"


def time_text(moment: datetime) -> str:
    """UTC, RFC 3339 with `Z`; a fraction only where there is one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def pass_rate(passed: int, failed: int) -> float:
    """Share of PASS in percent, two decimals."""
    return round(100 * passed / (passed + failed), 2) if passed + failed else 0.0


def shown_path(storage_url: str, path: str) -> str:
    """Where a stored file is, for a client: an absolute path when the storage is a folder, else its URL."""
    if "://" in storage_url and not storage_url.startswith("file://"):
        return f"{without_secrets(storage_url).rstrip('/')}/{path}"
    return str(Path(storage_url.removeprefix("file://")).absolute() / path)


def reading_notices(dataset: DatasetManifest) -> list[str]:
    """What a person should know of how a file was read, a sentence each."""
    report = dataset.report
    if report is None:
        return []
    left_out = [f"{one.column!r} is no feature: {one.reason}." for one in report.left_out]
    return [*(notice.message for notice in report.notices), *left_out, *(suspect.reason for suspect in report.suspects)]
