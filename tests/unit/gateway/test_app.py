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


@pytest.mark.parametrize(("origins", "allowed"), [("", None), ("http://elsewhere", None), (f"http://elsewhere, {PAGE}", PAGE)])
async def test_web_pages_of_named_origins_may_call(tmp_path: Path, origins: str, allowed: str | None) -> None:
    async with client(tmp_path, cors_origins=origins) as http:
        assert (await http.options("/process/train/start", headers=PREFLIGHT)).headers.get("access-control-allow-origin") == allowed
        assert (await http.get("/health", headers={"Origin": PAGE})).headers.get("access-control-allow-origin") == allowed


async def test_each_operation_has_a_name_of_its_own(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        document = (await http.get("/openapi.json")).json()
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(names) == len(set(names))
