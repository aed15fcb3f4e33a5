"""A newcomer's first hour, as the README leads it: a clean clone, a stack with moved ports, the command beside it,
mistakes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clone import SET, offset

REPOSITORY = Path(__file__).parents[2]


class Newcomer:
    """Somebody in a folder, with nothing set but what is said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in (*SET, "DEVSTACK_PORT_OFFSET", "DEVSTACK_FOLDER")
        }
        self.environment |= {"DEVSTACK_WITHOUT": "dashboard,stream_processor,trainer", "COLUMNS": "200"}

    def types(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env={**self.environment, "PYTHONPATH": str(REPOSITORY), **settings},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    made = Newcomer(tmp_path)
    yield made
    made.types("devstack", "down")


@pytest.mark.timeout(300)
def test_stack_with_moved_ports_is_found_from_its_folder_and_says_what_changed(newcomer: Newcomer) -> None:
    moved = {"DEVSTACK_PORT_OFFSET": offset(), "HOME": "/proc"}  # where nothing can be written
    started = newcomer.types("devstack", "up", **moved)
    assert started.returncode == 0, started.stdout + started.stderr
    url = f"http://127.0.0.1:{8000 + int(moved['DEVSTACK_PORT_OFFSET'])}"
    assert url in started.stdout

    status = newcomer.types("client", "status")
    assert (status.returncode, url in status.stdout) == (0, True), status.stdout + status.stderr
    findings = json.loads(newcomer.types("client", "doctor", "--json", **moved).stdout)
    assert [found for found in findings if found["state"] == "failed"] == []
    without = json.loads(newcomer.types("client", "doctor", "--json").stdout)  # in another window, where nothing is set
    assert [found for found in without if found["state"] == "failed"] == []
    assert any("DEVSTACK_PORT_OFFSET" in found["detail"] for found in without if found["check"] == "settings")

    (newcomer.folder / ".env").write_text(
        f"DEVSTACK_PORT_OFFSET={moved['DEVSTACK_PORT_OFFSET']}\nGATEWAY_UPLOAD_JOBS=3\n"
    )
    again = newcomer.types("devstack", "up")
    assert again.returncode == 0
    assert "GATEWAY_UPLOAD_JOBS" in again.stdout
    assert "make down, then make up" in again.stdout
    assert "GATEWAY_UPLOAD_JOBS" in newcomer.types("devstack", "status").stdout


def test_wrong_settings_are_said_before_anything_starts(newcomer: Newcomer) -> None:
    (newcomer.folder / ".env").write_text("TRAINER_JOBS=none\n")
    refused = newcomer.types("devstack", "up", GATEWAY_ML_DIALECT="french", GATEWAY_STATUS_STYLE="celery")
    assert refused.returncode == 78
    for said in ("GATEWAY_ML_DIALECT=french", "TRAINER_JOBS=none", "GATEWAY_STATUS_STYLE is read no more"):
        assert said in refused.stderr
    assert not (newcomer.folder / ".devstack" / "logs").exists()


def test_open_bind_is_said_loudly(newcomer: Newcomer) -> None:
    moved: dict[str, Any] = {
        "DEVSTACK_PORT_OFFSET": offset(),
        "DEVSTACK_WITHOUT": "dashboard,stream_processor,trainer,producer",
    }
    started = newcomer.types("devstack", "up", GATEWAY_HOST="0.0.0.0", **moved)
    assert started.returncode == 0, started.stdout + started.stderr
    assert "GATEWAY_HOST=0.0.0.0: OPEN TO OTHER MACHINES" in started.stdout
    assert "OPEN TO OTHER MACHINES" in (newcomer.folder / ".devstack" / "logs" / "gateway.log").read_text()


def test_rows_of_other_systems_fail_in_words(newcomer: Newcomer) -> None:
    example = REPOSITORY / "examples" / "send_rows.py"
    for content, words in (
        (b'{"S1": 1}\n{"S1": \n', "line 2 is no JSON"),
        (b"[1, 2]\n", "line 1 is no object"),
        (b'{"S1": NaN}\n', "line 1 is no JSON: NaN is not"),
        (b"\n", "holds no rows"),
        (b"\xff\xfe", "is no text in UTF-8"),
        (b'{"S1": 1}\n', "Kafka at 127.0.0.1:1 does not answer"),
    ):
        (newcomer.folder / "rows.jsonl").write_bytes(content)
        command = [sys.executable, str(example), "--bootstrap", "127.0.0.1:1", "rows.jsonl"]
        done = subprocess.run(command, cwd=newcomer.folder, capture_output=True, text=True, timeout=60, check=False)
        (line,) = done.stderr.strip().splitlines()
        assert (done.returncode, words in line) == (1, True), done.stderr
