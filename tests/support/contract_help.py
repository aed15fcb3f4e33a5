"""What contract tests say often: a small CSV, an upload, a question, the problems of an answer."""

import random
from typing import Any

import httpx

from tests.support.waiting import eventually_sync

DONE = {"COMPLETED", "FAILED", "STOPPED", "SUCCESS", "FAILURE", "REVOKED"}
DATES = (
    "train_start_date",
    "train_end_date",
    "test_start_date",
    "test_end_date",
    "simulation_start_date",
    "simulation_end_date",
)
DOTNET_DATES = ("trainStart", "trainEnd", "testStart", "testEnd", "simulationStart", "simulationEnd")
DAYS = ("2021-01-01", "2021-01-06", "2021-01-07", "2021-01-08", "2021-01-09", "2021-01-10")
"""Dates that split the 500 rows of `table()`, 50 a day, into 300, 100 and 100."""
SECONDS = (
    "2021-01-01T00:00:00Z",
    "2021-01-01T00:04:59Z",
    "2021-01-01T00:05:00Z",
    "2021-01-01T00:06:39Z",
    "2021-01-01T00:06:40Z",
    "2021-01-01T00:08:19Z",
)
"""The same for one row a second."""


def table(rows: int = 500, *, head: str = "Id,S1,S2,S3,S4,Response", seed: int = 0) -> bytes:
    """A CSV with a rule that a model finds: a large S1 fails."""
    chance = random.Random(seed)
    lines = [head]
    for number in range(1, rows + 1):
        values = [round(chance.gauss(0, 1), 4) for _ in range(4)]
        lines.append(",".join([str(number), *map(str, values), str(int(values[0] > 1.2 or number % 97 == 2))]))
    return ("\n".join(lines) + "\n").encode()


def store(
    http: httpx.Client, content: bytes, name: str = "rows.csv", path: str = "/dataset/store", **fields: str
) -> httpx.Response:
    """Upload the content as the form's part `file`."""
    return http.post(path, files={"file": (name, content, "text/csv")}, data=fields)


def ok(response: httpx.Response, status: int = 200) -> Any:
    assert response.status_code == status, response.text
    return response.json()


def problems(response: httpx.Response) -> list[tuple[str, str]]:
    """(last part of loc, type) of each problem of a 422."""
    detail = ok(response, 422)["detail"]
    assert all(set(one) == {"loc", "msg", "type"} for one in detail)
    return [(one["loc"][-1], one["type"]) for one in detail]


def finished(http: httpx.Client, path: str, *, timeout_seconds: float = 120) -> Any:
    """The task's answer once it is terminal."""

    def check() -> Any:
        status = ok(http.get(path))
        return status if status["status"] in DONE else None

    return eventually_sync(check, timeout_seconds=timeout_seconds, message=path)


def split_body(dates: tuple[str, ...] = SECONDS, **changed: Any) -> dict[str, Any]:
    """The body of an ML split."""
    return dict(zip(DATES, dates, strict=True)) | changed


def prepared(http: httpx.Client) -> Any:
    """Upload `table()` and split it; the split's answer."""
    ok(store(http, table()), 202)
    return ok(http.post("/process/split-data", json=split_body()))


async def store_async(http: httpx.AsyncClient, content: bytes) -> httpx.Response:
    """`store` for an asynchronous client."""
    return await http.post("/dataset/store", files={"file": ("rows.csv", content, "text/csv")})
