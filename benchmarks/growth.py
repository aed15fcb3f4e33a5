"""What a row costs as the work grows: `python -m benchmarks growth`. Processor time of decoding, scoring, counting and
encoding, no Kafka.

Processor time, not seconds, and the least of several tries: so the figures mean something on a busy machine too.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.world import EPOCH, MODEL_VERSION, Size, Workload
from producer.replay.records import Anybody
from producer.sending.encoding import Columns, Turn, row_encoder, row_packer
from rows.decode import FeatureReader
from rows.identity import PartitionOf
from runtime.kafka.reading import partition_for
from schemas.ids import row_key
from stream_processor.batch.answers import LoadedModel, Reasons
from stream_processor.batch.counting import BatchOutcome
from stream_processor.batch.reading import USUAL, USUAL_PACKED
from stream_processor.batch.score import handle

BASE = Size(rows=4_000, runs=1, partitions=1)
REASONS = Reasons(8, 256, 3)
PER_RECORD, BATCH_ROWS, TRIES = 128, 2_000, 2
PARTITION_OF = PartitionOf(BASE.partitions, partition_for)


class Record(NamedTuple):
    """What is used of a Kafka record."""

    value: bytes
    offset: int
    key: bytes
    headers: Any
    partition: int = 0
    topic: str = "rows.v1"


def records(work: Workload, encoding: str, *, lanes: int = 1, first: int = 0) -> Iterator[Record]:
    """Rows of all runs in turns, as the producer would send them."""
    runs, rows, offset = work.runs, work.rows_per_run, itertools.count(first)
    encoder = lru_cache(None)(lambda identity: row_encoder(identity, work.features))
    chunk = max(1, min(256, rows))
    for start in range(0, rows, chunk):
        for number, run_id in enumerate(runs):
            identity = Turn(run_id, 1, EPOCH, lanes, MODEL_VERSION)
            base, stop = number * rows, min(rows, start + chunk)
            for lane in range(lanes):
                indices = [i for i in range(start, stop) if i % lanes == lane]
                key = row_key(run_id, lane, lanes)
                if encoding == "JSON":
                    encode = encoder(identity)
                    for i in indices:
                        yield Record(
                            encode(first + i, [*work.values[base + i].tolist(), str(i), i, work.labels[base + i]]),
                            next(offset),
                            key,
                            USUAL,
                        )
                    continue
                pack = row_packer(identity)
                for at in range(0, len(indices), PER_RECORD):
                    some = indices[at : at + PER_RECORD]
                    columns = Columns(
                        work.matrix[[base + i for i in some]],
                        [*map(str, some)],
                        some,
                        [work.labels[base + i] for i in some],
                    )
                    yield Record(pack(first + some[0], columns), next(offset), key, USUAL_PACKED)


def models_of(work: Workload) -> dict[str, LoadedModel]:
    """The models that a worker has at hand."""
    return {MODEL_VERSION: LoadedModel(work.bundle, FeatureReader(work.manifest))}


def score_all(log: list[Record], step: int, models: dict[str, LoadedModel], table: dict[bytes, bytes]) -> int:
    """Score the records in batches, as a worker would; return how many answers there are."""
    answered = 0
    for start in range(0, len(log), step):
        outcome = handle(
            log[start : start + step],
            state=table.get,
            models=models,
            champion=None,
            partition_of=PARTITION_OF,
            epochs=Anybody(),
            now=datetime.now(UTC),
            reasons=REASONS,
        )
        assert isinstance(outcome, BatchOutcome)
        table |= outcome.states
        answered += len(outcome.predictions)
    return answered


def cost(work: Workload, encoding: str, *, lanes: int = 1) -> float:
    """Processor microseconds a row, the least of some tries."""
    log = list(records(work, encoding, lanes=lanes))
    step = BATCH_ROWS if encoding == "JSON" else max(1, BATCH_ROWS * len(log) // work.size.rows)
    models, best = models_of(work), float("inf")
    for _ in range(TRIES):
        used = time.process_time()
        answered = score_all(log, step, models, {})
        best = min(best, (time.process_time() - used) / answered * 1e6)
        assert answered == work.rows_per_run * work.size.runs
    return best


def long_run(encoding: str, marks: tuple[int, ...]) -> dict[int, float]:
    """One run of many rows: what a row costs when so many were counted before it."""
    work = Workload(BASE)
    models = models_of(work)
    table: dict[bytes, bytes] = {}
    found: dict[int, float] = {}
    done = 0
    while done < marks[-1]:
        log = list(records(work, encoding, first=done))
        log = [record._replace(offset=done + number) for number, record in enumerate(log)]
        step, used = max(1, BATCH_ROWS * len(log) // work.size.rows), time.process_time()
        score_all(log, step, models, table)
        spent = (time.process_time() - used) / work.size.rows * 1e6
        done += work.size.rows
        for mark in marks:
            if abs(done - mark) <= mark * 0.3:
                found[mark] = min(spent, found.get(mark, spent))
    return found


def grown(name: str, values: tuple[int, ...], make: Callable[[int], tuple[Size, int]]) -> dict[str, dict[str, float]]:
    """A table: one row per value."""
    table = {}
    for value in values:
        size, lanes = make(value)
        work = Workload(size)
        table[str(value)] = {encoding: cost(work, encoding, lanes=lanes) for encoding in ("JSON", "packed")}
        print(
            f"  {name} {value}: "
            + ", ".join(f"{encoding} {spent:.1f} µs" for encoding, spent in table[str(value)].items()),
            flush=True,
        )
    return table


def arguments(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--most-rows", type=int, default=1_000_000)


def main(given: argparse.Namespace) -> dict[str, Any]:
    """Measure, draw, return what the report needs."""
    rows = {
        "JSON": long_run("JSON", (10_000, 100_000)),
        "packed": long_run("packed", (10_000, 100_000, given.most_rows)),
    }
    tables = {
        "rows before it in its run": {
            str(mark): {encoding: spent[mark] for encoding, spent in rows.items() if mark in spent}
            for mark in rows["packed"]
        },
        "features": grown("features", (30, 100, 300, 1000), lambda n: (replace(BASE, features=n, rows=2_000), 1)),
        "trees": grown("trees", (100, 300, 1000), lambda n: (replace(BASE, trees=n), 1)),
        "runs at once": grown("runs", (1, 10, 100, 1000), lambda n: (replace(BASE, runs=n, rows=8_000), 1)),
        "lanes": grown("lanes", (1, 2, 4, 8), lambda n: (BASE, n)),
    }
    draw(tables, Path(__file__).parent / "results" / "growth.svg")
    return {"tables": tables}


def draw(tables: dict[str, dict[str, dict[str, float]]], target: Path) -> None:
    """One small panel for each table."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(tables), figsize=(3 * len(tables), 2.6), layout="constrained")
    for panel, (name, table) in zip(panels, tables.items(), strict=True):
        for encoding in ("JSON", "packed"):
            points = [(int(value), spent[encoding]) for value, spent in table.items() if encoding in spent]
            panel.plot(*zip(*points, strict=True), marker="o", markersize=3, label=encoding)
        panel.set(xlabel=name, xscale="log", ylim=(0, None))
    panels[0].set_ylabel("µs of processor a row")
    panels[0].legend(frameon=False)
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)
