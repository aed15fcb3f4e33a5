"""What a run's positions say of its markers, and what the next producer makes of it."""

from datetime import UTC, datetime

import msgspec

from producer.handler import _resumed
from producer.run import SendingRun
from producer.sending.positions import Positions
from rows.admission import said
from schemas.messages import RunSkip
from schemas.tasks import SKIPS_MAX, Marks, RunPosition, RunSpec, TaskState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LANES = 3
SPEC = RunSpec(dataset_id="ds-0", split_id="s", model_version="m", total_rows=10_000, lanes=LANES)


def run(marks: Marks | None) -> SendingRun:
    task = TaskState(
        task_id="sim-task-1",
        kind="run",
        workspace="w",
        status="IN_PROGRESS",
        attempt=1,
        epoch=7,
        created_at=NOW,
        updated_at=NOW,
        spec=msgspec.to_builtins(SPEC),
    )
    return SendingRun(task, SPEC, Positions([0, 1, 2]), rate=None, paused=False, stopping=False, marks=marks)


def test_every_skip_of_a_run_is_said_however_many_there_are_and_what_is_written_is_bounded() -> None:
    seeking = run(Marks())
    sent: list[RunSkip] = []
    for row_index in range(10, 10 + 7 * 3 * SKIPS_MAX, 7):
        seeking.will_skip(row_index)
        for lane, following in enumerate(seeking.positions.next):
            to = row_index + (lane - row_index) % LANES
            sent.append(
                RunSkip(run_id="r", attempt=1, epoch=7, lane=lane, lanes=LANES, from_index=following, to_index=to)
            )
            seeking.positions.sent(lane, to)
    position = msgspec.json.decode(msgspec.json.encode(seeking.position("me")), type=RunPosition)
    assert position.marks is not None
    assert len(position.marks.skips) == SKIPS_MAX
    assert all(said(position.marks, marker) for marker in sent)
    beyond = msgspec.structs.replace(sent[-1], to_index=sent[-1].to_index + LANES)
    assert not said(position.marks, beyond)


def test_the_next_producer_hands_on_the_skips_and_says_anew_where_it_ends() -> None:
    former = run(Marks())
    former.will_skip(100)
    former.will_end("STOPPED", "why")
    again = _resumed(former.task, former.position("me"))
    assert again.marks == Marks(skips=[(0, 100)])


def test_an_attempt_that_began_without_saying_its_markers_goes_on_so() -> None:
    former = run(None)
    former.will_skip(100)
    former.will_end("STOPPED")
    assert former.position("me").marks is None
    assert _resumed(former.task, former.position("me")).marks is None
    assert _resumed(former.task, None).marks is None
