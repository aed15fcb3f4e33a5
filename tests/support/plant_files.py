"""Files as plants write them, made here, and what reading one gives."""

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from schemas.manifests import DatasetManifest
from storage.errors import StorageProblem
from storage.objects.files import Storage
from storage.tables.datasets import DatasetOptions, ingest


def label(i: int) -> str:
    """Every fourth row has failed."""
    return "1" if i % 4 == 0 else "0"


def file(header: str, row: Callable[[int], str], rows: int = 30, end: str = "\n") -> str:
    """A header and rows."""
    return end.join([header, *(row(i) for i in range(rows))]) + end


class Reader:
    """Takes files in, each under its own name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = Storage(f"file://{folder}/storage").initialise()

    def take_in(self, data: str | bytes, **options: Any) -> DatasetManifest | list[StorageProblem]:
        raw = data.encode() if isinstance(data, str) else data
        upload = self.folder / f"{uuid.uuid4()}.upload"
        upload.write_bytes(raw)
        settings = DatasetOptions(**options)
        return ingest(
            self.storage,
            upload,
            file_name="rows.csv",
            workspace="tests",
            options=settings,
            sha256=hashlib.sha256(raw).hexdigest(),
        )

    def dataset(self, data: str | bytes, **options: Any) -> DatasetManifest:
        found = self.take_in(data, **options)
        assert isinstance(found, DatasetManifest), found
        return found

    def problem(self, data: str | bytes, **options: Any) -> StorageProblem:
        found = self.take_in(data, **options)
        assert isinstance(found, list), found
        assert not [
            path for path in (self.folder / "storage").rglob("*") if path.is_file() and path.name != "storage.json"
        ]
        (one,) = found
        return one

    def column(self, dataset: DatasetManifest, name: str) -> list[Any]:
        return pl.read_parquet(self.storage.local(dataset.path))[name].to_list()


def notices(dataset: DatasetManifest) -> dict[str, str]:
    """What was said of a file, by code."""
    assert dataset.report is not None
    return {one.code: one.message for one in dataset.report.notices}
