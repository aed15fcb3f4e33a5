"""The two clients of the field, as small as can be: they send byte for byte what those send, and read as strictly as
those read.

The web client is Angular in a browser: requests with an origin, preflights, multipart of a form. The .NET backend is
`HttpClient`: chunked JSON with dates to a ten-millionth of a second, multipart with a name in RFC 2047,
`System.Text.Json` into declared types."""

import base64
import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from tests.support.waiting import eventually_sync

ORIGIN = "http://localhost:4200"
BOUNDARY = "----WebKitFormBoundaryYx0aQ2ZrTuB7dE1c"
DOTNET_BOUNDARY = "c1f3a9a2-6c1f-4a55-9d3c-0f3a1b2c3d4e"
DOTNET_TIMEOUT_SECONDS = 100.0
FINAL = ("SUCCESS", "FAILURE", "REVOKED")

METRICS = {"accuracy": float, "precision": float, "recall": float, "f1_score": float}
POINTS = [{"x": int, "y": float}]
RESULT = {
    "metrics": METRICS,
    "training_chart": {"train_loss": POINTS, "train_accuracy": POINTS},
    "confusion_matrix": {"true_positives": int, "false_positives": int, "true_negatives": int, "false_negatives": int},
    "model_path": str,
    "curves_path": str,
}
PACKET = {
    "current_row_index": int,
    "total_rows": int,
    "quality_score": float,
    "live_prediction": {
        "timestamp": str,
        "sample_id": str,
        "prediction": str,
        "confidence": float,
        "top_features": {"": float},
    },
    "live_stats": {"total_predictions": int, "pass_count": int, "fail_count": int, "average_confidence": float},
}
UPLOADED = {
    "numberOfRecords": int,
    "numberOfColumns": int,
    "passRatePercentage": float,
    "firstTimestamp": str,
    "lastTimestamp": str,
    "fileName": str,
    "fileSize": str,
}
SPLIT = {
    "message": str,
    "trainSetRows": int,
    "testSetRows": int,
    "simulationSetRows": int,
    "dailyDistribution": {"": int},
}
ML_SPLIT = {
    "message": str,
    "train_set_rows": int,
    "test_set_rows": int,
    "simulation_set_rows": int,
    "daily_distribution": {"": int},
}


def read(declared: Any, value: Any, at: str = "$") -> Any:
    """The value, which must be of the declared type as C# takes it: no null, an int where an int is declared, names in
    their case.

    A mapping with the one name "" is a dictionary of any names; members that are not declared are passed over.
    """
    if isinstance(declared, list):
        assert isinstance(value, list), at
        return [read(declared[0], one, f"{at}[]") for one in value]
    if isinstance(declared, dict):
        assert isinstance(value, dict), at
        if "" in declared:
            return {name: read(declared[""], one, f"{at}.{name}") for name, one in value.items()}
        missing = declared.keys() - value.keys()
        assert not missing, f"{at} lacks {missing}"
        return {name: read(kind, value[name], f"{at}.{name}") for name, kind in declared.items()}
    if declared is float:
        assert type(value) in (int, float), f"{at} is {value!r}, no double"
        return float(value)
    if declared is int:
        assert type(value) is int, f"{at} is {value!r}, no int"
        assert -(1 << 31) <= value < 1 << 31, at
        return value
    assert type(value) is declared, f"{at} is {value!r}, no {declared.__name__}"
    return value


class Answer:
    """Status, headers in lower case, body."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()

    def json(self, status: int = 200) -> Any:
        assert self.status == status, f"{self.status} {self.text}"
        return json.loads(self.text, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


class Wire:
    """Sends a request as it is written and reads the answer."""

    def __init__(self, url: str, workspace: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.address = (parts.hostname, parts.port)
        self.workspace = workspace
        """Tests share a gateway; the clients themselves know of no workspaces."""

    def send(self, method: str, path: str, headers: Iterable[str], body: Iterable[bytes] = ()) -> Answer:
        head = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self.address[0]}:{self.address[1]}",
            *headers,
            f"X-Workspace: {self.workspace}",
        ]
        with socket.create_connection(self.address, DOTNET_TIMEOUT_SECONDS) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode())
            for piece in body:
                connection.sendall(piece)
            response = HTTPResponse(connection, method=method)
            response.begin()
            return Answer(response)


class WebClient:
    """The Angular client: what its services send, what its pages read."""

    def __init__(self, url: str, workspace: str) -> None:
        self._wire = Wire(url, workspace)

    def upload(self, content: bytes, name: str) -> Answer:
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type:'
            " text/csv\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self._asked(
            "POST", "/api/dataset/upload", [f"Content-Type: {kind}", f"Content-Length: {len(body)}"], [body]
        )

    def post(self, path: str, value: Any) -> Answer:
        body = json.dumps(value, separators=(",", ":")).encode()
        self._preflight(path)
        return self._asked("POST", path, ["Content-Type: application/json", f"Content-Length: {len(body)}"], [body])

    def get(self, path: str) -> Answer:
        return self._asked("GET", path, [])

    def polled(self, path: str, every_seconds: float) -> list[Any]:
        """Every answer up to the final one, asked for as rxjs' `timer` does."""
        return _polled(lambda: self.get(path), every_seconds)

    def _asked(self, method: str, path: str, headers: list[str], body: Iterable[bytes] = ()) -> Answer:
        always = [
            "Connection: keep-alive",
            "Accept: application/json, text/plain, */*",
            f"Origin: {ORIGIN}",
            f"Referer: {ORIGIN}/",
        ]
        answer = self._wire.send(method, path, [*always, *headers], body)
        assert answer.headers.get("access-control-allow-origin") in (
            ORIGIN,
            "*",
        ), "the browser hides the answer from the page"
        return answer

    def _preflight(self, path: str) -> None:
        asked = [
            "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: content-type",
            f"Origin: {ORIGIN}",
        ]
        answer = self._wire.send("OPTIONS", path, asked)
        assert answer.status in (200, 204), answer.text
        assert answer.headers["access-control-allow-origin"] in (ORIGIN, "*")
        assert "content-type" in answer.headers["access-control-allow-headers"].lower()


class DotnetBackend:
    """The .NET backend, as its services call the ML routes."""

    def __init__(self, url: str, workspace: str) -> None:
        self._wire = Wire(url, workspace)

    def upload(self, content: bytes, name: str) -> Answer:
        """A `MultipartFormDataContent` with a file whose name is not ASCII: in RFC 2047, whatever its length."""
        written = name if name.isascii() else f"=?utf-8?B?{base64.b64encode(name.encode()).decode()}?="
        head = (
            f'--{DOTNET_BOUNDARY}\r\nContent-Type: text/csv\r\nContent-Disposition: form-data; name="file";'
            f' filename="{written}"\r\n\r\n'
        )
        body = head.encode() + content + f"\r\n--{DOTNET_BOUNDARY}--\r\n".encode()
        kind = f'multipart/form-data; boundary="{DOTNET_BOUNDARY}"'
        return self._wire.send(
            "POST", "/dataset/store", [f"Content-Type: {kind}", f"Content-Length: {len(body)}"], [body]
        )

    def split(self, days: Mapping[str, str]) -> Answer:
        """`PostAsJsonAsync` of `DateTime`s: chunked, starts at midnight, ends a tick before the next."""
        dates = {
            f"{name}_date": f"{day}T00:00:00Z" if name.endswith("start") else f"{day}T23:59:59.9999999Z"
            for name, day in days.items()
        }
        body = json.dumps(dates, separators=(",", ":")).encode()
        chunks = [f"{len(body):X}\r\n".encode(), body, b"\r\n0\r\n\r\n"]
        headers = ["Transfer-Encoding: chunked", "Content-Type: application/json; charset=utf-8"]
        before = time.monotonic()
        answer = self._wire.send("POST", "/process/split-data", headers, chunks)
        assert time.monotonic() - before < DOTNET_TIMEOUT_SECONDS
        return answer

    def post(self, path: str) -> Answer:
        """`PostAsync(path, null)`."""
        return self._wire.send("POST", path, ["Content-Length: 0"])

    def polled(self, path: str, every_seconds: float) -> list[Any]:
        """Every answer up to the final one; each is what `EnsureSuccessStatusCode` lets pass."""
        return _polled(lambda: self._wire.send("GET", path, []), every_seconds)


def _polled(ask: Callable[[], Answer], every_seconds: float) -> list[Any]:
    answers: list[Answer] = []

    def over() -> bool:
        answers.append(ask())
        return answers[-1].status != 200 or answers[-1].json()["status"] in FINAL

    eventually_sync(over, timeout_seconds=120, interval_seconds=every_seconds, message="a final status")
    return [answer.json() for answer in answers]
