"""One contestant at work: started, watched, stopped; then what it wrote is checked against what it had to write.

Its time runs from the answer of the first tenth of the rows to the last answer, as the records' own timestamps say, so
starting up does not count. A contestant whose answers are not exactly the expected ones has no time.
"""

import asyncio
import os
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from runtime.kafka.reading import partitions_of
from runtime.tasks import stop_client

SAMPLE_SECONDS, QUIET_SECONDS, START_SECONDS = 0.1, 1.5, 60.0
FIRST_SHARE = 0.1
REPOSITORY = Path(__file__).parents[1]


class Wrong(Exception):
    """A contestant's answers are not those that were expected."""


@dataclass(frozen=True)
class Contestant:
    """How to run one."""

    name: str
    command: Sequence[str]
    predictions: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """Rows a second, processor microseconds a row, most MiB of memory of all its processes."""

    rows: int
    rows_per_second: float
    cpu_microseconds: float
    peak_mib: float


class _Answer(msgspec.Struct):
    prediction_id: str
    prediction: str
    probability_fail: float


_answer = msgspec.json.Decoder(_Answer).decode


async def measured(
    contestant: Contestant, kafka: dict[str, Any], expected: Mapping[str, float], threshold: float
) -> Measured:
    """Run it until it has written everything. Raises `Wrong`."""
    with tempfile.NamedTemporaryFile("w+b") as log:
        environment = os.environ | {"PYTHONWARNINGS": "ignore"} | dict(contestant.environment)
        child = subprocess.Popen(  # noqa: ASYNC220
            contestant.command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        watched = _Watched(psutil.Process(child.pid))
        try:
            await _until_done(contestant, kafka, len(expected), child, watched)
        except Wrong as error:
            log.seek(0)
            raise Wrong(f"{error}: {log.read()[-1500:].decode(errors='replace')}") from None
        finally:
            await asyncio.to_thread(_end, child)
    times = await _checked(contestant.predictions, kafka, expected, threshold)
    first, last = times[int(len(times) * FIRST_SHARE)], times[-1]
    counted = len(times) - int(len(times) * FIRST_SHARE)
    cpu = watched.cpu_at(last) - watched.cpu_at(first)
    return Measured(len(times), counted / max(last - first, 1e-3), cpu / counted * 1e6, watched.peak_mib)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Ask the whole family to stop, then make it."""
    for number, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
            if number == signal.SIGTERM:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)  # children that outlive it
            return


class _Watched:
    """Processor time and memory of a process and its children, sampled."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._samples: list[tuple[float, float]] = []
        self.peak_mib = 0.0

    def sample(self) -> None:
        cpu = memory = 0.0
        try:
            for process in [self._process, *self._process.children(recursive=True)]:
                with process.oneshot():
                    times = process.cpu_times()
                    cpu += times.user + times.system
                    memory += process.memory_info().rss
        except psutil.Error:
            return
        self._samples.append((time.time(), cpu))
        self.peak_mib = max(self.peak_mib, memory / 2**20)

    def cpu_at(self, moment: float) -> float:
        """Between two samples in proportion."""
        before = max((sample for sample in self._samples if sample[0] <= moment), default=self._samples[0])
        after = min((sample for sample in self._samples if sample[0] > moment), default=self._samples[-1])
        share = (moment - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 0.0
        return before[1] + min(max(share, 0.0), 1.0) * (after[1] - before[1])


async def _until_done(
    contestant: Contestant, kafka: dict[str, Any], rows: int, child: "subprocess.Popen[bytes]", watched: _Watched
) -> None:
    """Wait until the topic has as many records (transaction markers among them) and stands still."""
    consumer = AIOKafkaConsumer(**kafka)
    await consumer.start()
    try:
        topic = contestant.predictions
        partitions = [TopicPartition(topic, p) for p in await partitions_of(consumer, topic)]
        written, moved_at, asked_at = 0, time.monotonic() + START_SECONDS, 0.0
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            watched.sample()
            if child.poll() is not None:
                raise Wrong(f"{contestant.name} ended with {child.returncode}")
            if time.monotonic() - asked_at < 0.5:
                continue
            asked_at = time.monotonic()
            now = sum((await consumer.end_offsets(partitions)).values())
            if now > written:
                written, moved_at = now, asked_at
            elif written >= rows and asked_at - moved_at > QUIET_SECONDS:
                return
            elif asked_at - moved_at > 30:
                raise Wrong(f"{contestant.name} stands still after {written} of {rows} records")
    finally:
        await stop_client(consumer)


async def _checked(topic: str, kafka: dict[str, Any], expected: Mapping[str, float], threshold: float) -> list[float]:
    """Compare everything that was committed with what must be there, each row once; return the records' times,
    ascending."""
    consumer = AIOKafkaConsumer(
        **kafka, isolation_level="read_committed", auto_offset_reset="earliest", max_partition_fetch_bytes=8 << 20
    )
    await consumer.start()
    found: dict[str, float] = {}
    times: list[float] = []
    try:
        partitions = [TopicPartition(topic, p) for p in await partitions_of(consumer, topic)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        unread = {tp for tp in partitions if ends[tp]}
        while unread:
            for records in (await consumer.getmany(*unread, timeout_ms=300)).values():
                for record in records:
                    answer = _answer(record.value)
                    if answer.prediction_id in found:
                        raise Wrong(f"{answer.prediction_id} is answered twice")
                    if (answer.prediction == "FAIL") != (answer.probability_fail >= threshold):
                        raise Wrong(f"{answer.prediction_id} has the wrong verdict")
                    found[answer.prediction_id] = answer.probability_fail
                    times.append(record.timestamp / 1000)
            unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
    finally:
        await stop_client(consumer)
    if _checksum(found) != _checksum(expected):
        right = sum(found.get(name) == probability for name, probability in expected.items())
        raise Wrong(f"{len(found)} answers, {right} of {len(expected)} as expected")
    return sorted(times)


def _checksum(answers: Mapping[str, float]) -> tuple[int, int]:
    """Count, and a sum over rows and answers that does not depend on their order."""
    return len(answers), sum(hash((name, struct.pack("<f", probability))) for name, probability in answers.items())


def ours(kafka: dict[str, Any], storage_url: str, partitions: int, *, workers: int = 1) -> Contestant:
    """The stream processor, as it is."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka["bootstrap_servers"],
        "STORAGE_URL": storage_url,
        "DATA_PARTITIONS": str(partitions),
        "STREAM_PROCESSOR_HEALTH_PORT": "0",
        "LOG_LEVEL": "WARNING",
    }
    worker = f"{shlex.quote(sys.executable)} -m stream_processor"
    return Contestant(
        "ours", ["sh", "-c", f"{f'{worker} & ' * (workers - 1)} exec {worker}"], "predictions.v1", environment
    )


def rival(
    name: str, python: str, script: str, configuration: Path, predictions: str, *, bytewax: bool = False
) -> Contestant:
    """A program of `benchmarks/rivals`."""
    path = Path(__file__).parent / "rivals" / script
    environment = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    if bytewax:
        recovery = configuration.with_suffix(".recovery")
        recovery.mkdir()
        subprocess.run([python, "-m", "bytewax.recovery", str(recovery), "1"], check=True, capture_output=True)
        command = [python, "-m", "bytewax.run", f"{path}:flow", "-r", str(recovery), "-s", "10", "-b", "0"]
        return Contestant(name, command, predictions, environment | {"RIVAL_CONFIGURATION": str(configuration)})
    return Contestant(name, [python, str(path), str(configuration)], predictions, environment)
