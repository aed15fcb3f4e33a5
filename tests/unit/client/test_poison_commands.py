"""`intelliinspect poison …` against a real server: what it asks for and what it prints."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner, Result

from client.command.app import app
from schemas.http.quarantine import QuarantineList, QuarantineSummary, QuarantineView
from tests.support.gateway_answers import NOON

Serve = Callable[..., str]
PLACE = "run-commands.v1:2:1207"
RECORD = QuarantineView(
    place=PLACE,
    topic="run-commands.v1",
    partition=2,
    offset=1207,
    reason="a \x1b[31mred\x1b[0m reason",
    reader="producer",
    quarantined_at=NOON,
    by_hand=False,
    key_text="sim-task-1",
    key_base64="c2lt",
    value_text='{"a":"\x1b]0;title\x07"}',
    value_base64="e30=",
    value_bytes=9000,
)


class Gateway:
    """Answers, and remembers what it was asked."""

    def __init__(self, serve: Serve) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        routes = [
            Route("/v1/quarantine" + path, self._answer, methods=["GET", "POST"])
            for path in ("", "/{place}", "/{place}/skip")
        ]
        self.url = serve(Starlette(routes=routes))

    async def _answer(self, request: Request) -> JSONResponse:
        path = request.url.path.removeprefix("/v1/quarantine")
        self.asked.append((request.method, path, dict(request.query_params)))
        item = QuarantineSummary(**RECORD.model_dump(include=set(QuarantineSummary.model_fields)))
        page = QuarantineList(items=[item], total=301, by_topic={"run-commands.v1": 300, "tasks.v1": 1})
        return JSONResponse((RECORD if path else page).model_dump(mode="json"))

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["poison", *words], env={"INTELLIINSPECT_URL": self.url, "COLUMNS": "200"})


def test_the_list_says_where_records_stand_and_why(serve: Serve) -> None:
    gateway = Gateway(serve)
    result = gateway.run("list", "--topic", "run-commands.v1", "--limit", "5")
    assert gateway.asked == [("GET", "", {"topic": "run-commands.v1", "limit": "5"})]
    for text in (PLACE, "producer", "reason", "301 in all: run-commands.v1 300 · tasks.v1 1"):
        assert text in result.stdout


def test_bytes_are_shown_without_what_steers_a_terminal(serve: Serve) -> None:
    gateway = Gateway(serve)
    for words in (("list",), ("show", PLACE), ("skip", PLACE)):
        result = gateway.run(*words)
        assert result.exit_code == 0
        assert not set(result.stdout) & {"\x1b", "\x07"}
    assert [(method, path) for method, path, _ in gateway.asked] == [
        ("GET", ""),
        ("GET", f"/{PLACE}"),
        ("POST", f"/{PLACE}/skip"),
    ]
    assert "9,000" in gateway.run("show", PLACE).stdout
