"""A file of the shape of the SECOM data, for checkouts that do not have it: times, 590 sensors with gaps and constants,
labels -1 and 1.

It has the days and the number of failures of the real one, so the same spans of time and figures fit both.
"""

import csv
from datetime import datetime
from pathlib import Path

import numpy as np

ROWS, FAILURES, SENSORS, CONSTANT, MISSING = 1547, 94, 590, 116, 0.045
FIRST, LAST = datetime(2008, 7, 19, 12, 32), datetime(2008, 10, 17, 6, 7)  # noqa: DTZ001  # the real file's times have no zone


def write_secom_like(path: Path, *, seed: int = 0) -> None:
    """Write it; the same seed gives the same bytes."""
    random = np.random.default_rng(seed)
    values = random.normal(100.0, 15.0, size=(ROWS, SENSORS)).round(4)
    values[:, random.choice(SENSORS, CONSTANT, replace=False)] = 0.0
    score = values[:, :20].sum(axis=1) + random.normal(0.0, 30.0, ROWS)
    failed = score >= np.sort(score)[-FAILURES]
    missing = random.random((ROWS, SENSORS)) < MISSING
    missing[:, -1] |= random.random(ROWS) < 0.6
    shares = np.sort(np.r_[0.0, random.random(ROWS - 2), 1.0])
    times = [(FIRST + share * (LAST - FIRST)).replace(second=0, microsecond=0) for share in shares.tolist()]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Time", *map(str, range(SENSORS)), "Pass/Fail"])
        for row in range(ROWS):
            cells = ["" if gap else str(value) for value, gap in zip(values[row], missing[row], strict=True)]
            writer.writerow([times[row].isoformat(" "), *cells, 1 if failed[row] else -1])
