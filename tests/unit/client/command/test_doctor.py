"""The doctor says what is wrong and how to mend it, and never falls ill itself."""

from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from client import Client
from client.command import doctor
from client.transport import Retries

Serve = Callable[..., str]
ONCE = Retries(attempts=1)


def test_old_python_is_a_failure_with_a_way_out() -> None:
    assert doctor.python((3, 12, 1)).state == "ok"
    found = doctor.python((3, 9, 0))
    assert (found.state, "3.11" in found.mend) == ("failed", True)


def test_disk_is_looked_at_where_the_stack_lies(tmp_path: Path) -> None:
    assert str(tmp_path) in doctor.disk(tmp_path).detail


def test_installed_versions_are_those_that_are_pinned() -> None:
    assert [finding.state for finding in doctor.versions()] == ["ok"]


def test_absent_gateway_is_a_finding(closed_url: str) -> None:
    with Client(closed_url, retries=ONCE) as client:
        (found,) = doctor.gateway(client)
    assert (found.check, found.state) == ("gateway", "failed")
    assert "intelliinspect up" in found.mend


def test_each_part_of_the_gateway_is_a_finding(serve: Serve) -> None:
    async def ready(request: Request) -> JSONResponse:
        return JSONResponse({"status": "unavailable", "dependencies": {"kafka": "no answer", "redis": "ok"}}, 503)

    with Client(serve(Starlette(routes=[Route("/ready", ready)])), retries=ONCE) as client:
        found = {finding.check: finding.state for finding in doctor.gateway(client)}
    assert found == {"gateway": "ok", "kafka": "failed", "redis": "ok"}


def test_the_stacks_own_checks_are_among_the_findings() -> None:
    assert "Java" in {finding.check for finding in doctor.stack()}
