"""`intelliinspect dead-letters …` against a real server: what it asks for, what it prints, and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner, Result

from client.command.app import app
from schemas.http.dead_letters import DeadLetterPage, DeadLetterView, LetterFailed, LettersSent, Outcome
from tests.support.gateway_answers import NOON

Serve = Callable[..., str]
LETTER = DeadLetterView(
    dead_letter_id="3-1207",
    state="open",
    reason="invalid_field",
    message="Expected `float`, got `str`",
    path="$.features.S1",
    run_id="sim-task-1",
    attempt=1,
    row_index=7,
    model_version=None,
    topic="rows.v1",
    partition=3,
    offset=1207,
    occurred_at=NOON,
    outcome=None,
    key_text="sim-task-1",
    key_base64="c2lt",
    headers={"x-line": "7"},
    value_text='{"features":{"S1":"[red]x"}}',
    value_base64="e30=",
    whole=True,
)
SENT = LettersSent(matched=1203, sent=999, failed=[LetterFailed(dead_letter_id="3-9", detail="too large")], left=203)


class Gateway:
    """Answers, and remembers what it was asked."""

    def __init__(self, serve: Serve, letter: DeadLetterView = LETTER, sent: LettersSent = SENT) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self._letter, self._sent = letter, sent
        paths = ("", "/redrive", "/purge", "/3-1207", "/3-1207/redrive")
        self.url = serve(
            Starlette(
                routes=[Route("/v1/dead-letters" + path, self._answer, methods=["GET", "POST"]) for path in paths]
            )
        )

    async def _answer(self, request: Request) -> JSONResponse:
        path, body = request.url.path.removeprefix("/v1/dead-letters"), await request.body()
        self.asked.append((request.method, path, json.loads(body) if body else dict(request.query_params)))
        page = DeadLetterPage(
            items=[self._letter], next_cursor="c", total=9, by_reason={"invalid_field": 9}, older_on_topic_only=True
        )
        answers = {"": page, "/redrive": self._sent, "/purge": self._sent}
        return JSONResponse(answers.get(path, self._letter).model_dump(mode="json"))

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["dead-letters", *words], env={"INTELLIINSPECT_URL": self.url, "COLUMNS": "200"})


def test_the_list_is_filtered_and_says_how_many_there_are(serve: Serve) -> None:
    gateway = Gateway(serve)
    result = gateway.run("list", "--run", "sim-task-1", "--state", "open", "--limit", "5")
    assert gateway.asked == [("GET", "", {"run_id": "sim-task-1", "state": "open", "limit": "5"})]
    for text in (
        "3-1207",
        "invalid_field",
        "$.features.S1",
        "9 in all",
        "older ones are on the topic",
        "more: --cursor c",
    ):
        assert text in result.stdout


def test_a_letter_is_shown_with_its_bytes_as_they_are(serve: Serve) -> None:
    outcome = Outcome(outcome="dead_letter", at=NOON, message="again", prediction_id=None, dead_letter_id="3-1300")
    letter = LETTER.model_copy(update={"state": "redriven", "outcome": outcome})
    result = Gateway(serve, letter).run("show", "3-1207")
    for text in (
        '{"features":{"S1":"[red]x"}}',
        "rows.v1 partition 3 offset 1207",
        "failed again: 3-1300",
        "x-line: 7",
    ):
        assert text in result.stdout


def test_one_letter_is_sent_again_with_the_value_of_a_file(serve: Serve, tmp_path: Path) -> None:
    gateway = Gateway(serve)
    (tmp_path / "row.json").write_text('{"features":{}}')
    assert gateway.run("redrive", "3-1207", "--value", str(tmp_path / "row.json")).exit_code == 0
    assert gateway.run("redrive", "3-1207", "--json").exit_code == 0
    assert gateway.asked == [
        ("POST", "/3-1207/redrive", {"value": '{"features":{}}'}),
        ("POST", "/3-1207/redrive", {"value": None}),
    ]


def test_of_many_it_is_told_how_many_went_and_which_did_not(serve: Serve) -> None:
    gateway = Gateway(serve)
    result = gateway.run("redrive", "--all", "--reason", "unknown_model")
    assert gateway.asked == [("POST", "/redrive", {"reason": "unknown_model"})]
    assert result.exit_code == 1
    for text in ("999 of 1,203 sent again", "3-9: too large", "203 more match"):
        assert text in result.stdout
    gateway.run("purge", "3-1207", "3-9")
    gateway.run("purge", "--all")
    assert gateway.asked[1:] == [
        ("POST", "/purge", {"ids": ["3-1207", "3-9"], "all": False}),
        ("POST", "/purge", {"all": True}),
    ]


@pytest.mark.parametrize(
    "words", [["redrive"], ["purge"], ["redrive", "3-1", "--all"], ["purge", "3-1", "--all"], ["purge", "--run", "r"]]
)
def test_what_is_meant_must_be_said(serve: Serve, words: list[str]) -> None:
    gateway = Gateway(serve)
    assert gateway.run(*words).exit_code == 2
    assert gateway.asked == []
