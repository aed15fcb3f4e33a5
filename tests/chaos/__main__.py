"""`python -m tests.chaos --seed n --minutes m`: the report says what was done and found; exit code 1 when anything is
wrong."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.plan import schedule
from tests.chaos.play import play
from tests.chaos.report import report
from tests.chaos.world import SESSION_SECONDS

ROWS = 40_000


def main() -> int:
    """Run one game."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument(
        "--rows", type=int, default=ROWS, help="rows of the dataset; three quarters of them are replayed by each run"
    )
    parser.add_argument(
        "--folder", type=Path, help="kept afterwards; default: a temporary one, which is kept when something is wrong"
    )
    given = parser.parse_args()
    seconds = given.minutes * 60
    plan = schedule(given.seed, seconds, session_seconds=SESSION_SECONDS)
    began = time.monotonic()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    outcome = asyncio.run(play(folder, given.seed, plan, seconds=seconds, rows=given.rows))
    print(report(outcome, folder, time.monotonic() - began))
    if not outcome.findings and given.folder is None:
        shutil.rmtree(folder)
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
