"""`/live`, `/ready`, `/metrics` as probes and people ask for them."""

import httpx
import pytest

from runtime.health import health_server
from runtime.network import is_loopback


async def test_probes_may_ask_by_head_and_anything_else_is_told_what_is_allowed() -> None:
    async with (
        health_server("127.0.0.1", 0, live=dict, ready=lambda: {"kafka": "away"}) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        got, head = await http.get("/ready"), await http.head("/ready")
        assert (got.status_code, got.json()["problems"]) == (503, {"kafka": "away"})
        assert (head.status_code, head.content, head.headers["content-length"]) == (
            503,
            b"",
            got.headers["content-length"],
        )
        assert got.headers["cache-control"] == "no-store"
        posted = await http.post("/live")
        assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
        assert (await http.get("/live?x=1")).status_code == 200
        assert (await http.get("/other")).status_code == 404


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("host.example", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone
