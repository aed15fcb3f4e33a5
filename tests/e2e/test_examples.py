"""The examples do what they say, as they are written, on a running stack."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from client import Client
from schemas.http.runs import Run, RunCreate
from tests.e2e.browser import chromium
from tests.support.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGES_MAY_COME_FROM = (5173, 4200, 3000)
"""Ports of this machine from which pages may call a gateway on loopback."""


@pytest.fixture(scope="module")
def scored(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What the cells of the notebook leave behind, run one after the other; and its workspace."""
    csv, workspace = tmp_path_factory.mktemp("notebook") / "rows.csv", f"examples-{uuid4().hex[:8]}"
    subprocess.run(
        [sys.executable, "-m", "devstack.generate", "--rows", "5000", "--features", "40", csv], check=True, timeout=60
    )
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (
            ("CSV", str(csv)),
            ("INTELLIINSPECT_URL", stack.gateway_url),
            ("INTELLIINSPECT_WORKSPACE", workspace),
        ):
            environment.setenv(name, value)
        names: dict[str, Any] = {}
        for cell in json.loads((EXAMPLES / "train.ipynb").read_text())["cells"]:
            if cell["cell_type"] == "code":
                assert (cell["outputs"], cell["execution_count"]) == ([], None)
                exec("".join(cell["source"]), names)
    return names, workspace


def run_of(scored: tuple[dict[str, Any], str]) -> Run:
    found: Run = scored[0]["run"]
    return found


def runs(*words: str, stack: Stack) -> str:
    """What an example prints."""
    command = [sys.executable, str(EXAMPLES / words[0]), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_the_notebook_trains_and_scores_the_last_fifth(scored: tuple[dict[str, Any], str]) -> None:
    run = run_of(scored)
    assert (run.status, run.statistics.total_predictions, run.statistics.dead_letters) == ("COMPLETED", 1000, 0)
    assert run.statistics.fail_count == len(scored[0]["fails"])


@pytest.mark.timeout(300)
def test_each_prediction_is_consumed_once_and_a_group_goes_on_where_it_was(
    scored: tuple[dict[str, Any], str], stack: Stack
) -> None:
    run, group = run_of(scored), f"other-{uuid4().hex[:8]}"
    words = (
        "consume_predictions.py",
        "--bootstrap",
        stack.bootstrap,
        "--group",
        group,
        "--run",
        run.run_id,
        "--from-start",
    )
    printed = [json.loads(line) for line in runs(*words, "--limit", "1000", stack=stack).splitlines()]
    identities = [answer["prediction_id"] for answer in printed]
    assert sorted(identities) == sorted(f"{run.run_id}:1:{row}" for row in range(1000))
    assert sum(answer["prediction"] == "FAIL" for answer in printed) == run.statistics.fail_count


@pytest.fixture
def pages() -> Iterator[str]:
    """The examples as a web server shows them, at an origin that may call the gateway."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(EXAMPLES))
    for port in PAGES_MAY_COME_FROM:
        try:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        except OSError:
            continue
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{port}"
        server.shutdown()
        server.server_close()
        return
    pytest.fail(f"ports {PAGES_MAY_COME_FROM} are all taken")


@pytest.mark.timeout(300)
def test_the_page_follows_a_run_to_its_end_and_counts_each_row_once(
    scored: tuple[dict[str, Any], str], stack: Stack, pages: str
) -> None:
    with Client(stack.gateway_url, workspace=scored[1]) as gateway, chromium() as browser:
        run = gateway.start_run(
            RunCreate(model_version=run_of(scored).model_version, rows_per_second=200, warmup_seconds=0)
        )
        page = browser.new_page()
        page.goto(f"{pages}/events.html?run={run.run_id}&gateway={stack.gateway_url}")
        expect(page.locator("#status")).to_have_text("COMPLETED: 1000 predictions, 0 dead letters", timeout=60_000)
        assert page.locator("#rows").text_content() == "1000"
        assert page.locator("#fails").text_content() == str(gateway.run(run.run_id).statistics.fail_count)
        assert page.locator("#newest tr").count() == 20


@pytest.mark.timeout(300)
def test_rows_with_two_faults_are_repaired_and_count_once(
    scored: tuple[dict[str, Any], str], stack: Stack, tmp_path: Path
) -> None:
    version = run_of(scored).model_version
    with Client(stack.gateway_url) as gateway:
        assert version is not None
        features = gateway.model(version).features
    whole = dict.fromkeys(features, 0.5)
    one_fault = whole | {"no_such_sensor": 1.0}
    two_faults = {name: value for name, value in one_fault.items() if name != features[0]}
    hopeless = whole | {features[0]: "much"}
    lines, key = tmp_path / "rows.jsonl", f"line-{uuid4().hex[:8]}"
    lines.write_text("".join(json.dumps(row) + "\n" for row in (whole, one_fault, two_faults, hopeless)))
    with Client(stack.gateway_url, workspace="default") as gateway:
        gateway.set_champion(version, force=True)
    runs("send_rows.py", "--bootstrap", stack.bootstrap, "--key", key, str(lines), stack=stack)
    run_id = f"ext-{key}"
    for _ in range(2):  # a second time changes nothing
        printed = runs("redrive.py", "--url", stack.gateway_url, "--run", run_id, stack=stack)
        with Client(stack.gateway_url) as gateway:
            found = gateway.run(run_id).statistics
            assert (found.total_predictions, found.dead_letters) == (3, 1), printed
    assert "left alone" in printed
