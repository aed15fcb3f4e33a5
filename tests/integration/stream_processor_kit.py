"""What the stream processor's integration tests need: workers as child processes, runs on `rows.v1`, and an offline
recount."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.structs import RecordMetadata

from devstack.ports import free_port
from models.bundle import score
from schemas.ids import POSITION_PREFIX, row_key
from schemas.messages import DeadLetter, DeadLetterMark, Ending, LaneStats, Prediction, RunEnd, Source, encode
from schemas.tasks import RunPosition
from schemas.topics import DEAD_LETTERS, JSON, MARK_TYPE, PREDICTIONS, RUN_POSITIONS, STATS_CHANGELOG, TYPE_HEADER
from tests.support.brokers import DATA_PARTITIONS, Broker
from tests.support.waiting import eventually
from tests.unit.stream_processor.toys import MODEL_A, model

ROOT = Path(__file__).parent.parent.parent
SESSION_TIMEOUT_SECONDS = 6


class Worker:
    """`python -m stream_processor` as a child."""

    def __init__(self, kafka: Broker, storage_url: str, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.log = folder / f"worker-{self.port}.log"
        self._environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
            "STORAGE_URL": storage_url,
            "STREAM_PROCESSOR_HEALTH_PORT": str(self.port),
            "STREAM_PROCESSOR_SESSION_TIMEOUT_SECONDS": str(SESSION_TIMEOUT_SECONDS),
            "LOG_FORMAT": "json",
            **environment,
        }
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self, *, ready: bool = True) -> "Worker":
        self._spawn()
        if ready:
            await eventually(self.is_ready, timeout_seconds=60, message="a ready worker")
        return self

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "stream_processor"], cwd=ROOT, env=self._environment, stderr=log
            )

    def send_signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    async def stop(self) -> int:
        """SIGTERM; return the exit code."""
        self.send_signal(signal.SIGTERM)
        return await self.exit_code()

    async def kill(self) -> None:
        """kill -9, wherever it stands."""
        self.send_signal(signal.SIGKILL)
        await self.exit_code()

    async def exit_code(self, timeout_seconds: float = 40) -> int:
        child = self._child
        assert child is not None
        await eventually(lambda: child.poll() is not None, timeout_seconds=timeout_seconds, message="the worker's end")
        return int(child.returncode)

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._child is not None and self._child.poll() is not None

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    async def is_ready(self) -> bool:
        with suppress(OSError):
            return (await asyncio.to_thread(self.get, "/ready"))[0] == 200
        return False

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        found = re.findall(rf"(?m)^intelliinspect_stream_processor_{name}(?:{{.*}})? (\S+)$", self.get("/metrics")[1])
        return sum(map(float, found))

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if event in line["event"]]


def features(index: int) -> dict[str, float | None]:
    """The values of a run's row."""
    return {"S1": (index * 37 % 400) / 100 - 2, "S2": None if index % 7 == 0 else index % 11 - 5.0, "S3": 0.25}


@dataclass
class Run:
    """A run of our producer: row i has `features(i)`; rows in `bad` have a feature too many."""

    run_id: str
    rows: int
    lanes: int = 1
    bad: set[int] = field(default_factory=set)
    model_version: str = MODEL_A
    attempt: int = 1
    redriven: list[int] = field(default_factory=list)
    epochs: set[int] = field(default_factory=set)

    async def claim(self, producer: AIOKafkaProducer, epoch: int) -> None:
        """Have the epoch known, as its producer does before its first row."""
        if epoch in self.epochs:
            return
        acknowledged = list(range(self.lanes))
        position = RunPosition(
            kind="position",
            run_id=self.run_id,
            attempt=self.attempt,
            epoch=epoch,
            owner="test",
            acknowledged=acknowledged,
            rows_per_second=None,
            paused=False,
            written_at=datetime.now(UTC),
        )
        while (
            await producer.send_and_wait(RUN_POSITIONS.name, encode(position), key=self.run_id.encode())
        ).offset < epoch:
            pass  # an epoch is the offset of an earlier record
        self.epochs.add(epoch)

    def row(self, index: int, epoch: int, **changed: Any) -> tuple[bytes, bytes]:
        """Key and value of a row's record."""
        lane = index % self.lanes
        wrong = {"S0": 1.0} if index in self.bad else {}
        value = {
            "run_id": self.run_id,
            "attempt": self.attempt,
            "epoch": epoch,
            "row_index": index,
            "lane": lane,
            "lanes": self.lanes,
            "sample_id": f"SAMPLE_{index}",
            "label": ("PASS", "FAIL")[index % 2],
            "model_version": self.model_version,
            "features": features(index) | wrong,
        } | changed
        return row_key(self.run_id, lane, self.lanes), json.dumps(value).encode()

    async def send(
        self, producer: AIOKafkaProducer, indices: Iterable[int] | None = None, *, epoch: int = 1, **changed: Any
    ) -> None:
        """Send rows, all of them unless told which; return when all are acknowledged."""
        await self.claim(producer, epoch)
        futures = []
        for index in range(self.rows) if indices is None else indices:
            key, value = self.row(index, epoch, **changed)
            futures.append(await producer.send("rows.v1", value, key=key, headers=[("content-type", JSON)]))
        await asyncio.gather(*futures)

    async def end(self, producer: AIOKafkaProducer, *, epoch: int = 1, ending: Ending = "COMPLETED") -> None:
        """Send the end markers."""
        await self.claim(producer, epoch)
        for lane in range(self.lanes):
            first_not_sent = self.rows + (lane - self.rows) % self.lanes
            marker = RunEnd(
                run_id=self.run_id,
                attempt=self.attempt,
                epoch=epoch,
                lane=lane,
                lanes=self.lanes,
                end_index=first_not_sent,
                ending=ending,
            )
            await producer.send_and_wait(
                "rows.v1", encode(marker), key=row_key(self.run_id, lane, self.lanes), headers=[("type", b"run-end")]
            )

    def probabilities(self) -> dict[int, float]:
        """P(FAIL) of each good row, computed offline, in the order of counting."""
        good = [index for index in range(self.rows) if index not in {*self.bad, *self.redriven}] + self.redriven
        inputs = np.array([tuple(features(index).values()) for index in good], dtype=np.float32)
        return dict(zip(good, score(model(self.model_version).bundle, inputs).tolist(), strict=True))


class Committed:
    """What a reader of committed records has seen so far of predictions, dead letters and statistics."""

    def __init__(self, kafka: Broker) -> None:
        self.predictions: list[tuple[ConsumerRecord, Prediction]] = []
        self.dead_letters: list[DeadLetter] = []
        self.marks: list[DeadLetterMark] = []
        self.changes: list[ConsumerRecord] = []
        self._lanes: dict[bytes, LaneStats] = {}
        self._consumer = AIOKafkaConsumer(
            **kafka.kwargs, isolation_level="read_committed", auto_offset_reset="earliest"
        )

    async def __aenter__(self) -> "Committed":
        await self._consumer.start()
        topics = (PREDICTIONS.name, DEAD_LETTERS.name, STATS_CHANGELOG.name)
        self._consumer.assign(
            [TopicPartition(topic, partition) for topic in topics for partition in range(DATA_PARTITIONS)]
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def read(self) -> None:
        """Read on to the present end."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        while any([await self._consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    self._take(record)

    def _take(self, record: ConsumerRecord) -> None:
        if record.topic == PREDICTIONS.name:
            self.predictions.append((record, msgspec.json.decode(record.value, type=Prediction)))
        elif record.topic == DEAD_LETTERS.name:
            if (TYPE_HEADER, MARK_TYPE) in record.headers:
                self.marks.append(msgspec.json.decode(record.value, type=DeadLetterMark))
            else:
                self.dead_letters.append(msgspec.json.decode(record.value, type=DeadLetter))
        else:
            self.changes.append(record)
            if not record.key.startswith(POSITION_PREFIX):
                self._lanes[record.key] = msgspec.json.decode(record.value, type=LaneStats)

    def answers(self, run_id: str) -> list[Prediction]:
        """The predictions of a run."""
        return [prediction for _, prediction in self.predictions if prediction.run_id == run_id]

    def lanes(self, run_id: str) -> dict[int, LaneStats]:
        """The newest statistics of a run, by lane."""
        return {stats.lane: stats for stats in self._lanes.values() if stats.run_id == run_id}

    async def answer(self, sent: RecordMetadata) -> Prediction | DeadLetter:
        """Wait for what became of a record."""
        place = Source(sent.topic, sent.partition, sent.offset)

        async def find() -> Prediction | DeadLetter | None:
            await self.read()
            found: list[Prediction | DeadLetter] = [
                *(answer for _, answer in self.predictions if answer.source == place),
                *(
                    letter
                    for letter in self.dead_letters
                    if Source(letter.topic, letter.partition, letter.offset) == place
                ),
            ]
            assert len(found) < 2
            return found[0] if found else None

        found = await eventually(find, message=f"an answer to {place}")
        assert found is not None
        return found

    async def finished(self, run: Run, *, timeout_seconds: float = 90) -> dict[int, LaneStats]:
        """Wait until every lane is counted to its end; return them."""

        async def done() -> bool:
            await self.read()
            return sum(stats.finished is not None for stats in self.lanes(run.run_id).values()) == run.lanes

        await eventually(done, timeout_seconds=timeout_seconds, message=f"the end of {run.run_id}")
        return self.lanes(run.run_id)

    async def check(self, runs: Sequence[Run]) -> None:
        """Compare everything that was committed for the runs with an offline recount."""
        statistics = [await self.finished(run) for run in runs]
        letters = Counter((letter.run_id, letter.row_index) for letter in self.dead_letters)
        for run, stats in zip(runs, statistics, strict=True):
            expected = run.probabilities()
            answers = self.answers(run.run_id)
            assert Counter(answer.row_index for answer in answers) == Counter(expected.keys()), (
                "each row is answered exactly once"
            )
            assert {answer.row_index: answer.probability_fail for answer in answers} == expected
            assert {index: letters[run.run_id, index] for index in run.bad} == dict.fromkeys(run.bad, 1)
            for lane, found in stats.items():
                check_lane(found, {index: p for index, p in expected.items() if index % run.lanes == lane}, run)


def check_lane(found: LaneStats, expected: dict[int, float], run: Run) -> None:
    """Compare one lane, sums to the bit."""
    confidence = fail = 0.0
    confusion: Counter[str] = Counter()
    for index, p in expected.items():
        failed = p >= 0.4
        confidence += p if failed else 1 - p
        fail += p
        confusion[("t" if failed == bool(index % 2) else "f") + ("p" if failed else "n")] += 1
    bad = sorted(index for index in run.bad if index % run.lanes == found.lane)
    assert (found.total, found.dead_letters, found.skipped) == (len(expected), len(bad), bad)
    assert (found.confidence_sum, found.probability_fail_sum) == (confidence, fail)
    assert (
        Counter({name: times for name, times in msgspec.structs.asdict(found.confusion).items() if times}) == confusion
    )
    assert found.fail_count == sum(p >= 0.4 for p in expected.values())
    assert sum(found.histogram) == found.total
