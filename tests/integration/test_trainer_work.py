"""Attempts, the words for a job's end, progress, and a storage that is asked again."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from runtime.kafka.transactions import Partition
from schemas.messages import Status
from schemas.tasks import FeatureSelectionSpec, TaskState
from storage.errors import StorageUnavailable
from storage.objects.files import Storage
from tests.support.small_split import write_small_split
from trainer.child.job_process import JobProcess, describe_exit
from trainer.child.process import outcome
from trainer.child.reporting import TRAINING, GrowingCurve, Reporter
from trainer.child.wire import (
    Curve,
    Failed,
    Job,
    Progress,
    SelectionSettings,
    StorageUnreachable,
    decode_job,
    decode_report,
    encode,
)
from trainer.patience import PatientStorage
from trainer.settings import TrainerSettings
from trainer.work import Work, exhausted, next_attempt

TINY, RUN = 16, "from trainer.child.process import main; main()"


def task(status: Status, attempt: int, spec: dict[str, Any] | None = None) -> TaskState:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return TaskState(
        task_id="t",
        kind="training",
        workspace="w",
        status=status,
        attempt=attempt,
        epoch=0,
        created_at=now,
        updated_at=now,
        spec=spec or {},
        progress={"percent": 41.5},
    )


def job(storage_url: str, spec: dict[str, Any]) -> Job:
    return Job(task("IN_PROGRESS", 1, spec), storage_url, 1, 1, SelectionSettings(100, 0.05, 20_000, 0.6, 0))


@pytest.mark.parametrize(
    ("status", "attempt", "expected"), [("PENDING", 0, 1), ("IN_PROGRESS", 1, 2), ("PENDING", 2, 2), ("PAUSED", 0, 1)]
)
def test_only_a_task_that_was_left_behind_gets_a_new_attempt(status: Status, attempt: int, expected: int) -> None:
    assert next_attempt(task(status, attempt)) == expected


def test_a_task_is_tried_so_often_and_then_says_why_not_again() -> None:
    assert exhausted(task("IN_PROGRESS", 2), 3) is None
    assert exhausted(task("PENDING", 3), 3) is None
    reason = exhausted(task("IN_PROGRESS", 3), 3)
    assert reason is not None
    assert "3 times" in reason


@pytest.mark.parametrize(("code", "words"), [(-9, "ran out of memory"), (-11, "SIGSEGV"), (3, "code 3")])
def test_end_of_a_job_is_described_for_a_person(code: int, words: str) -> None:
    assert words in describe_exit(code)


def test_what_is_left_to_wait_is_reckoned_from_the_rounds_so_far() -> None:
    now = [100.0]
    sent: list[Any] = []
    after_round = Reporter("test", sent.append, lambda: now[0]).rounds(TRAINING)
    now[0] += 3
    after_round(2, 10, 0.5, 0.6)
    curve = Curve(rounds=[2], train_loss=[0.5], validation_loss=[0.6])
    assert sent[-1] == Progress(status=TRAINING, percent=25.0, iteration=2, of=10, eta_seconds=12.0, curve=curve)


def test_curve_of_any_length_is_shown_from_its_first_to_its_last_round_in_a_bounded_number_of_points() -> None:
    curve = GrowingCurve(most=16)
    for number in range(1, 1001):
        shown = curve.add(number, 1 / number, None)
        assert len(shown.rounds) <= 16
        assert (shown.rounds[0], shown.rounds[-1]) == (1, number)
    steps = {after - before for before, after in pairwise(shown.rounds[:-1])}
    assert len(steps) == 1
    assert (len(shown.train_loss), shown.validation_loss) == (len(shown.rounds), [])


def test_jobs_and_reports_survive_the_pipe() -> None:
    sent = job("file:///x", {"dataset_id": "ds-1"})
    assert decode_job(encode(sent)) == sent
    assert decode_report(encode(Failed("because"))) == Failed("because")


def test_every_failure_of_a_job_becomes_an_outcome(tmp_path: Path) -> None:
    spec = {"dataset_id": "ds-1", "split_id": "split-1"}
    Storage(f"file://{tmp_path}").initialise()
    assert outcome(job(f"file://{tmp_path}", spec), print) == Failed("The split split-1 does not exist in the storage.")
    nonsense = outcome(job(f"file://{tmp_path}", {}), print)
    assert isinstance(nonsense, Failed)
    assert "dataset_id" in nonsense.reason
    (tmp_path / "a-file").write_text("")
    assert isinstance(outcome(job(f"file://{tmp_path}/a-file", spec), print), StorageUnreachable)


def test_a_job_without_room_for_its_result_says_so(storage_url: str) -> None:
    storage = Storage(storage_url).initialise()
    small = write_small_split(storage, rows=200)
    given = job(storage.url, msgspec.to_builtins(FeatureSelectionSpec(dataset_id=small.dataset.dataset_id)))
    given.task.kind = "feature_selection"
    child = subprocess.Popen(
        [sys.executable, "-c", f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({TINY}, {TINY})); {RUN}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(encode(given) + b"\n")
    child.stdin.flush()  # stays open: its end would tell the job that we are gone
    ended = decode_report(child.stdout.read().splitlines()[-1])
    assert child.wait() == 0
    child.stdin.close()
    child.stdout.close()
    assert isinstance(ended, Failed)
    assert "no room" in ended.reason
    assert "bytes are free" in ended.reason
    assert storage.names(f"datasets/{small.dataset.dataset_id}") == ["manifest.json"]
    assert storage.names("datasets") == [small.dataset.dataset_id]


class Talkative:
    """A job that always has something to report."""

    async def report(self) -> Progress:
        await asyncio.sleep(0)
        return Progress(status=TRAINING, percent=1)


async def test_a_cancellation_reaches_work_whose_job_reports_without_pause() -> None:
    for moment in range(40):
        settings = TrainerSettings(progress_interval_seconds=60)
        work = Work(cast(Partition, None), task("IN_PROGRESS", 1), settings)
        following = asyncio.create_task(work._follow(cast(JobProcess, Talkative())))
        for _ in range(moment):
            await asyncio.sleep(0)
        following.cancel()
        done, _ = await asyncio.wait([following], timeout=1)
        following.cancel()
        assert done, f"cancelled after {moment} turns, but it goes on"


class Faltering(Storage):
    """Does not answer the first `silent` times."""

    silent = 0

    def read_bytes(self, path: str) -> bytes:
        if self.silent:
            self.silent -= 1
            raise StorageUnavailable("silent")
        return super().read_bytes(path)


def test_storage_is_asked_again_so_often_and_a_missing_file_is_no_reason_to_wait(tmp_path: Path) -> None:
    class Patient(PatientStorage, Faltering):
        pass

    waits: list[float] = []
    storage = Patient(f"file://{tmp_path}", 3)
    storage.initialise()
    storage._retrying.sleep = waits.append
    storage.write_bytes("a", b"content")
    storage.silent = 2
    assert storage.read_bytes("a") == b"content"
    assert len(waits) == 2
    storage.silent = 3
    with pytest.raises(StorageUnavailable):
        storage.read_bytes("a")
    storage.silent = 0
    with pytest.raises(FileNotFoundError):
        storage.read_bytes("b")
    assert len(waits) == 4
