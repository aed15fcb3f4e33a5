"""`python -m tests.chaos.soak --minutes m`: runs at full speed with pauses, again and again, and what grows meanwhile.

Samples the memory of each process, the sizes of the topics and the keys of Redis. Exit code 1 when a process of ours
grows by more than `MOST_GROWTH` between the second quarter of the time and the last one, when Redis holds more keys
than its runs explain, or when a number is wrong. No disturbance here: that is `tests.chaos`.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import psutil
import redis

from schemas.http.runs import Run, RunCreate
from schemas.messages import TERMINAL
from tests.chaos import judge
from tests.chaos.evidence import gather
from tests.chaos.load import Ordered
from tests.chaos.play import recounted
from tests.chaos.world import World, world

ROWS = 60_000
SAMPLE_SECONDS, RUNNING_SECONDS, PAUSED_SECONDS = 5.0, 20.0, 5.0
MOST_GROWTH = 0.15
KEYS_PER_RUN = 12
MOST_RUNS_ROW_BY_ROW = 10
SERVERS = ("kafka", "redis")
"""They grow to bounds of their own: the broker's heap (512 MiB), and what Redis is told to keep of each run."""
MIB = 1 << 20


@dataclass
class Samples:
    """Memory of each process in bytes, keys and bytes of Redis, bytes of Kafka's folder: a value for each moment."""

    memory: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    keys: list[int] = field(default_factory=list)
    redis_bytes: list[int] = field(default_factory=list)
    kafka_bytes: list[int] = field(default_factory=list)

    def growth(self, name: str) -> float:
        """How much more the process needs in the last quarter than in the second: starting up is no growth."""
        values, quarter = self.memory[name], max(1, len(self.memory[name]) // 4)
        before, after = statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])
        return after / before - 1


async def soak(place: World, seconds: float) -> tuple[Samples, dict[str, Run]]:
    """Run after run at full speed on all lanes, paused now and then, two at once; return what was seen."""
    samples, ended = Samples(), dict[str, Run]()
    sampling = asyncio.create_task(_sample(place, samples))
    until = time.monotonic() + seconds
    await asyncio.gather(*[_run_after_run(place, until, lanes, ended) for lanes in (4, 1)])
    sampling.cancel()
    return samples, ended


async def _run_after_run(place: World, until: float, lanes: int, ended: dict[str, Run]) -> None:
    client = place.patient
    while time.monotonic() < until:
        run = await client.start_run(
            RunCreate(split_id=place.split.split_id, rows_per_second=None, lanes=lanes, warmup_seconds=0.0)
        )
        paused = time.monotonic()
        while run.status not in TERMINAL:
            await asyncio.sleep(0.5)
            run = await client.run(run.run_id)
            if run.status == "IN_PROGRESS" and time.monotonic() - paused > RUNNING_SECONDS:
                await _pause(place, run.run_id)
                paused = time.monotonic()
        ended[run.run_id] = run
        await asyncio.sleep(PAUSED_SECONDS)


async def _pause(place: World, run_id: str) -> None:
    await place.patient.pause_run(run_id)
    await asyncio.sleep(PAUSED_SECONDS)
    await place.patient.resume_run(run_id)


async def _sample(place: World, samples: Samples) -> None:
    while True:
        for process in place.everything():
            samples.memory[process.name].append(psutil.Process(process.pid).memory_info().rss)
        with redis.Redis.from_url(place.stack.redis_url) as client:
            samples.keys.append(client.dbsize())
            samples.redis_bytes.append(client.info("memory")["used_memory"])
        samples.kafka_bytes.append(
            sum(file.stat().st_size for file in (place.stack.folder / "kafka" / "data").rglob("*.log"))
        )
        await asyncio.sleep(SAMPLE_SECONDS)


async def judged(place: World, ended: dict[str, Run]) -> list[str]:
    """The statistics of every run against the recount, and each answer of some of them."""
    looked_at = set([*ended][:: max(1, len(ended) // MOST_RUNS_ROW_BY_ROW)])
    evidence, findings = await gather(place.kafka, looked_at), list[str]()
    expected = cache(partial(recounted, place))
    for run_id, run in ended.items():
        ordered, rows = Ordered(run_id, run.model_version or "", run.lanes), expected(run.model_version or "")
        lanes = evidence.stats(run_id, 1)
        for number, stats in lanes.items():
            own = [(row.prediction, row.probability_fail, row.label) for row in rows[number :: run.lanes]]
            findings += judge.judge_fold(f"run {run_id} lane {number}", stats, own)
        if run_id in looked_at:
            case = judge.Case(ordered, 1, evidence.answers.get((run_id, 1), []), [], lanes)
            findings += judge.judge_attempt(case, rows, run.status)
    return findings


def report(samples: Samples, ended: dict[str, Run], seconds: float) -> tuple[str, list[str]]:
    """Figures for a person, and what is wrong with them."""
    rows = sum(run.statistics.total_predictions for run in ended.values())
    lines = [
        f"soak: {seconds / 60:.1f} min, {len(ended)} runs, {rows:,} rows, {rows / seconds:,.0f} rows/s with pauses"
    ]
    findings = []
    for name, values in samples.memory.items():
        growth = samples.growth(name)
        span = f"{min(values) / MIB:6.0f} – {max(values) / MIB:6.0f} MiB, at the end {values[-1] / MIB:6.0f}"
        lines.append(f"  {name:18} {span}, second to last quarter {growth:+.1%}")
        if growth > MOST_GROWTH and name not in SERVERS:
            findings.append(f"{name} grew by {growth:.1%}")
    lines.append(
        f"  redis: {samples.keys[0]} – {samples.keys[-1]} keys, {samples.redis_bytes[-1] / MIB:.1f} MiB at the end"
    )
    lines.append(
        f"  kafka: {samples.kafka_bytes[-1] / MIB:.0f} MiB of records ({samples.kafka_bytes[-1] / max(rows, 1):.0f}"
        " bytes a row)"
    )
    per_run = (samples.keys[-1] - samples.keys[0]) / max(len(ended), 1)
    lines.append(f"  keys per run: {per_run:.1f}")
    if per_run > KEYS_PER_RUN:
        findings.append(f"{per_run:.1f} keys of Redis for each run")
    return "\n".join(lines), findings


async def _main(folder: Path, minutes: float, rows: int) -> int:
    async with world(folder, rows=rows, seed=1, workers=1, producers=1) as place:
        began = time.monotonic()
        samples, ended = await soak(place, minutes * 60)
        text, findings = report(samples, ended, time.monotonic() - began)
        print(text, flush=True)
        findings += await judged(place, ended)
    print("\n".join(f"  - {finding}" for finding in findings) or "memory is flat, every number is right")
    print(
        json.dumps(
            {
                name: [value // MIB for value in values[:: max(1, len(values) // 20)]]
                for name, values in samples.memory.items()
            }
        )
    )
    return 1 if findings else 0


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rows", type=int, default=ROWS)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        return asyncio.run(_main(folder, given.minutes, given.rows))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
