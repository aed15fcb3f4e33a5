"""The rows of replays that are over stay of the newest; nobody's rows are taken from under him."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from producer.replay.retention import Spools
from schemas.messages import Status
from schemas.tasks import ReplaySource, RunSpec, TaskState
from storage.objects.files import Storage
from storage.objects.replays import folder, manifest
from tests.support.view_records import task

START = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = ReplaySource(run_id="r", attempt=1, lanes=1, ranges=[])


def replay(number: int, status: Status = "COMPLETED", source: ReplaySource | None = SOURCE) -> TaskState:
    spec = RunSpec(dataset_id=None, split_id=None, model_version="m", total_rows=1, replay=source)
    found = task(f"run-{number}", spec=spec, status=status)
    found.finished_at = START + timedelta(hours=number)
    return found


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    found = Storage(f"file://{tmp_path}").initialise()
    for number in range(6):
        found.write_bytes(f"{folder(f'run-{number}')}/000000.parquet", b"rows")
        if number != 4:
            found.write_bytes(manifest(f"run-{number}"), b"{}")
    return found


async def test_the_newest_that_ended_keep_their_rows_and_what_is_not_whole_goes(storage: Storage) -> None:
    spools = Spools(storage, 2)
    for number, status in enumerate(("COMPLETED", "FAILED", "PAUSED", "STOPPED", "FAILED", "COMPLETED")):
        spools.over(replay(number, status))  # type: ignore[arg-type]
    for _ in range(2):
        await spools.thin()
        assert storage.names("replays") == ["run-2", "run-3", "run-5"]
    await Spools(storage, 0).thin()  # of an owner of other runs
    assert storage.names("replays") == ["run-2", "run-3", "run-5"]


async def test_a_replay_that_begins_again_keeps_its_rows_however_old_it_is(storage: Storage) -> None:
    spools = Spools(storage, 0)
    spools.over(replay(0))
    spools.over(replay(1))
    await spools.begins("run-0")
    await spools.thin()
    assert storage.names("replays") == ["run-0", "run-2", "run-3", "run-4", "run-5"]
    spools.over(replay(0))
    await spools.thin()
    assert "run-0" not in storage.names("replays")


async def test_what_a_killed_producer_left_half_done_is_swept(storage: Storage, tmp_path: Path) -> None:
    left = tmp_path / ".scratch" / "spool"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    with storage.scratch() as used:
        os.utime(used, (0, 0))
        await Spools(storage, 0).thin()
        assert (left.exists(), used.exists()) == (False, True)


async def test_a_storage_that_is_away_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "replays").write_text("no folder")
    spools = Spools(Storage(f"file://{tmp_path}").initialise(), 0)
    spools.over(replay(0))
    await spools.thin()
