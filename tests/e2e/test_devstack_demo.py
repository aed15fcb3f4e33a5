"""`python -m devstack demo`: the whole job on generated data, ended by itself or by Ctrl-C; nothing stays behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from devstack.ports import free_port
from devstack.state import is_running, process_of, read_state
from tests.support.stack import PORTS
from tests.support.waiting import eventually_sync

ROW = re.compile(r"SAMPLE_\d+ .*(PASS|FAIL)")
SECONDS = 280


def start(folder: Path, **environment: str) -> "subprocess.Popen[str]":
    own = {
        "DEVSTACK_FOLDER": str(folder),
        "DEVSTACK_WITHOUT": "dashboard",
        **{name: str(free_port()) for name in PORTS},
    }
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "REDIS_URL", "STORAGE_URL"):
        own[name] = ""
    with (folder.parent / "out").open("w") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "devstack", "demo"],
            env={**os.environ, **own, **environment},
            cwd=folder.parent,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )


def assert_nothing_stays(folder: Path) -> None:
    state = read_state(folder)
    assert state is not None
    assert (state.phase, is_running(folder)) == ("stopped", False)
    assert [part.name for part in state.parts if process_of(part)] == []
    eventually_sync(lambda: has_ended(state.supervisor_pid), timeout_seconds=10)


def has_ended(pid: int) -> bool:
    """Gone, or a zombie that nobody has asked about."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.mark.timeout(SECONDS + 20)
def test_the_demo_ends_by_itself_with_numbers_that_equal_the_recount(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    process = start(folder, DEMO_ROWS="5", DEMO_EXIT="1")
    assert process.wait(SECONDS) == 0, (tmp_path / "out").read_text()
    out = (tmp_path / "out").read_text()
    assert len(ROW.findall(out)) >= 5
    assert re.search(r"rows +│ +(\d+) │ +\1 │ = │", out)
    assert "every number is equal" in out
    assert_nothing_stays(folder)


@pytest.mark.timeout(SECONDS + 20)
def test_ctrl_c_in_the_stream_stops_the_run_shows_the_summary_and_stops_everything(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    process = start(folder, DEMO_ROWS="0")

    def streaming() -> bool:
        assert process.poll() is None, (tmp_path / "out").read_text()
        return len(ROW.findall((tmp_path / "out").read_text())) >= 2

    eventually_sync(streaming, timeout_seconds=SECONDS)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, (tmp_path / "out").read_text()
    assert "every number is equal" in (tmp_path / "out").read_text()
    assert_nothing_stays(folder)
