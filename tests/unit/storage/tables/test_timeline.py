"""The timeline of a dataset counts each row once, in the span of its time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.objects.files import Storage
from storage.tables.datasets import DatasetOptions, ingest
from storage.tables.timeline import timeline

START = datetime(2021, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("spans", [1, 2, 7, 10, 33])
def test_each_row_is_counted_once_and_in_its_span(tmp_path: Path, storage_url: str, spans: int) -> None:
    minutes = [0, 1, 1, 2, 30, 31, 59, 60, 90, 100]
    labels = [0, 1, 0, 0, 1, 0, 0, 1, 0, 1]
    path = tmp_path / "rows.csv"
    lines = [
        f"{START + timedelta(minutes=minute):%Y-%m-%d %H:%M:%S},{i}.5,{label}"
        for i, (minute, label) in enumerate(zip(minutes, labels, strict=True))
    ]
    path.write_text("Time,a,Response\n" + "\n".join(lines) + "\n")
    storage = Storage(storage_url).initialise()
    dataset = ingest(
        storage, path, file_name="rows.csv", workspace="default", options=DatasetOptions(), sha256="0" * 64
    )
    assert not isinstance(dataset, list), dataset
    found = timeline(storage, dataset, spans)
    expected_rows, expected_failures = [0] * spans, [0] * spans
    for minute, label in zip(minutes, labels, strict=True):
        at = min(int(minute * spans // 100), spans - 1)
        expected_rows[at] += 1
        expected_failures[at] += label
    assert (found.start, sum(found.rows), sum(found.failures)) == (START, 10, 4)
    assert (found.rows, found.failures) == (expected_rows, expected_failures)
