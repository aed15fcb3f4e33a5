"""The README is walked from top to bottom in a fresh clone, as a newcomer would: every line of every block is typed as
it stands, what it says of its effect is looked at, and so is everything on the way that newcomers have stumbled over.
The tests are steps, in this order."""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

from devstack.environment import check, example
from devstack.ports import free_port
from schemas.topics import TOPICS
from tests.support.clone import INSTALLED, Clone
from tests.support.contract_help import table
from tests.support.old_clients import UPLOADED, WebClient, read
from tests.support.waiting import eventually_sync

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
(_, DIAGRAM), (_, TWO), (_, PRINTED), (_, DAILY), (_, JOB), (_, HTTP), (_, PYTHON), (_, WEB) = BLOCKS
TARGETS = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
DEMO = "make demo DEMO_ROWS=15 DEMO_EXIT=1"
START_SECONDS = 280

pytestmark = pytest.mark.timeout(2 * START_SECONDS)


def commands(block: str) -> dict[str, str]:
    """Each command of a block with what is said of it."""
    return {line.split("#")[0].strip(): line.partition("#")[2].strip() for line in block.strip().splitlines()}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    made = Clone(tmp_path_factory.mktemp("clone"))
    yield made
    made.shell("make down")


@pytest.fixture(scope="module")
def installed(clone: Clone) -> Clone:
    clone.install()
    return clone


@pytest.fixture(scope="module")
def running(installed: Clone) -> Iterator[Clone]:
    """The stack that `make up` of the README has started."""
    said = installed.shell("make up", timeout_seconds=START_SECONDS)
    assert installed.address(8080) in said, "the pages"
    assert installed.address(8000) in said, "the gateway"
    yield installed
    installed.shell("make down")


def newest_run(clone: Clone) -> str:
    answer = clone.shell(f"{INSTALLED}; intelliinspect runs --limit 1 --json")
    return str(json.loads(answer)["items"][0]["run_id"])


def test_the_diagram_names_what_there_is() -> None:
    named = set(re.findall(r"[a-z-]+(?:\.[a-z-]+)*\.v\d", DIAGRAM))
    assert named
    assert named <= {topic.name for topic in TOPICS}
    for room in ("gateway", "storage", "trainer", "producer", "stream_processor", "dashboard"):
        assert room in DIAGRAM
        assert f"| [`{room}/`]" in README or f", [`{room}/`]" in README


def test_every_make_target_that_the_documents_name_exists() -> None:
    for document in (REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")):
        named = set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(), re.MULTILINE))
        assert named <= TARGETS, f"{document}: {named - TARGETS}"


def test_every_file_that_the_readme_links_to_or_names_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    named = re.findall(r"`([a-z_0-9*]+(?:/[a-z_0-9*]+)*(?:/|\.py|\.yml|\.toml))`", README)
    assert links
    assert named
    assert [name for name in (*links, *named) if not list(REPOSITORY.glob(name.removesuffix("/")))] == []


def test_every_setting_that_the_readme_names_exists_and_takes_the_value_it_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = re.findall(r"`([A-Z]+_[A-Z_]+)(?:=([^`]*))?`", README)
    assert ("GATEWAY_ML_DIALECT", "celery") in named
    for name, value in named:
        assert f"# {name}=" in example(), name
        if value:
            monkeypatch.setenv(name, value)
            check()


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) < 150


@pytest.mark.parametrize("target", ["status", "down", "logs"])
def test_looking_at_a_clean_clone_installs_nothing(clone: Clone, target: str) -> None:
    assert "nothing runs" in clone.shell(f"make {target}")
    assert not (clone.folder / ".venv").exists()


def test_a_wrong_setting_is_said_by_its_name_before_anything_starts(installed: Clone) -> None:
    said = installed.shell("make up GATEWAY_PORT=http", code=2)
    assert "GATEWAY_PORT=http" in said
    assert not (installed.folder / ".devstack" / "logs").exists()


def test_the_demo_ends_as_the_readme_shows(installed: Clone) -> None:
    assert list(commands(TWO)) == ["make demo", "make test"]
    assert f"`{DEMO}`" in README
    said = installed.shell(DEMO, timeout_seconds=START_SECONDS)
    shown = [line for line in PRINTED.splitlines() if line != "…"]
    assert len(shown) == 3
    for line in shown:
        pattern = re.sub(r"(?:\\ )+", " +", re.sub(r"\d+(\\\.\d+)?", r"[\\d,.]+", re.escape(line)))
        assert re.search(pattern, said), f"{line}\n{said}"


def test_make_test_runs_the_tests_that_are_named(installed: Clone) -> None:
    said = installed.shell('make test JOBS=0 ARGS="tests/unit/devstack/test_ports.py -p no:cacheprovider"')
    assert re.search(r"\d+ passed", said)
    assert not re.search(r"failed|error", said)


def test_the_targets_of_every_day_call_what_there_is(installed: Clone) -> None:
    """`check` and `chaos` take minutes and have runs of their own; here their lines are looked at."""
    assert list(commands(DAILY)) == [
        "make up",
        "make status",
        "make logs",
        "make down",
        "make check",
        "make unit",
        "make chaos",
    ]
    for line in installed.shell("make -n check").splitlines():
        assert (installed.folder / line.split()[0]).exists(), line
    assert "(SEED=1 MINUTES=2)" in commands(DAILY)["make chaos"]
    (chaos,) = installed.shell("make -n chaos SEED=1 MINUTES=2").splitlines()
    found = re.fullmatch(r"\.venv/bin/python -m (\S+) --seed 1 --minutes 2 ?", chaos)
    assert found is not None
    assert find_spec(found[1]) is not None


def test_the_stack_is_in_the_background_and_shows_its_parts_and_logs(running: Clone) -> None:
    with urlopen(running.address(8000) + "/docs") as answer:
        assert answer.status == 200
    parts = ("kafka", "redis", "gateway", "stream_processor", "producer", "trainer", "dashboard")

    def all_ready() -> bool:  # on a busy machine a part may be asked in a moment in which it answers late
        status = running.shell("make status")
        assert not [name for name in parts if not re.search(rf"^{name} +ready ", status, re.MULTILINE)], status
        return True

    eventually_sync(all_ready, timeout_seconds=60)
    assert 'ARGS="producer"' in commands(DAILY)["make logs"]
    assert running.first_line('make logs ARGS="producer"').startswith("producer ")
    assert running.first_line("make logs")


def test_the_job_is_done_as_it_is_typed(running: Clone) -> None:
    """`--help` first; then the block, in a window of 80 columns, with the stack found from its folder."""
    verbs = running.shell(f"{INSTALLED}; intelliinspect --help")
    typed = re.findall(r"^intelliinspect (\S+)", JOB, re.MULTILINE)
    for verb in (*typed, "pause", "step", "seek", "retry", "replay", "diff", "export"):
        assert re.search(rf"^│ {verb} ", verbs, re.MULTILINE), verb
    assert JOB.startswith(INSTALLED)
    said = running.shell(JOB, timeout_seconds=START_SECONDS)
    assert "1,000" in said  # 20 % of 5,000 rows were streamed and scored
    assert "COMPLETED" in said
    assert re.findall(r"SAMPLE_\d+", said)[-3:] == ["SAMPLE_4001", "SAMPLE_4002", "SAMPLE_4003"]


def test_the_lines_over_http_do_what_they_say(running: Clone) -> None:
    assert HTTP.startswith('export INTELLIINSPECT_URL="${INTELLIINSPECT_URL:-http://127.0.0.1:8000}"\n')
    assert '"status": "ready"' in running.shell(HTTP, INTELLIINSPECT_URL=running.address(8000))


def test_the_lines_of_python_do_what_they_say(running: Clone) -> None:
    (running.folder / "lines.py").write_text(PYTHON)
    assert running.shell(f"{INSTALLED}; python lines.py").startswith("COMPLETED 1000")


def test_rows_of_another_system_are_answered(running: Clone) -> None:
    assert "[Examples](examples/README.md): send rows" in README
    header, first, *_ = (running.folder / "rows.csv").read_text().splitlines()
    values = dict(zip(header.split(","), first.split(","), strict=True))
    row = {name: float(value) if value else None for name, value in values.items() if name not in ("Id", "Response")}
    (running.folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    kafka = running.address(9092).removeprefix("http://")
    said = running.shell(f"{INSTALLED}; python examples/send_rows.py --bootstrap {kafka} --key line-7 rows.jsonl")
    assert json.loads(said)["run_id"] == "ext-line-7"
    assert "does not answer" in running.shell(
        f"{INSTALLED}; python examples/send_rows.py --bootstrap 127.0.0.1:1 rows.jsonl", code=1
    )


def test_the_address_may_stand_in_env_or_be_no_gateway_s(running: Clone, tmp_path: Path) -> None:
    command = f"cd {tmp_path}; {running.folder}/.venv/bin/intelliinspect"
    (tmp_path / ".env").write_text(f"INTELLIINSPECT_URL={running.address(8000)}\n")
    assert "COMPLETED" in running.shell(f"{command} runs")
    (line,) = running.shell(f"{command} --url {running.address(8080)} runs", code=4).splitlines()
    assert line.startswith(f"{running.address(8080)} answers, but it is no IntelliInspect gateway")


def test_doctor_is_right_of_moved_ports(running: Clone) -> None:
    running.shell("make doctor")
    assert running.address(8000) in running.shell(f"{INSTALLED}; intelliinspect doctor")


def test_a_run_is_played_as_one_would_type_it(running: Clone) -> None:
    running.shell(f"{INSTALLED}; intelliinspect simulate --speed 1 --warmup 0 --no-watch")
    run = newest_run(running)
    assert "5 row/s" in running.shell(f"{INSTALLED}; intelliinspect speed {run} 5")
    running.shell(f"{INSTALLED}; intelliinspect seek {run} 100")
    told = running.shell(f"{INSTALLED}; intelliinspect watch {run} | head -n 3")  # a pipe, whose reader has enough
    assert told.startswith(f"{run}: IN_PROGRESS")
    assert "SAMPLE_" in told
    running.shell(f"{INSTALLED}; intelliinspect stop {run}")
    assert len(running.shell(f"{INSTALLED}; intelliinspect predictions {run} | head -n 1").splitlines()) == 1
    assert running.shell(f"{INSTALLED}; intelliinspect --help | head -n 1")


def test_settings_that_change_under_a_running_stack_are_said(running: Clone) -> None:
    with (running.folder / ".env").open("a") as file:
        file.write("GATEWAY_UPLOAD_JOBS=3\n")
    for said in (running.shell("make up"), running.shell("make status")):
        assert "GATEWAY_UPLOAD_JOBS" in said
        assert "make down, then make up" in said


def test_down_keeps_the_data(running: Clone) -> None:
    assert "data stays in" in commands(DAILY)["make down"] or "data stays in .devstack" in DAILY
    running.shell("make down")
    assert any((running.folder / ".devstack" / "storage" / "datasets").iterdir())
    running.shell("make status", code=2)


def test_the_recipe_for_a_web_client_does_what_it_says(running: Clone) -> None:
    """As written, with another port: that of the recipe may be taken."""
    up, curl = WEB.strip().splitlines()
    port = str(free_port())
    assert "GATEWAY_PORT=5000" in up
    assert "localhost:5000" in curl
    running.shell(up.replace("5000", port), timeout_seconds=START_SECONDS)
    said = running.shell(curl.replace("localhost:5000", f"localhost:{port}"))
    read(UPLOADED, json.loads(said[said.index("{") :]))
    page = WebClient(f"http://127.0.0.1:{port}", "default")  # with its origin, preflights and routes in lower case
    assert page.upload(table(), "again.csv").json()["numberOfRecords"] == 500


def test_clean_removes_the_data_and_the_environment(running: Clone) -> None:
    assert "(make clean removes it, and the environment)" in commands(DAILY)["make down"]
    running.shell("make clean")
    assert not (running.folder / ".devstack").exists()
    assert not (running.folder / ".venv").exists()
    assert (REPOSITORY / "README.md").exists()
