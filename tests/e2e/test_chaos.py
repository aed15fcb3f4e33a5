"""One of each kind of disturbance, close together, on the whole stack; `make chaos` does it for as long as one
likes."""

from pathlib import Path

import pytest

from tests.chaos.plan import MUST, schedule
from tests.chaos.play import play
from tests.chaos.world import SESSION_SECONDS

GAPS = (1.2, 2.0)
SECONDS = 34.0


@pytest.mark.timeout(600)
async def test_one_of_each_disturbance_leaves_every_number_right(tmp_path: Path) -> None:
    plan = schedule(1, SECONDS, session_seconds=SESSION_SECONDS, gaps=GAPS)[: len(MUST)]
    assert {(one.kind, one.target) for one in plan} == {*MUST}
    outcome = await play(tmp_path, 1, plan, seconds=plan[-1].at_seconds + 2, rows=10_000)
    assert outcome.findings == []
    assert outcome.figures["predictions"] > 5_000
    assert outcome.figures["dead letters"] > 0
