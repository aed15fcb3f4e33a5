"""`make up` on a stack that runs: what is set aside is tried again, and said when it does not come up."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from devstack import control
from devstack.errors import PartFailed
from devstack.settings import DevstackSettings
from devstack.state import TRY_AGAIN, PartStatus, StackState, only_supervisor, write_state
from devstack.status import document


def state(folder: Path, aside: bool) -> StackState:
    log = folder / "producer.log"
    log.write_text("KeyError: 'lamp'\n")
    note = "ended with code 70 (bug, or fenced); given up after 8 restarts; tried again at 12:00:00, or by `make up`"
    parts = [
        PartStatus("kafka", "", "", "ready"),
        PartStatus("producer", "", str(log), "set aside" if aside else "ready", note=note if aside else ""),
    ]
    return StackState("degraded" if aside else "ready", os.getpid(), "", "", "", "", "", parts)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DevstackSettings]:
    """A stack of which the producer is set aside; this process stands for its supervisor."""
    monkeypatch.setattr(control, "TRY_AGAIN_SECONDS", 0.2)
    write_state(tmp_path, state(tmp_path, aside=True))
    former = signal.getsignal(TRY_AGAIN)
    with only_supervisor(tmp_path):
        yield DevstackSettings.model_validate({"folder": tmp_path})
    signal.signal(TRY_AGAIN, former)


def test_what_is_set_aside_is_tried_again(settings: DevstackSettings, tmp_path: Path) -> None:
    signal.signal(TRY_AGAIN, lambda *_: write_state(tmp_path, state(tmp_path, aside=False)))
    assert control.up(settings, Console(quiet=True)).phase == "ready"


def test_what_stays_set_aside_is_said_with_its_reason_and_its_log(settings: DevstackSettings) -> None:
    asked: list[int] = []
    signal.signal(TRY_AGAIN, lambda number, _: asked.append(number))
    with pytest.raises(
        PartFailed, match=r"producer is set aside: ended with code 70(.|\n)*KeyError: 'lamp'(.|\n)*the other parts run"
    ):
        control.up(settings, Console(quiet=True))
    assert asked == [TRY_AGAIN]


def test_scripts_are_told_too(tmp_path: Path) -> None:
    said = document(state(tmp_path, aside=True))
    assert said["phase"] == "degraded"
    assert "given up after 8 restarts" in str(said["parts"])
