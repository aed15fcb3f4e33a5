"""The `intelliinspect` command against a real server: what it prints, for people and for scripts, and its exit
codes."""

import json
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from typer.testing import CliRunner, Result

from client.command.app import app
from schemas.http.runs import StatusEvent
from tests.support import gateway_answers as answers

Serve = Callable[..., str]
Handler = Callable[[Request], Any]


def gateway(serve: Serve, **handlers: Handler) -> str:
    """Serve handlers by path; a double underscore stands for a slash."""
    routes = [
        Route("/" + name.replace("__", "/"), made(handler), methods=["GET", "POST"])
        for name, handler in handlers.items()
    ]
    return serve(Starlette(routes=routes))


def made(handler: Handler) -> Any:
    async def answer(request: Request) -> Response:
        found = handler(request)
        return found if isinstance(found, Response) else JSONResponse(found)

    return answer


def command(url: str, *words: str) -> Result:
    return CliRunner().invoke(
        app, list(words), env={"INTELLIINSPECT_URL": url, "COLUMNS": "200"}, catch_exceptions=False
    )


def stream_of(*events: str) -> Handler:
    async def parts() -> Any:
        for event in events:
            yield event

    return lambda request: StreamingResponse(parts(), media_type="text/event-stream")


WHOLE_RUN = (
    answers.event("status", StatusEvent(run_id="sim-task-1", status="IN_PROGRESS", attempt=1)),
    *(answers.event("prediction", answers.prediction(i), i) for i in range(3)),
    answers.event("stats", answers.statistics(3)),
    answers.event("end", answers.run()),
)
REFUSAL = {
    "detail": [
        {
            "loc": ["body", "train", "end"],
            "msg": "Train end date cannot be before train start date.",
            "type": "value_error.date.ordering",
        },
        {
            "loc": ["body", "test", "start"],
            "msg": "Test start lies in the training range.",
            "type": "value_error.date.overlap",
        },
    ]
}
DATES = [
    word
    for name in ("train", "test", "simulation")
    for end in ("start", "end")
    for word in (f"--{name}-{end}", "2021-01-01")
]


def test_each_problem_of_a_refusal_is_shown_with_its_field(serve: Serve) -> None:
    result = command(gateway(serve, v1__splits=lambda _: JSONResponse(REFUSAL, 422)), "split", "ds-1", *DATES)
    assert result.exit_code == 3
    assert "Refused (422)" in result.stderr
    assert "train.end: Train end date cannot be before train start date." in result.stderr
    assert "test.start: Test start lies in the training range." in result.stderr


def test_refusal_is_a_document_for_scripts_and_stdout_stays_empty(serve: Serve) -> None:
    result = command(gateway(serve, v1__splits=lambda _: JSONResponse(REFUSAL, 422)), "split", "ds-1", *DATES, "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    error = json.loads(result.stderr)
    assert (error["error"], error["status"]) == ("Refused", 422)
    assert [problem["field"] for problem in error["problems"]] == ["body.train.end", "body.test.start"]


def test_no_gateway_is_exit_code_4_with_advice(closed_url: str) -> None:
    result = command(closed_url, "runs")
    assert result.exit_code == 4
    assert closed_url in result.stderr
    assert "intelliinspect up" in result.stderr


def test_dates_are_all_or_none() -> None:
    result = command("http://127.0.0.1:9", "split", "ds-1", "--train-start", "2021-01-01")
    assert result.exit_code == 2
    assert "all six dates" in result.stderr


@pytest.mark.parametrize(
    "words",
    [("speed", "fast"), ("train", "-p", "depth"), ("train", "--objective", "fixed"), ("upload", "/no/such.csv")],
)
def test_wrong_usage_is_exit_code_2(words: tuple[str, ...]) -> None:
    assert command("http://127.0.0.1:9", *words).exit_code == 2


def test_gateway_of_another_version_is_exit_code_5(serve: Serve) -> None:
    assert command(gateway(serve, v1__runs=lambda _: {"unknown": 1}), "runs").exit_code == 5


def test_status_of_a_gateway_that_is_not_ready_is_exit_code_4(serve: Serve) -> None:
    unready = JSONResponse({"status": "unavailable", "dependencies": {"kafka": "no answer", "redis": "ok"}}, 503)
    result = command(gateway(serve, ready=lambda _: unready), "status")
    assert result.exit_code == 4
    assert "no answer" in result.stdout


def test_status_of_a_run_is_the_run_with_its_final_numbers(serve: Serve) -> None:
    url = gateway(serve, **{"v1__runs__sim-task-1": lambda _: answered("COMPLETED")})
    assert "COMPLETED" in command(url, "status", "sim-task-1").stdout
    assert json.loads(command(url, "status", "sim-task-1", "--json").stdout) == answered("COMPLETED")


def test_list_is_a_table_for_people_and_the_answer_for_scripts(serve: Serve) -> None:
    page = {"items": [answers.run().model_dump(mode="json")], "next_cursor": "c1"}
    url = gateway(serve, v1__runs=lambda _: page)
    assert "sim-task-1  COMPLETED" in command(url, "runs").stdout
    assert "--cursor c1" in command(url, "runs").stdout
    assert json.loads(command(url, "runs", "--json").stdout) == page


@pytest.mark.parametrize("width", ["60", "90", "200"])
def test_list_leaves_out_what_does_not_fit_and_breaks_no_line(serve: Serve, width: str) -> None:
    page = {
        "items": [answers.run("sim-task-00000000-0000-4000-8000-00000000000a").model_dump(mode="json")] * 2,
        "next_cursor": None,
    }
    url = gateway(serve, v1__runs=lambda _: page)
    result = CliRunner().invoke(app, ["runs"], env={"INTELLIINSPECT_URL": url, "COLUMNS": width})
    lines = result.stdout.rstrip().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("sim-task-00000000-0000-4000-8000-00000000000a") for line in lines[1:])
    assert ("started" in lines[0]) == (width == "200")


def test_empty_list_says_what_to_do(serve: Serve) -> None:
    assert (
        "intelliinspect simulate"
        in command(gateway(serve, v1__runs=lambda _: {"items": [], "next_cursor": None}), "runs").stdout
    )


def test_watch_prints_one_event_a_line_for_scripts(serve: Serve) -> None:
    url = gateway(
        serve,
        **{
            "v1__runs__sim-task-1": lambda _: answered("IN_PROGRESS"),
            "v1__runs__sim-task-1__events": stream_of(*WHOLE_RUN),
        },
    )
    result = command(url, "watch", "sim-task-1", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [line["event"] for line in lines] == ["status", "prediction", "prediction", "prediction", "stats", "end"]
    assert [line["row_index"] for line in lines[1:4]] == [0, 1, 2]


def test_watch_shows_the_last_rows_and_names_of_features_are_not_markup(serve: Serve) -> None:
    url = gateway(
        serve,
        **{
            "v1__runs__sim-task-1": lambda _: answered("IN_PROGRESS"),
            "v1__runs__sim-task-1__events": stream_of(*WHOLE_RUN),
        },
    )
    shown = command(url, "watch", "sim-task-1").stdout
    assert "COMPLETED" in shown
    assert "SAMPLE_2" in shown
    assert "[red]59 -0.50" in shown


def test_watched_run_that_fails_is_exit_code_1(serve: Serve) -> None:
    failed = answers.event("end", answers.run(status="FAILED", error="the split is gone"))
    url = gateway(
        serve,
        **{
            "v1__runs__sim-task-1": lambda _: answered("IN_PROGRESS"),
            "v1__runs__sim-task-1__events": stream_of(failed),
        },
    )
    result = command(url, "watch", "sim-task-1")
    assert result.exit_code == 1
    assert "the split is gone" in result.stderr


def test_rows_that_are_not_kept_any_more_are_a_refusal_that_names_the_first(serve: Serve) -> None:
    gone = (
        'event: gone\ndata: {"detail":"the first available row_index is 7.","code":"expired","first_available":7}\n\n'
    )
    url = gateway(
        serve,
        **{"v1__runs__sim-task-1": lambda _: answered("IN_PROGRESS"), "v1__runs__sim-task-1__events": stream_of(gone)},
    )
    result = command(url, "watch", "sim-task-1")
    assert result.exit_code == 3
    assert "first available row_index is 7" in result.stderr


def test_predictions_are_read_over_pages(serve: Serve) -> None:
    def page(request: Request) -> Any:
        after = int(request.query_params["after"])
        rows = [answers.prediction(i).model_dump(mode="json") for i in range(after + 1, min(after + 3, 5))]
        return {"items": rows, "next_after": after + len(rows), "complete": False}

    url = gateway(serve, **{"v1__runs__sim-task-1__predictions": page})
    rows = [
        json.loads(line)["row_index"]
        for line in command(url, "predictions", "sim-task-1", "--json").stdout.splitlines()
    ]
    assert rows == [0, 1, 2, 3, 4]


def test_export_is_written_whole_or_not_at_all(serve: Serve, tmp_path: Path) -> None:
    async def broken() -> Any:
        yield b"half of a zip"
        raise ConnectionError

    handlers: dict[str, Handler] = {"v1__runs__whole": lambda _: answers.run("whole").model_dump(mode="json")}
    handlers["v1__runs__half"] = lambda _: answers.run("half").model_dump(mode="json")
    handlers["v1__runs__whole__export"] = lambda _: Response(b"a zip", media_type="application/zip")
    handlers["v1__runs__half__export"] = lambda _: StreamingResponse(broken(), media_type="application/zip")
    url = gateway(serve, **handlers)
    target = tmp_path / "run.zip"
    found = command(url, "export", "whole", "--out", str(target), "--json")
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"path": str(target), "bytes": 5})
    assert command(url, "export", "half", "--out", str(target)).exit_code == 4
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("run.zip", b"a zip")]


def test_replay_and_retry_send_only_what_was_given(serve: Serve) -> None:
    asked: list[Any] = []

    def note(request: Request) -> Any:
        asked.append(request.headers["content-length"])
        return answers.run("new").model_dump(mode="json")

    url = gateway(serve, v1__runs__r__replay=note, v1__runs__r__retry=note)
    assert command(url, "replay", "r", "--no-watch").exit_code == 0
    assert command(url, "retry", "r", "--no-watch", "--speed", "max").exit_code == 0
    assert asked == [str(len("{}")), str(len('{"from_row":0,"rows_per_second":null}'))]


def test_diff_is_tables_for_people_and_the_answer_for_scripts(serve: Serve) -> None:
    url = gateway(serve, v1__runs__a__diff__b=lambda _: answers.diff().model_dump(mode="json"))
    shown = command(url, "diff", "a", "b")
    assert shown.exit_code == 0
    for text in ("PASS → FAIL 1 · FAIL → PASS 0", "SAMPLE_7", "+0.2500", "more: --cursor 7"):
        assert text in shown.stdout
    assert json.loads(command(url, "diff", "a", "b", "--json").stdout) == answers.diff().model_dump(mode="json")


def test_interrupted_watch_is_exit_code_130_and_tells_how_to_stop_the_run(serve: Serve) -> None:
    stopped = False

    def stop(request: Request) -> Any:
        nonlocal stopped
        stopped = True
        return answered("STOPPED")

    async def endless() -> Any:
        yield answers.event("prediction", answers.prediction(0), 0)
        import asyncio

        await asyncio.Event().wait()

    url = gateway(
        serve,
        **{
            "v1__runs__sim-task-1": lambda _: answered("IN_PROGRESS"),
            "v1__runs__sim-task-1__events": lambda _: StreamingResponse(endless(), media_type="text/event-stream"),
            "v1__runs__sim-task-1__stop": stop,
        },
    )
    watching = subprocess.Popen(
        [sys.executable, "-m", "client", "--url", url, "watch", "sim-task-1", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["event"] == "prediction"
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=20)
    assert watching.returncode == 130
    assert "intelliinspect stop sim-task-1" in err
    assert "Traceback" not in err
    assert not stopped


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_is_there(shell: str) -> None:
    source = subprocess.run(
        [sys.executable, "-m", "client"],
        env={"_INTELLIINSPECT_COMPLETE": f"source_{shell}", "PATH": ""},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert "intelliinspect" in source.stdout


def test_help_explains_the_exit_codes() -> None:
    assert "Exit codes" in command("http://127.0.0.1:9", "--help").stdout


def answered(status: str) -> dict[str, Any]:
    return answers.run(status=status).model_dump(mode="json")


EVIL = "\x1b]0;owned\x07\x9b2J\u202e[/bold]=.csv"


def test_names_and_messages_of_others_do_not_command_the_terminal(serve: Serve) -> None:
    summary = {
        "dataset_id": "ds-1",
        "file_name": EVIL,
        "file_size": 1,
        "row_count": 1,
        "column_count": 2,
        "feature_count": 1,
    }
    times = dict.fromkeys(("created_at", "first_timestamp", "last_timestamp"), "2024-01-01T00:00:00Z")
    labels = {"pass_value": "-1", "fail_value": "1", "pass_count": 1, "fail_count": 1}
    texts = {"workspace": "w", "label": "l", "feature_selection_task_id": "t"}
    page = {"items": [summary | times | texts | {"labels": labels, "pass_rate_percentage": 50.0}], "next_cursor": None}
    refusal = {"detail": EVIL, "code": "conflict", "task_id": None}
    url = gateway(serve, v1__datasets=lambda _: page, v1__models=lambda _: JSONResponse(refusal, 409))
    shown, refused, as_json = command(url, "datasets"), command(url, "models"), command(url, "datasets", "--json")
    for result in (shown, refused, as_json):
        said = result.output
        assert "owned" in said
        assert not [one for one in said if unicodedata.category(one) in ("Cc", "Cf") and one != "\n"], said
    assert json.loads(as_json.stdout)["items"][0]["file_name"] == EVIL
