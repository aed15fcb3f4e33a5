"""What can go wrong with a request and how it is said. HTTP status codes of failures live here and nowhere else.

GatewayError
├── Invalid       the request is wrong: every problem in one answer; on the .NET routes in their own form
├── NotFound      no such object (`/v1`)
├── NoStatus      no such training (.NET)
├── BadUpload     the .NET upload, answered in plain text
├── Conflict      right request, wrong moment; `task_id` names the task in the way
├── Gone          rows whose retention time has passed
├── TooLarge      more bytes than the setting allows
├── Stalled       the client began a body and sends nothing more
└── StorageFull   no room for it
`runtime.errors.Unavailable`, `storage.errors.StorageUnavailable` and the libraries' own connection errors become 503
with Retry-After. Anything else is a bug: logged, 500.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, get_args

import structlog
from aiokafka.errors import KafkaError
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gateway.web.operations import Operations, route_path
from gateway.web.plain_errors import is_plain
from runtime.errors import Unavailable
from schemas.http.dotnet import DotnetNotFound, RangesInvalid
from schemas.http.runs import ExpiredRows
from schemas.http.shared import Problem, Problems, Readiness, Refusal
from storage.errors import StorageFull as NoRoom
from storage.errors import StorageUnavailable, StoredFileMissing, is_full
from storage.view.redis_store import RedisRefuses, RedisUnavailable, ViewRebuilding
from storage.view.views import WrongCursor

RETRY_AFTER_SECONDS = 5
JSON_TYPE = re.compile(r"\s*application/([^\s;]+\+)?json\s*(;|$)", re.IGNORECASE)
"""As FastAPI tells a body of JSON."""
DOTNET_PREFIX = "/api/"
DOTNET_UPLOAD = "/api/Dataset/upload"
log = structlog.get_logger()


class RequestError(Exception):
    """Base of what a request may fail with."""


class Invalid(RequestError):
    """The request is wrong in each of these ways."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problem.msg for problem in self.problems))


class ObjectNotFound(RequestError):
    """No such object here. `kind` is its noun, such as `dataset`."""

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(f"There is no {kind} {identity!r:.80}.")
        self.kind = kind


class NoStatus(RequestError):
    """The .NET training status does not know this task."""


class BadUpload(RequestError):
    """The .NET upload was refused; the message is the body."""


class StateConflict(RequestError):
    """The request is right but the state is not. `code` is stable, for programs."""

    def __init__(self, detail: str, code: str, task_id: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.task_id = task_id


class RowsGone(RequestError):
    """Rows asked for are not kept any more; `first_available` is the first row index that is, or the first offset of
    the partition.

    `next_after`: behind which place of another system's run to go on.
    """

    def __init__(
        self, first_available: int, partition: int | None = None, why: str = "", next_after: str | None = None
    ) -> None:
        what = "row_index" if partition is None else f"offset of partition {partition}"
        super().__init__(
            f"{why}The retention time of these rows has passed; the first available {what} is {first_available}."
        )
        self.first_available, self.partition, self.next_after = first_available, partition, next_after

    def said(self) -> ExpiredRows:
        """As clients are told."""
        return ExpiredRows(
            detail=str(self), first_available=self.first_available, partition=self.partition, next_after=self.next_after
        )


class TooLarge(RequestError):
    """The body is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request is larger than the limit of {limit} bytes.")


class Stalled(RequestError):
    """Nothing of the body, or next to nothing, came for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Nothing more of the request, or next to nothing, came for {seconds:g} s.")


class NotEnoughRoom(RequestError):
    """There is no room left for this."""

    def __init__(self, free_bytes: int | None = None, needed_bytes: int | None = None) -> None:
        free = "" if free_bytes is None else f": {free_bytes:,} bytes are free"
        needed = "" if needed_bytes is None else f"{',' if free else ':'} at least {needed_bytes:,} are needed"
        super().__init__(f"The storage is full{free}{needed}; nothing was kept.")


@contextmanager
def storage_is_full(
    free_bytes: Callable[[], int | None] = lambda: None, needed_bytes: int | None = None
) -> Iterator[None]:
    """Turn an error that comes of a full disk into `NotEnoughRoom`, any other of the disk into `StorageUnavailable`."""
    try:
        yield
    except (OSError, StorageUnavailable) as error:
        if is_full(error):
            raise NotEnoughRoom(free_bytes(), needed_bytes) from error
        if isinstance(error, OSError):
            raise StorageUnavailable(str(error)) from error
        raise


def problem(loc: Iterable[str | int], msg: str, kind: str = "value_error") -> Problem:
    """One problem of a request."""
    return Problem(loc=list(loc), msg=msg, type=kind)


def ill_formed_task_id() -> Invalid:
    """The text is no task id at all."""
    return Invalid([problem(("path", "task_id"), "Invalid task ID format.")])


def unknown_task() -> Invalid:
    """It could be a task id, but there is no such task."""
    return Invalid([problem(("path", "task_id"), "Task ID not found", "value_error.task_id")])


_DOCUMENTED: dict[str, tuple[int, type[Any], str]] = {
    "invalid": (422, Problems, "The request is wrong; every problem is named."),
    "dotnet_invalid": (400, RangesInvalid, "The request is wrong; `errors` names every problem."),
    "dotnet_not_found": (404, DotnetNotFound, "No such task."),
    "not_found": (404, Refusal, "There is no such object."),
    "conflict": (409, Refusal, "Not now; `task_id` names what is in the way."),
    "expired": (410, ExpiredRows, "The retention time of these rows has passed."),
    "too_large": (413, Refusal, "More bytes than the setting allows."),
    "unavailable": (503, Refusal, "Kafka, Redis or the storage does not answer; try again after Retry-After seconds."),
    "full": (507, Refusal, "No room left."),
}


def documented(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """The failures that a route may answer with, for its OpenAPI description."""
    return {
        status: {"model": model, "description": text} for status, model, text in (_DOCUMENTED[kind] for kind in kinds)
    }


def documented_unready() -> dict[int | str, dict[str, Any]]:
    """What `/ready` answers while something is missing."""
    return {503: {"model": Readiness, "description": "A dependency does not answer."}}


class ErrorResponse(Response):
    """JSON in plain ASCII, so that whatever a client sent can be named, lone surrogates included."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode("ascii")


Handler = Callable[[Request, Any], Awaitable[Response]]


def refused(
    status: int, detail: str, code: str, task_id: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """The one JSON body of every refusal that is not a list of problems."""
    return ErrorResponse(Refusal(detail=detail, code=code, task_id=task_id).model_dump(), status, headers)


def invalid(path: str, problems: list[Problem]) -> Response:
    """422 with all problems; 400 in the .NET form on the .NET routes."""
    if path == DOTNET_UPLOAD:
        return Response("\n".join(one.msg for one in problems), 400, media_type="text/plain")
    detail = {"detail": [one.model_dump() for one in problems]}
    if not path.startswith(DOTNET_PREFIX) or any(one.loc[:1] == ["path"] for one in problems):
        return ErrorResponse(detail, 422)
    messages = [one.msg for one in problems]
    return ErrorResponse(RangesInvalid(message=messages[0], errors=messages).model_dump() | detail, 400)


def too_large(error: TooLarge) -> Response:
    """413; the connection is closed, since the rest of the body is not read."""
    return refused(413, str(error), "too_large", headers={"Connection": "close"})


def headers_too_large(limit: int) -> Response:
    """431."""
    return refused(
        431,
        f"The request's headers are larger than {limit} bytes.",
        "headers_too_large",
        headers={"Connection": "close"},
    )


def unavailable(detail: str) -> Response:
    """503; nothing was changed, or it is safe to ask again."""
    return refused(503, detail, "unavailable", headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def busy(most: int) -> Response:
    """503, on a connection beyond the bound."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS), "Connection": "close"}
    return refused(
        503,
        f"The gateway has {most} connections, as many as it takes; try again.",
        "too_many_connections",
        headers=headers,
    )


def ready(problems: dict[str, str]) -> Response:
    """200 when every dependency answers, else 503 with what each says."""
    dependencies = {"kafka": "ok", "redis": "ok", "view": "ok", "storage": "ok"} | problems
    found = Readiness(status="unavailable" if problems else "ready", dependencies=dependencies)
    return ErrorResponse(
        found.model_dump(), 503 if problems else 200, {"Retry-After": str(RETRY_AFTER_SECONDS)} if problems else None
    )


async def _invalid(request: Request, error: Invalid) -> Response:
    return invalid(route_path(request.scope), error.problems)


async def _validation(request: Request, error: RequestValidationError) -> Response:
    is_json = JSON_TYPE.match(request.headers.get("content-type", "")) is not None
    return invalid(
        route_path(request.scope), [_as_problem(one, is_json, _names_in(request, one)) for one in error.errors()]
    )


def _names_in(request: Request, error: dict[str, Any]) -> list[str]:
    """The fields of the object in the body that holds one which nobody knows."""
    field = getattr(request.scope.get("route"), "body_field", None)
    if error["type"] != "extra_forbidden" or field is None:
        return []
    model: Any = field.field_info.annotation
    for part in error["loc"][1:-1]:
        model = getattr(_model_in(model), "model_fields", {}).get(part)
        model = getattr(model, "annotation", None)
    return list(getattr(_model_in(model), "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    """The model that an annotation such as `Model | None` is about."""
    return next((one for one in get_args(annotation) if hasattr(one, "model_fields")), annotation)


def _as_problem(error: dict[str, Any], is_json: bool, names: list[str]) -> Problem:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        close = get_close_matches(str(error["loc"][-1]).lower(), names, n=1, cutoff=0.5)
        message = f"There is no field {error['loc'][-1]!r:.80} here." + (
            f" Did you mean {close[0]!r}?" if close else ""
        )
    if error["type"] == "json_invalid":
        message = f"The body is not valid JSON: {error['ctx']['error']}."
    if tuple(error["loc"]) == ("body",) and error["type"] != "missing":
        message = (
            "The body must be a JSON object."
            if is_json
            else "The body must be a JSON object, sent with Content-Type: application/json."
        )
    return problem([part if isinstance(part, int) else str(part) for part in error["loc"]], message, error["type"])


async def _http(request: Request, error: HTTPException) -> Response:
    for kind, handler in READING.items():
        if isinstance(error.__cause__, kind):
            return await handler(request, error.__cause__)
    if error.status_code == 400:
        return invalid(
            route_path(request.scope), [problem(("body",), "The body is not valid JSON in UTF-8.", "json_invalid")]
        )
    codes = {404: "not_found", 405: "method_not_allowed"}
    headers = dict(error.headers or {})
    if error.status_code == 405:  # the router knows the first route of the path only
        headers["Allow"] = ", ".join(
            Operations(request.app.openapi()).allowed(route_path(request.scope))
        ) or headers.get("Allow", "")
    return refused(error.status_code, str(error.detail), codes.get(error.status_code, "refused"), headers=headers)


async def _not_found(request: Request, error: ObjectNotFound) -> Response:
    return refused(404, str(error), f"{error.kind.replace(' ', '_')}_not_found")


async def _no_status(request: Request, error: NoStatus) -> Response:
    return ErrorResponse({"message": str(error)}, 404)


async def _bad_upload(request: Request, error: BadUpload) -> Response:
    return Response(str(error), 400, media_type="text/plain")


async def _conflict(request: Request, error: StateConflict) -> Response:
    return refused(409, str(error), error.code, error.task_id)


async def _too_large(request: Request, error: TooLarge) -> Response:
    return too_large(error)


async def _gone_rows(request: Request, error: RowsGone) -> Response:
    return ErrorResponse(error.said().model_dump(), 410)


async def _wrong_cursor(request: Request, error: WrongCursor) -> Response:
    return invalid(
        route_path(request.scope), [problem(("query", "cursor"), "This is no cursor of ours.", "value_error.cursor")]
    )


async def _stalled(request: Request, error: Stalled) -> Response:
    return refused(408, str(error), "stalled", headers={"Connection": "close"})


async def _full(request: Request, error: NotEnoughRoom) -> Response:
    return refused(507, str(error), "storage_full")


async def _unavailable(request: Request, error: Exception) -> Response:
    part = getattr(error, "part", None)
    if part is None:
        part = (
            "kafka"
            if isinstance(error, KafkaError)
            else "storage"
            if isinstance(error, StorageUnavailable)
            else "redis"
        )
    log.warning("a dependency does not answer", part=part, error=str(error), path=request.url.path)
    why = f": {error}" if isinstance(error, RedisRefuses) else ""
    return unavailable(f"{part} is unavailable{why}; try again.")


async def _no_room(request: Request, error: NoRoom) -> Response:
    return refused(507, str(NotEnoughRoom(error.free_bytes)), "storage_full")


async def _file_missing(request: Request, error: StoredFileMissing) -> Response:
    log.error("a file is missing in the storage", path=request.url.path, file=str(error))
    return refused(404, f"A file of this object is missing in the storage: {str(error)!r:.200}.", "stored_file_missing")


async def _rebuilding(request: Request, error: ViewRebuilding) -> Response:
    return unavailable(f"The view is being rebuilt from the topics{error.because}; try again.")


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    log.info("the client went away", path=request.url.path)
    return Response(status_code=499)


async def _bug(request: Request, error: Exception) -> Response:
    detail = "Internal error; the log knows more."
    if is_plain(route_path(request.scope)) and request.app.state.dotnet_dialect.old:
        return Response(detail, 500, media_type="text/plain")  # it leaves by another way than `PlainErrors` stands in
    return refused(500, detail, "bug")


READING: dict[type[Exception], Handler] = {TooLarge: _too_large, Stalled: _stalled, ClientDisconnect: _gone}
"""What stops a body from being read; FastAPI turns it into a 400 of its own."""
HANDLERS: dict[type[Exception], Handler] = {
    **READING,
    Invalid: _invalid,
    RequestValidationError: _validation,
    HTTPException: _http,
    ObjectNotFound: _not_found,
    NoStatus: _no_status,
    BadUpload: _bad_upload,
    StateConflict: _conflict,
    RowsGone: _gone_rows,
    WrongCursor: _wrong_cursor,
    NotEnoughRoom: _full,
    Unavailable: _unavailable,
    NoRoom: _no_room,
    StoredFileMissing: _file_missing,
    StorageUnavailable: _unavailable,
    RedisUnavailable: _unavailable,
    ViewRebuilding: _rebuilding,
    KafkaError: _unavailable,
    Exception: _bug,
}


def install(app: FastAPI) -> None:
    """Make the app answer every failure as this module says."""
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
