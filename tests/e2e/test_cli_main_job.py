"""The whole job on SECOM through the `intelliinspect` command, and a run under the hands of several readers."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from client import AsyncClient, Client
from client.errors import Conflict, NotFound, Refused
from devstack.recount import recount
from schemas.http.runs import PredictionView, Run, RunCreate
from schemas.http.system import System
from schemas.topics import PREDICTIONS, ROWS
from storage.objects.files import Storage
from tests.support.stack import Stack
from tests.support.waiting import eventually_sync

REPOSITORY = Path(__file__).parents[2]


class Shell:
    """The command in a workspace of its own."""

    def __init__(self, stack: Stack, workspace: str) -> None:
        self.environment = os.environ | {
            "INTELLIINSPECT_URL": stack.gateway_url,
            "INTELLIINSPECT_WORKSPACE": workspace,
            "COLUMNS": "160",
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "client", *words],
            env=self.environment,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0) -> str:
        process = self.start(*words)
        out, err = process.communicate(timeout=170)
        assert process.returncode == code, (words, out, err)
        return out

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code))


@pytest.fixture(scope="module")
def workspace() -> str:
    return f"cli-{uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def shell(stack: Stack, workspace: str) -> Shell:
    return Shell(stack, workspace)


@pytest.fixture(scope="module")
def model_version(shell: Shell, secom_csv: Path) -> str:
    """The job up to the model."""
    dataset = shell.json("upload", str(secom_csv))
    assert (dataset["row_count"], dataset["labels"]["pass_value"]) == (1547, "-1")
    split = shell.json("split")
    assert split["dataset_id"] == dataset["dataset_id"]
    assert sum(split[name]["rows"] for name in ("train", "test", "simulation")) == 1547
    training = shell.json("train", "--seed", "1")
    assert training["status"] == "COMPLETED"
    return str(training["result"]["model_version"])


@pytest.mark.timeout(400)
def test_whole_job_by_the_command_equals_a_recount(stack: Stack, shell: Shell, model_version: str) -> None:
    events = [
        json.loads(line)
        for line in shell.run("simulate", "--speed", "max", "--warmup", "0", "--lanes", "3", "--json").splitlines()
    ]
    end = events[-1]
    split = shell.json("split", "--suggest")
    assert split["simulation"]["start"]
    assert (end["event"], end["status"], end["model_version"]) == ("end", "COMPLETED", model_version)
    wanted = recount(Storage(stack.storage_url), model_version, f"splits/{end['split_id']}/simulation.parquet")
    statistics = end["statistics"]
    assert (statistics["total_predictions"], statistics["pass_count"], statistics["fail_count"]) == (
        wanted.total,
        wanted.pass_count,
        wanted.fail_count,
    )
    assert statistics["average_confidence"] == pytest.approx(wanted.average_confidence, abs=1e-9, rel=0)
    assert [event["row_index"] for event in events if event["event"] == "prediction"] == list(range(wanted.total))
    shown = shell.run("runs", end["run_id"])
    assert f"{wanted.total:,}  (PASS {wanted.pass_count:,} · FAIL {wanted.fail_count:,})" in shown


def test_interrupted_watch_leaves_the_run_going_and_stop_ends_it(shell: Shell, model_version: str) -> None:
    watching = shell.start("simulate", "--model", model_version, "--speed", "20", "--warmup", "0", "--json")
    assert watching.stdout is not None
    seen = [json.loads(watching.stdout.readline()) for _ in range(5)]
    run_id = next(event["run_id"] for event in seen if "run_id" in event)
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=20)
    assert watching.returncode == 130
    assert f"intelliinspect stop {run_id}" in err
    assert shell.json("runs", run_id)["status"] == "IN_PROGRESS"
    stopped = shell.json("stop", run_id)
    assert stopped["status"] == "STOPPED"
    assert shell.json("stop", run_id) == stopped


def test_paused_run_stands_still_and_goes_on(stack: Stack, workspace: str, model_version: str) -> None:
    with Client(stack.gateway_url, workspace=workspace) as client:
        run = client.start_run(RunCreate(model_version=model_version, rows_per_second=20, warmup_seconds=0))
        eventually_sync(lambda: client.run(run.run_id).statistics.total_predictions >= 3, timeout_seconds=30)
        assert client.pause_run(run.run_id).status == "PAUSED"
        assert client.resume_run(run.run_id).status == "IN_PROGRESS"
        client.set_speed(run.run_id, None)
        done = client.wait_for_run(run.run_id, timeout_seconds=60)
        assert done.statistics.total_predictions == done.total_rows
        assert [row.row_index for row in client.predictions(run.run_id)] == list(range(done.total_rows or 0))


async def test_two_readers_of_a_run_see_the_same_rows_and_one_resumes(
    stack: Stack, workspace: str, model_version: str
) -> None:
    async with AsyncClient(stack.gateway_url, workspace=workspace) as client:
        run = await client.start_run(
            RunCreate(model_version=model_version, rows_per_second=None, warmup_seconds=0, lanes=2)
        )

        async def read(after: int) -> tuple[list[int], Run]:
            async with aclosing(client.events(run.run_id, after=after)) as events:
                found = [event async for event in events]
            assert isinstance(found[-1], Run)
            return [event.row_index for event in found if isinstance(event, PredictionView)], found[-1]

        (whole, end), (rest, _) = await asyncio.gather(read(-1), read(99))
        assert whole == list(range(end.statistics.total_predictions))
        assert rest == whole[100:]


def test_system_is_shown_with_its_parts_topics_and_figures(stack: Stack, shell: Shell) -> None:
    found = System.model_validate(shell.json("system"))
    assert found.status == "ready"
    assert {part.name for part in found.parts if part.state == "up"} >= {
        "kafka",
        "redis",
        "gateway",
        "stream_processor",
        "producer",
    }
    assert {topic.name for topic in found.topics} >= {ROWS.name, PREDICTIONS.name}
    shown = shell.run("system")
    assert stack.gateway_url in shown
    assert all(topic.name in shown and f"{topic.partitions:,}" in shown for topic in found.topics)
    assert re.search(r"lag +[\d,]+ records", shown)
    assert re.search(r"redis memory +[\d.]+ .*keys", shown)


def test_refusals_name_what_is_wrong(stack: Stack, workspace: str, model_version: str, shell: Shell) -> None:
    with Client(stack.gateway_url, workspace=workspace) as client:
        with pytest.raises(NotFound):
            client.run("sim-task-00000000-0000-4000-8000-000000000000")
        with pytest.raises(Refused) as caught:
            client.start_run(RunCreate(model_version="model-000000000000"))
        assert caught.value.problems[0].field
        ended = client.runs(limit=1).items[0]
        client.stop_run(ended.run_id)
        with pytest.raises(Conflict):
            client.pause_run(ended.run_id)
    shell.run("split", "ds-000000000000", code=3)
    shell.run("pause", code=3)
