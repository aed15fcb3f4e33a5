"""What the application answers before any of its parts is there."""

from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from gateway.settings import GatewaySettings

PAGE = "http://localhost:4200"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-workspace"}


def client(folder: Path, **settings: str) -> httpx.AsyncClient:
    app = create_app(GatewaySettings(storage_url=f"file://{folder}", **settings))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [("none", None), ("auto", PAGE), ("http://elsewhere", None), (f"http://elsewhere, {PAGE}", PAGE)],
)
async def test_web_pages_of_named_origins_may_call(tmp_path: Path, origins: str, allowed: str | None) -> None:
    async with client(tmp_path, cors_origins=origins) as http:
        assert (await http.options("/process/train/start", headers=PREFLIGHT)).headers.get(
            "access-control-allow-origin"
        ) == allowed
        assert (await http.get("/health", headers={"Origin": PAGE})).headers.get(
            "access-control-allow-origin"
        ) == allowed


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("port", [4200, 5173, 3000])
async def test_pages_being_made_on_this_machine_may_call_by_default(
    tmp_path: Path, host: str, name: str, port: int
) -> None:
    page = f"http://{name}:{port}"
    async with client(tmp_path, host=host) as http:
        answer = await http.options("/api/training/start", headers=PREFLIGHT | {"Origin": page})
        assert answer.headers["access-control-allow-origin"] == page


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "inspect.example"])
async def test_open_to_others_only_pages_that_are_named_may_call(tmp_path: Path, host: str) -> None:
    async with client(tmp_path, host=host) as http:
        assert "access-control-allow-origin" not in (await http.options("/health", headers=PREFLIGHT)).headers


async def test_each_operation_has_a_name_of_its_own(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        document = (await http.get("/openapi.json")).json()
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))
