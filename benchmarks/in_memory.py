"""The limit: decode, predict, encode, no Kafka, no counting. `python -m benchmarks.in_memory RECORDS STORAGE_URL`
prints the figures."""

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.world import MODEL_VERSION
from models.bundle import Bundle, load_bundle, score
from models.kinds.base import Matrix
from rows.decode import FeatureReader
from schemas.messages import PackedRows, Prediction, Source, encode
from storage.objects.files import Storage

BATCH = 1000
SOURCE = Source("rows.v1", 0, 0)


def answer(
    bundle: Bundle, run_id: str, index: int, sample: str, at: datetime | None, label: str | None, p: float
) -> Prediction:
    """A prediction, with all its fields."""
    failed = p >= bundle.manifest.threshold
    return Prediction(
        prediction_id=f"{run_id}:1:{index}",
        run_id=run_id,
        attempt=1,
        lane=0,
        row_index=index,
        sample_id=sample,
        row_timestamp=at,
        prediction="FAIL" if failed else "PASS",
        confidence=p if failed else 1 - p,
        probability_fail=p,
        threshold=bundle.manifest.threshold,
        model_version=MODEL_VERSION,
        top_features={},
        top_feature_values={},
        reasons="none",
        label=label,  # type: ignore[arg-type]
        scored_at=datetime.now(UTC),
        source=SOURCE,
    )


def packed(bundle: Bundle, records: list[bytes]) -> int:
    """All records; returns the bytes of the answers."""
    decode, written = msgspec.msgpack.Decoder(PackedRows).decode, 0
    features = len(bundle.manifest.features)
    for start in range(0, len(records), 32):
        some = [decode(record) for record in records[start : start + 32]]
        matrix: Matrix = np.frombuffer(b"".join([rows.features for rows in some]), np.float32).reshape(-1, features)
        probabilities = iter(score(bundle, matrix).tolist())
        for rows in some:
            columns = zip(rows.sample_ids, rows.timestamps, rows.labels, strict=True)
            for j, ((sample, at, label), p) in enumerate(zip(columns, probabilities, strict=False)):
                written += len(
                    encode(answer(bundle, rows.run_id or "", (rows.row_index or 0) + j, sample or "", at, label, p))
                )
    return written


def plain(bundle: Bundle, records: list[bytes]) -> int:
    """The same for JSON."""
    fields = [(f"f{i}", float | None) for i in range(len(bundle.manifest.features))]
    names = dict(zip((field[0] for field in fields), bundle.manifest.features, strict=True))
    columns: Any = msgspec.defstruct("Columns", fields, rename=names, gc=False)
    said = [("run_id", str), ("row_index", int), ("sample_id", str), ("timestamp", datetime), ("label", str)]
    row_type: Any = msgspec.defstruct("Row", [("features", columns), *said], gc=False)
    decode, written = msgspec.json.Decoder(row_type).decode, 0
    for start in range(0, len(records), BATCH):
        some = [decode(record) for record in records[start : start + BATCH]]
        matrix = np.array([msgspec.structs.astuple(row.features) for row in some], dtype=np.float32)
        for row, p in zip(some, score(bundle, matrix).tolist(), strict=True):
            written += len(
                encode(answer(bundle, row.run_id, row.row_index, row.sample_id, row.timestamp, row.label, p))
            )
    return written


def main(path: Path, storage_url: str) -> None:
    """Once to warm up, then for two seconds or so."""
    bundle = load_bundle(Storage(storage_url).initialise(), MODEL_VERSION)
    FeatureReader(bundle.manifest)
    records = msgspec.msgpack.decode(path.read_bytes(), type=list[bytes])
    is_packed = not records[0].startswith(b"{")
    rows = (
        sum(msgspec.msgpack.decode(record, type=PackedRows).count for record in records) if is_packed else len(records)
    )
    handle = packed if is_packed else plain
    handle(bundle, records)
    started, cpu, times = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < 2:
        handle(bundle, records)
        times += 1
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "rows": rows * times,
        "rows_per_second": rows * times / seconds,
        "cpu_microseconds": used / rows / times * 1e6,
        "peak_mib": peak,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
