"""HTTP as it is spoken, before any part of the application is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from gateway.documents import documents
from gateway.settings import GatewaySettings
from gateway.web.operations import Operations, unknown

DOCUMENT = documents()["openapi.json"]
PATHS: dict[str, Any] = DOCUMENT["paths"]
PREFIX = "/inspect"
JSON = {"Content-Type": "application/json"}


def client(folder: Path, **settings: Any) -> httpx.AsyncClient:
    app = create_app(GatewaySettings(storage_url=f"file://{folder}", **settings))
    app.openapi_schema = DOCUMENT  # made once for all tests
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://gateway")


def filled(template: str) -> str:
    return template.replace("{", "").replace("}", "")


def having(method: str) -> Iterator[str]:
    yield from (filled(template) for template, methods in PATHS.items() if method in methods)


@pytest.mark.parametrize("path", ["/", "/health", "/docs", "/openapi.json", "/metrics", "/docs/assets/swagger-ui.css"])
async def test_head_is_answered_as_get_without_a_body(tmp_path: Path, path: str) -> None:
    async with client(tmp_path) as http:
        got, head = await http.get(path), await http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


async def test_head_exists_wherever_get_does(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        assert [path for path in having("get") if (await http.head(path)).status_code == 405] == []


async def test_405_allows_exactly_what_the_path_has(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        for template, methods in PATHS.items():
            answer = await http.request("PATCH", filled(template))
            assert answer.status_code == 405, template
            named = {method.upper() for method in methods} | ({"HEAD"} if "get" in methods else set())
            assert named <= set(answer.headers["allow"].split(", ")), template


async def test_405_of_the_champion_names_the_methods_of_all_its_routes(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        assert (await http.post("/v1/models/champion")).headers["allow"] == "DELETE, GET, HEAD, PUT"


@pytest.mark.parametrize("path", ["/health/", "/v1/runs/?limit=2", "/v1/models/x/"])
async def test_redirects_name_no_host(tmp_path: Path, path: str) -> None:
    async with client(tmp_path) as http:
        answer = await http.get(path, headers={"Host": "inner:8000"})
    assert answer.status_code == 307
    assert answer.headers["location"] == path.replace("/?", "?").rstrip("/")


@pytest.mark.parametrize("sent", ["", PREFIX])
async def test_below_a_prefix_everything_stays_below_it(tmp_path: Path, sent: str) -> None:
    """A proxy may leave the prefix on the path or take it off."""
    async with client(tmp_path, root_path=PREFIX) as http:
        root = (await http.get(f"{sent}/")).json()
        assert {root[name] for name in ("docs", "openapi", "health", "ready", "metrics")} == {
            f"{PREFIX}/{name}" for name in ("docs", "openapi.json", "health", "ready", "metrics")
        }
        page = (await http.get(f"{sent}/docs")).text
        assert f"'{PREFIX}/openapi.json'" in page
        assert page.count(f'"{PREFIX}/docs/assets/') == page.count("/docs/assets/")
        assert (await http.get(f"{sent}/docs/assets/swagger-ui.css")).status_code == 200
        assert (await http.get(f"{sent}/openapi.json")).json()["servers"] == [{"url": PREFIX}]
        assert (await http.get(f"{sent}/v1/runs/")).headers["location"] == f"{PREFIX}/v1/runs"
        assert (await http.post(f"{sent}/API/DATASET/VALIDATE-RANGES", content=b"{", headers=JSON)).status_code == 400
        assert (await http.get(f"{sent}/v1/runs?page=2")).status_code == 422


@pytest.mark.parametrize("path", ["/", "/health", "/v1/runs?page=1", "/nothing"])
async def test_what_may_change_is_kept_by_no_cache(tmp_path: Path, path: str) -> None:
    async with client(tmp_path) as http:
        assert (await http.get(path)).headers["cache-control"] == "no-store"


async def test_files_that_never_change_may_be_kept(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        assert "no-store" not in (await http.get("/docs/assets/swagger-ui.css")).headers.get("cache-control", "")


async def test_query_parameter_that_a_route_does_not_have_is_refused(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        for path in having("get"):
            if path.startswith("/v1/"):
                answer = await http.get(path, params={"pagee": "2"})
                assert answer.status_code == 422, path
                (problem,) = answer.json()["detail"]
                assert (problem["loc"], problem["type"]) == (["query", "pagee"], "value_error.unknown_parameter")
                assert "'pagee'" in problem["msg"]


async def test_every_unknown_and_repeated_query_parameter_is_named_in_one_answer(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        answer = await http.get("/v1/runs/r/predictions?cursor=3&limt=5&after=1&after=2&cursor=4")
    assert [(one["loc"][1], one["msg"]) for one in answer.json()["detail"]] == [
        ("cursor", "There is no query parameter 'cursor' here; there are: after, attempt, limit."),
        ("limt", "There is no query parameter 'limt' here; did you mean 'limit'?"),
        ("after", "'after' is given more than once."),
    ]


async def test_old_routes_ignore_what_they_do_not_know(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        assert (await http.get("/health?_=1712345")).status_code == 200
        assert (await http.post("/api/Dataset/validate-ranges?_=1", content=b"{", headers=JSON)).json()[
            "status"
        ] == "Invalid"


def test_names_are_compared_as_they_are_written_and_hinted_at_whatever_their_case() -> None:
    assert [problem.msg for problem in unknown(["Label", "x", "label"], ["label"], "body")] == [
        "There is no field 'Label' here; did you mean 'label'?",
        "There is no field 'x' here; there is: label.",
    ]


@pytest.mark.parametrize(
    "path", ["/api/dataset/validate-ranges", "/API/Dataset/Validate-RANGES", "/api/Dataset/validate-ranges"]
)
async def test_api_paths_are_found_whatever_their_case(tmp_path: Path, path: str) -> None:
    async with client(tmp_path) as http:
        answer = await http.post(path, content=b"{", headers=JSON)
    assert (answer.status_code, answer.json()["status"]) == (400, "Invalid")


async def test_ids_in_api_paths_keep_their_case() -> None:
    operations = Operations(DOCUMENT)
    assert operations.documented_case("/api/simulation/STATUS/Sim-Task-A") == "/api/Simulation/status/Sim-Task-A"
    assert operations.documented_case("/api/other") == "/api/other"


async def test_other_paths_keep_their_case(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        assert (await http.get("/V1/runs")).status_code == 404


@pytest.mark.parametrize("path", ["/dataset/store", "/v1/datasets", "/api/dataset/upload", "/process/split-data"])
async def test_body_announced_too_large_is_refused_before_it_is_asked_for(tmp_path: Path, path: str) -> None:
    app = create_app(GatewaySettings(storage_url=f"file://{tmp_path}", max_upload_bytes=1000, max_body_bytes=1000))
    headers = [
        (b"expect", b"100-continue"),
        (b"content-length", b"5000000"),
        (b"content-type", b"multipart/form-data; boundary=x"),
    ]
    said: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("reading is what sends 100 Continue")

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("gateway", 80),
        "client": ("1.2.3.4", 5),
        "root_path": "",
    }
    await app(scope, receive, send)
    assert said[0]["status"] == 413


@pytest.mark.parametrize("dialect", ["web", "contract"])
async def test_errors_of_the_dotnet_routes_are_plain_text_for_the_web_client(tmp_path: Path, dialect: str) -> None:
    async with client(tmp_path, dotnet_dialect=dialect) as http:
        answers = [
            await http.get("/api/nothing"),
            await http.get("/api/Training/start"),
            await http.post("/api/training/start", content=b"{", headers=JSON),
        ]
    assert [answer.status_code for answer in answers] == [404, 405, 400]
    kind = "text/plain" if dialect == "web" else "application/json"
    assert {answer.headers["content-type"].split(";")[0] for answer in answers} == {kind}
    if dialect == "web":
        assert [answer.text for answer in answers[:2]] == ["Not Found", "Method Not Allowed"]
        assert answers[2].text.startswith("The body is not valid JSON")
        assert answers[1].headers["allow"] == "POST"


async def test_ranges_are_checked_in_json_in_any_dialect(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        answer = await http.post("/api/dataset/validate-ranges", content=b"{", headers=JSON)
    assert (answer.status_code, answer.json()["status"]) == (400, "Invalid")


async def test_a_bug_is_plain_text_for_the_web_client_too(tmp_path: Path) -> None:
    async with client(tmp_path) as http:  # its parts are not there: any use of them is a bug
        answer = await http.get("/api/training/status/00000000-0000-4000-8000-000000000000")
        assert (answer.status_code, answer.text) == (500, "Internal error; the log knows more.")
        assert (await http.get("/v1/runs/x")).json()["code"] == "bug"
