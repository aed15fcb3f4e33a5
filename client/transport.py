"""How a call reaches the gateway: one description of a call, one rule for retries, and two thin ends (blocking,
asyncio) that share both.

A call that could not connect was not seen by the gateway: it is always tried again. A 503 or a broken connection is
tried again only when the call is idempotent. Waiting grows from `first_seconds` to `ceiling_seconds`, or is what
`Retry-After` says, up to the same ceiling."""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from client.errors import ClientError, GatewayFault, GatewayUnavailable, NoGateway, RequestProblem, from_answer

T = TypeVar("T")

Outcome = httpx.Response | httpx.TransportError
UNAVAILABLE = 503
OURS = ("application/json", "application/zip", "image/png", "text/event-stream", "text/plain")
"""Types of content that a gateway answers the calls with."""
ANSWER_SECONDS, CONNECT_SECONDS = 30.0, 5.0


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and how its answer is read. `read` takes the decoded JSON."""

    method: str
    path: str
    read: Callable[[Any], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    data: Mapping[str, str] = field(default_factory=dict)
    files: Any = None
    expected: frozenset[int] = frozenset({200, 201, 202})
    timeout_seconds: float | None = ANSWER_SECONDS
    """How long the gateway may take to answer; null: as long as it needs."""

    @property
    def idempotent(self) -> bool:
        return self.method in ("GET", "HEAD", "PUT", "DELETE")

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of httpx' `request`."""
        given: dict[str, Any] = {"method": self.method, "url": self.path}
        if self.timeout_seconds != ANSWER_SECONDS:
            given["timeout"] = httpx.Timeout(ANSWER_SECONDS, read=self.timeout_seconds, connect=CONNECT_SECONDS)
        if self.params:
            given["params"] = {name: value for name, value in self.params.items() if value is not None}
        if self.json is not None:
            given["json"] = self.json
        if self.files is not None:
            given |= {"files": self.files, "data": dict(self.data)}
        return given


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and after how long. `attempts` counts the first one."""

    attempts: int = 5
    first_seconds: float = 0.2
    ceiling_seconds: float = 3.0

    def delay(self, call: Call[Any], attempt: int, outcome: Outcome) -> float | None:
        """Seconds to wait before the next try after try number `attempt` (from 1); null when this outcome stands."""
        if attempt >= self.attempts or not _worth_another(call, outcome):
            return None
        if isinstance(outcome, httpx.Response) and (asked := retry_after(outcome)) is not None:
            return min(asked, self.ceiling_seconds)
        return self.pause(attempt)

    def pause(self, attempt: int) -> float:
        """The growing pause after try number `attempt`."""
        return float(min(self.first_seconds * 2 ** (attempt - 1), self.ceiling_seconds))


def _worth_another(call: Call[Any], outcome: Outcome) -> bool:
    if isinstance(outcome, (httpx.ConnectError, httpx.ConnectTimeout)):
        return True
    if isinstance(outcome, httpx.Response):
        return call.idempotent and outcome.status_code == UNAVAILABLE and UNAVAILABLE not in call.expected
    return call.idempotent and not isinstance(outcome, httpx.UnsupportedProtocol)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that the gateway asks to wait, if it says."""
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def finish(call: Call[T], outcome: Outcome, url: str) -> T:
    """The typed answer, or the error that the outcome stands for."""
    if not isinstance(outcome, httpx.Response):
        raise no_answer(outcome, url) from outcome
    if (foreign := no_gateway(outcome, url)) is not None:
        raise foreign
    if outcome.status_code not in call.expected:
        raise failure(outcome)
    try:
        return call.read(outcome.json() if outcome.content else None)
    except (ValueError, KeyError, ValidationError) as error:
        detail = str(error).partition("\n")[0]
        text = (
            f"the answer to {call.method} {call.path} is not what this client knows; is the gateway of another version?"
            f" {detail}"
        )
        raise GatewayFault(outcome.status_code, [RequestProblem(text)]) from error


def no_gateway(response: httpx.Response, url: str) -> NoGateway | None:
    """The error when an answer cannot be a gateway's. What a proxy in front may say of its own, such as 413 and 502,
    tells nothing."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if (
        response.status_code == 404 and response.content.replace(b" ", b"") == b'{"detail":"NotFound"}'
    ):  # ours has a `code`
        return _foreign(url, f"it knows no {response.url.path}", response)
    if response.status_code not in (200, 404, 405) or kind in OURS:
        return None
    return _foreign(url, f"{kind or 'no content type'}, HTTP {response.status_code}", response)


def _foreign(url: str, what: str, response: httpx.Response) -> NoGateway:
    return NoGateway(
        response.status_code, [RequestProblem(f"{url} answers, but it is no IntelliInspect gateway ({what})")]
    )


def failure(response: httpx.Response) -> ClientError:
    """The error of an answer whose body has been read."""
    return from_answer(response.status_code, response.content, retry_after=retry_after(response))


def no_answer(error: httpx.TransportError, url: str) -> GatewayUnavailable:
    """The error for want of an answer."""
    detail = str(error) or type(error).__name__
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in detail.lower():  # it does not speak HTTP
        return NoGateway(None, [RequestProblem(f"{url} is no address of an IntelliInspect gateway: {detail}")])
    return GatewayUnavailable(None, [RequestProblem(f"no answer from the gateway at {url}: {detail}")])


def options(url: str, workspace: str) -> dict[str, Any]:
    """Keyword arguments of both httpx clients. Proxies of the environment are not asked for an address of this
    machine."""
    host = _host(url)
    return {
        "base_url": url,
        "headers": {"X-Workspace": workspace, "Accept": "application/json"},
        "timeout": httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        "trust_env": not _is_local(host),
    }


def _host(url: str) -> str:
    """The host of an address. Raises `NoGateway` when it is none."""
    try:
        parts = urlsplit(url)
        host, _ = httpx.URL(url).host, parts.port
    except (ValueError, httpx.InvalidURL) as error:
        raise NoGateway(None, [RequestProblem(f"{url!r} is no address of a gateway: {error}")]) from error
    if parts.scheme not in ("http", "https") or not host:
        raise NoGateway(None, [RequestProblem(f"{url!r} is no address of a gateway: write http://host:port")])
    return host


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Transport:
    """Blocking end. Opens no connection before the first call."""

    def __init__(self, url: str, workspace: str, retries: Retries) -> None:
        self.url = url
        self.retries = retries
        self.http = httpx.Client(**options(url, workspace))

    def send(self, call: Call[T]) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                outcome: Outcome = self.http.request(**call.arguments())
            except httpx.TransportError as error:
                outcome = error
            delay = self.retries.delay(call, attempt, outcome)
            if delay is None:
                return finish(call, outcome, self.url)
            time.sleep(delay)


class AsyncTransport:
    """Asyncio end. Opens no connection before the first call."""

    def __init__(self, url: str, workspace: str, retries: Retries) -> None:
        self.url = url
        self.retries = retries
        self.http = httpx.AsyncClient(**options(url, workspace))

    async def send(self, call: Call[T]) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                outcome: Outcome = await self.http.request(**call.arguments())
            except httpx.TransportError as error:
                outcome = error
            delay = self.retries.delay(call, attempt, outcome)
            if delay is None:
                return finish(call, outcome, self.url)
            await asyncio.sleep(delay)
