"""How long from the producer's send to the answer, readable at the gateway and as a server-sent event, in a whole stack
of its own.

`python -m benchmarks latency [--offset 400]`. Also: 500 status requests a second and 200 event streams while a run goes
at full speed, and what they cost it. The send's time is the timestamp of the row's record, so latencies are exact to a
millisecond; the cold start counts."""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from benchmarks.http_client import Connection
from client import Client
from devstack.generate import generate
from runtime.kafka.reading import read_to_end
from runtime.tasks import cancel_all
from schemas.http.runs import RunCreate
from schemas.http.v1 import Range, SplitCreate, SuggestedSplit
from schemas.messages import PackedRows
from schemas.topics import CONTENT_TYPE_HEADER, PACKED, PREDICTIONS, ROWS, TYPE_HEADER

PACES = ((1.0, 20), (100.0, 1000), (1000.0, 4000))
FEATURES, FILE_ROWS = 100, 60_000
POLLS_PER_SECOND, POLL_CONNECTIONS, STREAMS, PAIRS = 500, 16, 200, 3
READ_MARKS, READS = (100, 1_000, 10_000, 30_000), 200


class _Next(msgspec.Struct):
    next_after: int


class _Scored(msgspec.Struct):
    row_index: int
    scored_at: datetime


def quantiles(milliseconds: list[float]) -> dict[str, float]:
    """p50, p99, p99.9, the largest; `rows`."""
    ordered = sorted(milliseconds)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {"rows": len(ordered), "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": ordered[-1]}


async def records(bootstrap: str, topic: str, run_id: str) -> AsyncIterator[ConsumerRecord]:
    """Everything on the topic with the run's key, as of now."""
    async for record in read_to_end({"bootstrap_servers": bootstrap}, topic):
        if record.key and record.key.split(b"#")[0] == run_id.encode():
            yield record


async def sent_at(bootstrap: str, run_id: str) -> dict[int, float]:
    """When each row of the run was sent: the timestamp of its record."""
    found: dict[int, float] = {}
    async for record in records(bootstrap, ROWS.name, run_id):
        headers = dict(record.headers)
        if headers.get(TYPE_HEADER) != b"row":
            continue
        if headers[CONTENT_TYPE_HEADER] == PACKED:
            rows = msgspec.msgpack.decode(record.value, type=PackedRows)
            first, step = rows.row_index or 0, rows.lanes or 1
            found |= {first + j * step: record.timestamp for j in range(rows.count)}
        else:
            found[msgspec.json.decode(record.value)["row_index"]] = record.timestamp
    return found


async def answered_at(bootstrap: str, run_id: str) -> dict[int, tuple[float, float]]:
    """When the scoring of each row's batch began, and when its transaction did: the timestamp of the answer's
    record."""
    decode = msgspec.json.Decoder(_Scored).decode
    scored = [(decode(record.value), record.timestamp) async for record in records(bootstrap, PREDICTIONS.name, run_id)]
    return {answer.row_index: (answer.scored_at.timestamp() * 1000, timestamp) for answer, timestamp in scored}


async def readable(port: int, run_id: str, total: int, news: asyncio.Event) -> dict[int, float]:
    """When each row had been read, asked for whenever an event has come: asking again and again would be what is
    measured."""
    connection, after = Connection(port), -1
    found: dict[int, float] = {}
    decode = msgspec.json.Decoder(_Next).decode
    while len(found) < total:
        await news.wait()
        news.clear()
        following = decode(await connection.get(f"/v1/runs/{run_id}/predictions?after={after}&limit=1000")).next_after
        found |= dict.fromkeys(range(after + 1, following + 1), time.time() * 1000)
        after = following
    connection.close()
    return found


async def streamed(port: int, run_id: str, total: int, news: asyncio.Event | None = None) -> dict[int, float]:
    """When each row came as a server-sent event."""
    connection = Connection(port)
    found: dict[int, float] = {}
    async for line in connection.lines(f"/v1/runs/{run_id}/events"):
        if line.startswith(b"id: "):
            found[int(line[4:])] = time.time() * 1000
            if news:
                news.set()
            if len(found) == total:
                break
    connection.close()
    return found


def _mostly_simulation(suggested: SuggestedSplit) -> SplitCreate:
    """A tenth of the time to train with, a twentieth to test, the rest to replay."""
    start, end = (datetime.fromisoformat(str(text)) for text in (suggested.train.start, suggested.simulation.end))
    cuts = [start + (end - start) * share for share in (0.1, 0.15)]
    starts, ends = [start, *(cut + timedelta(microseconds=1) for cut in cuts)], [*cuts, end]
    train, test, simulation = (Range(start=a.isoformat(), end=b.isoformat()) for a, b in zip(starts, ends, strict=True))
    return SplitCreate(dataset_id=suggested.dataset_id, train=train, test=test, simulation=simulation)


class Latency:
    """The benchmark's world while it runs."""

    def __init__(self, offset: int) -> None:
        self.port, self.bootstrap = 8000 + offset, f"127.0.0.1:{9092 + offset}"
        self.client = Client(f"http://127.0.0.1:{self.port}")
        self.rows = 0

    def prepare(self, folder: Path) -> None:
        """A dataset, a split, a model."""
        made = generate(folder / "rows.csv", rows=FILE_ROWS, features=FEATURES, failure_rate=0.15)
        dataset = self.client.upload(made.path)
        split = self.client.split(_mostly_simulation(self.client.suggest_split(dataset.dataset_id)))
        self.rows = split.simulation.rows
        training = self.client.train()
        self.client.wait_for(training.task_id, timeout_seconds=300)

    def start(self, rate: float | None) -> str:
        """Begin a run over all rows."""
        return self.client.start_run(RunCreate(rows_per_second=rate, warmup_seconds=0)).run_id

    async def pace(self, rate: float, rows: int, name: str = "") -> dict[str, Any]:
        """Latencies of the first rows of a run at this pace, its beginning included."""
        run_id = await asyncio.to_thread(self.start, rate)
        news = asyncio.Event()
        read, events = await asyncio.gather(
            readable(self.port, run_id, rows, news), streamed(self.port, run_id, rows, news)
        )
        await asyncio.to_thread(self.client.stop_run, run_id)
        sent = await sent_at(self.bootstrap, run_id)
        scored = await answered_at(self.bootstrap, run_id)
        spans = {
            "readable": [read[row] - sent[row] for row in range(rows)],
            "event": [events[row] - sent[row] for row in range(rows)],
            "of it, to the worker": [scored[row][0] - sent[row] for row in range(rows)],
            "of it, scoring": [scored[row][1] - scored[row][0] for row in range(rows)],
            "of it, transaction, projection and event": [events[row] - scored[row][1] for row in range(rows)],
        }
        found = {name: quantiles(milliseconds) for name, milliseconds in spans.items()}
        print(
            f"  {rate:g} rows/s{name}: "
            + "; ".join(f"{name} " + ", ".join(f"{k} {v:.1f}" for k, v in q.items()) for name, q in found.items())
        )
        return found

    async def full_speed(self) -> float:
        """Rows a second of a run at full speed, from its first tenth to its end."""
        run_id = await asyncio.to_thread(self.start, None)
        connection, marks = Connection(self.port), []
        while True:
            run = msgspec.json.decode(await connection.get(f"/v1/runs/{run_id}"))
            total = run["statistics"]["total_predictions"]
            if total >= self.rows * 0.1:
                marks.append((time.monotonic(), total))
            if run["status"] not in ("PENDING", "IN_PROGRESS"):
                break
            await asyncio.sleep(0.05)
        connection.close()
        done = next((moment for moment, total in marks if total == marks[-1][1]), marks[-1][0])
        return float((marks[-1][1] - marks[0][1]) / max(done - marks[0][0], 1e-3))

    async def beside_others(self) -> dict[str, Any]:
        """Latencies at 100 rows/s while other runs go at full speed, one after the other."""

        async def others() -> None:
            while True:
                await self.full_speed()

        busy = asyncio.create_task(others())
        try:
            return await self.pace(100.0, 500, " beside full speed")
        finally:
            await cancel_all(busy)

    async def reads(self) -> dict[str, dict[str, float]]:
        """How long reads of a paused run take, by the rows that it has scored: milliseconds, median of many."""
        run_id = await asyncio.to_thread(self.start, 8_000.0)
        connection, found = Connection(self.port), {}
        for mark in READ_MARKS:
            rows = await asyncio.to_thread(self._paused_behind, run_id, mark)
            times: dict[str, list[float]] = {}
            for name, path in (("status", ""), ("newest 100 rows", f"/predictions?after={rows - 101}&limit=100")):
                for _ in range(READS):
                    asked = time.perf_counter()
                    await connection.get(f"/v1/runs/{run_id}{path}")
                    times.setdefault(name, []).append((time.perf_counter() - asked) * 1000)
            found[f"{rows:,}"] = {name: statistics.median(each) for name, each in times.items()}
            self.client.resume_run(run_id)
        self.client.stop_run(run_id)
        connection.close()
        print(f"  reads {found}")
        return found

    def _paused_behind(self, run_id: str, mark: int) -> int:
        """Pause the run once it has scored so many rows; return how many it has when it stands still."""

        def scored() -> int:
            return self.client.run(run_id).statistics.total_predictions

        while scored() < mark:
            time.sleep(0.01)
        self.client.pause_run(run_id)
        rows = -1
        while rows != (rows := scored()):
            time.sleep(0.5)
        return rows

    async def polled(self) -> tuple[float, list[float]]:
        """The same while the status is asked for 500 times a second, and how long that took each time."""
        latencies: list[float] = []
        stop = asyncio.Event()
        runs = self.client.runs(limit=1).items
        path = f"/simulation/status/{runs[0].run_id}"

        async def ask(number: int) -> None:
            connection, every = Connection(self.port), POLL_CONNECTIONS / POLLS_PER_SECOND
            due = time.monotonic() + number * every / POLL_CONNECTIONS
            while not stop.is_set():
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await connection.get(path)
                latencies.append(
                    (time.monotonic() - due) * 1000
                )  # from when it was due: a late answer delays what follows
                due += every
            connection.close()

        tasks = [asyncio.create_task(ask(number)) for number in range(POLL_CONNECTIONS)]
        speed = await self.full_speed()
        stop.set()
        await asyncio.gather(*tasks)
        return speed, latencies

    async def many_streams(self) -> dict[str, float]:
        """200 clients follow a run of 100 rows a second at once: when each of them has each row."""
        rows = 500
        run_id = await asyncio.to_thread(self.start, 100.0)
        seen = await asyncio.gather(*[streamed(self.port, run_id, rows) for _ in range(STREAMS)])
        await asyncio.to_thread(self.client.stop_run, run_id)
        sent = await sent_at(self.bootstrap, run_id)
        return quantiles([one[row] - sent[row] for one in seen for row in range(rows)])


async def run(offset: int) -> dict[str, Any]:
    """Everything, in a stack of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        environment = os.environ | {"DEVSTACK_PORT_OFFSET": str(offset), "PYTHONPATH": str(Path.cwd())}
        stack = [sys.executable, "-m", "devstack"]
        await asyncio.to_thread(
            subprocess.run, [*stack, "up"], cwd=name, env=environment, check=True, capture_output=True
        )
        try:
            world = Latency(offset)
            await asyncio.to_thread(world.prepare, Path(name))
            paces = {f"{rate:g}": await world.pace(rate, rows) for rate, rows in PACES}
            paces["100 rows/s beside runs at full speed"] = await world.beside_others()
            reads = await world.reads()
            pairs = [(await world.full_speed(), await world.polled()) for _ in range(PAIRS)]
            streams = await world.many_streams()
        finally:
            await asyncio.to_thread(
                subprocess.run, [*stack, "down"], cwd=name, env=environment, check=False, capture_output=True
            )
    alone, polled = statistics.median(speed for speed, _ in pairs), statistics.median(speed for _, (speed, _) in pairs)
    polls = quantiles([latency for _, (_, latencies) in pairs for latency in latencies])
    found = {
        "paces": paces,
        "full_speed": alone,
        "full_speed_polled": polled,
        "polls": polls,
        "streams": {"clients": STREAMS, **streams},
        "reads": reads,
    }
    print(f"  full speed {alone:,.0f} rows/s, with {POLLS_PER_SECOND} requests/s {polled:,.0f}")
    print(f"  polls {polls}; {STREAMS} streams {streams}")
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--offset", type=int, default=400, help="added to all ports of the stack")


def main(given: argparse.Namespace) -> dict[str, Any]:
    """Measure, return what the report needs."""
    return asyncio.run(run(given.offset))
