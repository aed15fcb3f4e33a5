"""What can go wrong for a caller, as data.

ClientError
├── Refused         the gateway says no (4xx): `status`, `problems` as it gave them, each with its field
│   ├── NotFound      404, there is no such object
│   ├── Conflict      409, the object is in the wrong state for this
│   └── Gone          410, rows are not kept any more; `first_available` is the first row index that is
├── Unavailable     no gateway answers, or it answers 503, after the bounded retries: `problems`, `retry_after`
│   └── NoGateway     what answers there is no gateway, or the address is none
├── GatewayFault    the gateway failed (other 5xx), or answered in words that this client does not know: report it
├── NotInstalled    what was asked for needs an extra of the package, such as `intelliinspect[devstack]`
├── TaskFailed      `wait_for` saw the task end otherwise than COMPLETED: `status`, `reason`
└── TimedOut        `wait_for` reached its bound; the task goes on
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RequestProblem:
    """One thing the gateway found wrong. `field` is dotted (`body.train_end_date`), empty when it is about the whole
    request."""

    message: str
    field: str = ""
    type: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ClientError(Exception):
    """Base of all expected failures."""


class GatewayError(ClientError):
    """Base of those that came with an answer, or for want of one."""

    def __init__(
        self, status: int | None, problems: Sequence[RequestProblem], *, retry_after: float | None = None
    ) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.status = status
        self.problems = list(problems)
        self.retry_after = retry_after


class Refused(GatewayError):
    """The gateway says no."""


class NotFound(Refused):
    """There is no such object."""


class Conflict(Refused):
    """The object is in the wrong state for this."""


class Gone(Refused):
    """The rows asked for are not kept any more; `first_available` is the first row index that is, if any."""

    first_available: int | None = None
    next_after: str | None = None
    """Of a run that another system feeds: `after` of what is left."""


class GatewayUnavailable(GatewayError):
    """The gateway, or a part that it needs, is down. `status` is null when nothing answered."""


class NoGateway(GatewayUnavailable):
    """Something answers at the address, or the address is none; it is no gateway. Asking again is no use."""


class GatewayFault(GatewayError):
    """The gateway failed or is of another version than this client."""


class NotInstalled(ClientError):
    """What was asked for needs an extra of the package that is not installed here."""


class TaskFailed(ClientError):
    """A task that was waited for ended otherwise than COMPLETED."""

    def __init__(self, task_id: str, status: str, reason: str) -> None:
        super().__init__(f"{task_id} ended {status}: {reason}")
        self.task_id = task_id
        self.status = status
        self.reason = reason


class TimedOut(ClientError):
    """The bound of a wait passed. The task goes on."""

    def __init__(self, task_id: str, seconds: float) -> None:
        super().__init__(f"{task_id} is not finished after {seconds:g} s; it goes on")
        self.task_id = task_id
        self.seconds = seconds


def from_answer(status: int, body: bytes, *, retry_after: float | None) -> GatewayError:
    """The error that an answer of 400 and above stands for."""
    problems = problems_of(body) or [RequestProblem(f"HTTP {status} without a reason")]
    kinds: dict[int, type[GatewayError]] = {404: NotFound, 409: Conflict, 410: Gone, 503: GatewayUnavailable}
    kind = kinds.get(status, Refused if status < 500 else GatewayFault)
    error = kind(status, problems, retry_after=retry_after)
    if isinstance(error, Gone):
        first, following = (_said(body, name) for name in ("first_available", "next_after"))
        error.first_available = first if isinstance(first, int) else None
        error.next_after = following if isinstance(following, str) else None
    return error


def _said(body: bytes, name: str) -> object:
    try:
        return json.loads(body)[name]
    except (ValueError, KeyError, TypeError):
        return None


def problems_of(body: bytes) -> list[RequestProblem]:
    """Every problem in an error body, in any of the gateway's forms: `detail` list or text, `message` with `errors`,
    plain text."""
    try:
        content = json.loads(body)
    except ValueError:
        text = body.decode("utf-8", "replace").strip()
        return [RequestProblem(text)] if text else []
    if not isinstance(content, dict):
        return [RequestProblem(str(content))]
    found = content.get("detail") or content.get("errors") or content.get("message")
    return [_problem(item) for item in (found if isinstance(found, list) else [found]) if item]


def _problem(item: Any) -> RequestProblem:
    if not isinstance(item, dict):
        return RequestProblem(str(item))
    return RequestProblem(
        message=str(item.get("msg") or item.get("message") or item),
        field=".".join(str(part) for part in item.get("loc", ())),
        type=str(item.get("type", "")),
    )
