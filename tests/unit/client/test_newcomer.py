"""What a newcomer types, and what meets them: addresses, the order of arguments, pipes, narrow windows."""

import json
import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner, Result

from client import Client
from client.command import show_runs
from client.command.app import app
from client.errors import NoGateway
from client.settings import address, defaults
from tests.support import gateway_answers as answers
from tests.unit.client.test_command import WHOLE_RUN, Serve, gateway, stream_of

COMMAND = [sys.executable, "-m", "client"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own, with nothing set."""
    for name in ("INTELLIINSPECT_URL", "INTELLIINSPECT_WORKSPACE", "DEVSTACK_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stack_at(folder: Path, url: str, phase: str = "ready") -> None:
    (folder / ".devstack").mkdir()
    (folder / ".devstack" / "state.json").write_text(json.dumps({"phase": phase, "gateway_url": url}))


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"}, catch_exceptions=False)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("localhost:8100", "http://localhost:8100"),
        ("http://a/", "http://a"),
        ("https://a/inspect/", "https://a/inspect"),
        (" 1.2.3.4 ", "http://1.2.3.4"),
    ],
)
def test_address_needs_no_scheme_and_bears_a_slash(text: str, meant: str) -> None:
    assert address(text) == meant
    with Client(text) as client:
        assert client.url == meant


def test_address_comes_from_env_file_and_the_environment_wins(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / ".env").write_text("INTELLIINSPECT_URL=http://of-file:1\nINTELLIINSPECT_WORKSPACE=w\nGATEWAY_PORT=5\n")
    assert (defaults().url, defaults().workspace) == ("http://of-file:1", "w")
    monkeypatch.setenv("INTELLIINSPECT_URL", "of-environment:2")
    assert defaults().url == "http://of-environment:2"


def test_stack_that_runs_from_the_folder_is_found(elsewhere: Path) -> None:
    assert defaults().url == "http://127.0.0.1:8000"
    stack_at(elsewhere, "http://127.0.0.1:8100")
    assert defaults().url == "http://127.0.0.1:8100"
    (elsewhere / ".env").write_text("INTELLIINSPECT_URL=http://of-file:1\n")
    assert defaults().url == "http://of-file:1"


@pytest.mark.parametrize("phase", ["stopped", "failed"])
def test_stack_that_has_stopped_is_not_asked(elsewhere: Path, phase: str) -> None:
    stack_at(elsewhere, "http://127.0.0.1:8100", phase)
    assert defaults().url == "http://127.0.0.1:8000"


def test_stack_in_a_folder_of_another_name_is_found(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack_at(elsewhere, "http://127.0.0.1:8100")
    (elsewhere / ".devstack").rename(elsewhere / "mine")
    monkeypatch.setenv("DEVSTACK_FOLDER", "mine")
    assert defaults().url == "http://127.0.0.1:8100"


def page(_: Request) -> Response:
    return HTMLResponse("<html>welcome</html>")


def other_api(_: Request) -> Response:
    return JSONResponse({"detail": "Not Found"}, 404)


@pytest.mark.parametrize("words", [("runs",), ("status",), ("models",), ("watch",)])
@pytest.mark.parametrize("answer", [page, other_api])
def test_address_that_is_no_gateway_says_so_in_one_line(serve: Serve, answer: Any, words: tuple[str, ...]) -> None:
    url = serve(Starlette(routes=[Route("/{path:path}", answer)]))
    result = typed("--url", url, *words)
    assert result.exit_code == 4
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith(f"{url} answers, but it is no IntelliInspect gateway (")


@pytest.mark.parametrize("url", ["ftp://here", "http://[bad", "http://host:99999", "http://"])
def test_what_is_no_address_says_so_in_one_line(url: str) -> None:
    result = typed("--url", url, "runs")
    assert result.exit_code == 4
    (line,) = result.stderr.strip().splitlines()
    assert url.rstrip("/") in line


def test_proxy_that_says_a_body_is_too_large_is_not_taken_for_another_service(serve: Serve) -> None:
    url = serve(Starlette(routes=[Route("/{path:path}", lambda _: HTMLResponse("no", 502))]))
    with Client(url) as client, pytest.raises(Exception, match="no") as caught:
        client.models()
    assert not isinstance(caught.value, NoGateway)


@pytest.mark.parametrize("words", [("seek", "sim-task-1", "100"), ("seek", "100", "sim-task-1"), ("seek", "100")])
def test_seek_is_understood_in_either_order(serve: Serve, words: tuple[str, ...]) -> None:
    asked: list[str] = []

    async def seek(request: Request) -> Response:
        asked.append(f"{request.path_params['run']} {(await request.json())['row_index']}")
        return JSONResponse(answers.run("sim-task-1").model_dump(mode="json"))

    latest = {"items": [answers.run("sim-task-1").model_dump(mode="json")], "next_cursor": None}
    routes = [Route("/v1/runs/{run}/seek", seek, methods=["POST"]), Route("/v1/runs", lambda _: JSONResponse(latest))]
    assert typed("--url", serve(Starlette(routes=routes)), *words).exit_code == 0
    assert asked == ["sim-task-1 100"]


@pytest.mark.parametrize("words", [("speed", "sim-task-1", "5"), ("speed", "5", "sim-task-1"), ("speed", "5")])
def test_speed_is_understood_in_either_order(serve: Serve, words: tuple[str, ...]) -> None:
    asked: list[Any] = []

    async def speed(request: Request) -> Response:
        asked.append((request.path_params["run"], (await request.json())["rows_per_second"]))
        return JSONResponse(answers.run("sim-task-1").model_dump(mode="json"), 202)

    latest = {"items": [answers.run("sim-task-1").model_dump(mode="json")], "next_cursor": None}
    routes = [Route("/v1/runs/{run}/speed", speed, methods=["POST"]), Route("/v1/runs", lambda _: JSONResponse(latest))]
    assert typed("--url", serve(Starlette(routes=routes)), *words).exit_code == 0
    assert asked == [("sim-task-1", 5.0)]


@pytest.mark.parametrize(
    "words", [("seek", "sim-task-1", "x"), ("seek", "sim-task-1", "-1"), ("speed", "sim-task-1", "fast"), ("step", "0")]
)
def test_what_is_no_number_is_wrong_usage(words: tuple[str, ...]) -> None:
    result = (
        typed("--url", "http://127.0.0.1:1", "--", *words)
        if "-1" in words
        else typed("--url", "http://127.0.0.1:1", *words)
    )
    assert result.exit_code == 2


@pytest.mark.parametrize(
    "words",
    [("step", "sim-task-1", "3"), ("step", "3", "sim-task-1"), ("step", "sim-task-1", "-n", "3"), ("step", "3")],
)
def test_step_takes_a_number_of_rows(serve: Serve, words: tuple[str, ...]) -> None:
    asked: list[Any] = []

    async def step(request: Request) -> Response:
        asked.append((request.path_params["run"], (await request.json())["rows"]))
        return JSONResponse(answers.run("sim-task-1").model_dump(mode="json"))

    latest = {"items": [answers.run("sim-task-1").model_dump(mode="json")], "next_cursor": None}
    routes = [Route("/v1/runs/{run}/step", step, methods=["POST"]), Route("/v1/runs", lambda _: JSONResponse(latest))]
    assert typed("--url", serve(Starlette(routes=routes)), *words).exit_code == 0
    assert asked == [("sim-task-1", 3)]


def watched(serve: Serve) -> str:
    handlers: dict[str, Any] = {
        "v1__runs__sim-task-1": lambda _: answers.run(status="IN_PROGRESS").model_dump(mode="json"),
        "v1__runs__sim-task-1__events": stream_of(*WHOLE_RUN),
    }
    return gateway(serve, **handlers)


def test_watch_into_a_pipe_tells_every_row_on_a_line(serve: Serve) -> None:
    told = typed("--url", watched(serve), "watch", "sim-task-1").stdout.splitlines()
    assert told[0] == "sim-task-1: IN_PROGRESS, attempt 1"
    assert ["SAMPLE_0" in told[1], "SAMPLE_1" in told[2], "SAMPLE_2" in told[3]] == [True] * 3
    assert any("COMPLETED" in line for line in told[4:])


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_reader_that_has_enough_is_no_failure(serve: Serve, more: list[str]) -> None:
    def rows(request: Request) -> Any:
        after = int(request.query_params["after"])
        items = [answers.prediction(i).model_dump(mode="json") for i in range(after + 1, after + 101)]
        return {"items": items, "next_after": after + 100, "complete": False}

    url = gateway(serve, **{"v1__runs__sim-task-1__predictions": rows})
    line = f"{' '.join(COMMAND)} --url {url} predictions sim-task-1 {' '.join(more)} | head -n 2"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    "words", ["client --help", "client runs --help", "client --version", "devstack doctor", "devstack --help"]
)
def test_reader_that_has_enough_of_what_needs_no_gateway_is_no_failure(elsewhere: Path, words: str) -> None:
    stack_at(elsewhere, "http://127.0.0.1:8100", "stopped")
    line = f"{sys.executable} -m {words} | true; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("width", [60, 80])
def test_narrow_tables_keep_the_number_of_the_sample(width: int) -> None:
    console = Console(width=width, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    number = 1_183_748
    row = answers.prediction(number).model_copy(update={"top_features": {f"L3_S30_F3{i}754": -0.25 for i in range(3)}})
    console.print(show_runs.newest(deque([row])))
    text = console.export_text()
    assert f"SAMPLE_{number}" in text
    assert "✓ PASS" in text
