"""A file of the shape of the SECOM data, for checkouts that do not have it: times, 590 sensors with gaps and constants, labels -1 and 1."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

ROWS, SENSORS, CONSTANT, FAILURE_RATE, MISSING = 1547, 590, 116, 0.06, 0.045


def write_secom_like(path: Path, *, seed: int = 0) -> None:
    """Write it; the same seed gives the same bytes."""
    random = np.random.default_rng(seed)
    values = random.normal(100.0, 15.0, size=(ROWS, SENSORS)).round(4)
    values[:, random.choice(SENSORS, CONSTANT, replace=False)] = 0.0
    score = values[:, :20].sum(axis=1) + random.normal(0.0, 30.0, ROWS)
    failed = score > np.quantile(score, 1 - FAILURE_RATE)
    missing = random.random((ROWS, SENSORS)) < MISSING
    missing[:, -1] |= random.random(ROWS) < 0.6
    time = datetime(2008, 7, 19, 11, 55)  # noqa: DTZ001  # the real file's times have no zone
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Time", *map(str, range(SENSORS)), "Pass/Fail"])
        for row in range(ROWS):
            cells = ["" if gap else str(value) for value, gap in zip(values[row], missing[row], strict=True)]
            writer.writerow([time.isoformat(" "), *cells, 1 if failed[row] else -1])
            time += timedelta(minutes=int(random.integers(0, 160)))
