"""A run as a zip: `predictions.csv`, `predictions.jsonl`, `manifest.json`. Made while it is sent: memory does not grow
with the run.

The answers are read once; the CSV waits on the disk until the JSON lines are through.
"""

import asyncio
import csv
import io
import tempfile
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import IO, Any

import msgspec
from pydantic import BaseModel

from gateway.predictions.comparisons import ComparedRows
from schemas.decoding import Unreadable, reader
from schemas.http.runs import ExportFile, ExportManifest, Run
from schemas.manifests import ModelManifest
from schemas.messages import Prediction
from schemas.shown import cell

COLUMNS = (
    "row_index",
    "sample_id",
    "row_timestamp",
    "prediction",
    "confidence",
    "probability_fail",
    "threshold",
    "label",
    "model_version",
    "reasons",
    "top_features",
    "scored_at",
    "attempt",
    "redriven",
    "source_partition",
    "source_offset",
)
CHUNK_BYTES = 1 << 20
_prediction = reader(Prediction)


class _Sink(io.RawIOBase):
    """Takes what the zip writes, cannot go back in it, and gives it away."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


class _File:
    """A file within the zip, with its hash."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        info = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED
        self.name = name
        self._file: IO[bytes] = archive.open(info, "w", force_zip64=True)
        self._hash, self._bytes = sha256(), 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._bytes += len(data)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # also when the client leaves: the zip around it is closed next

    def described(self) -> ExportFile:
        return ExportFile(name=self.name, bytes=self._bytes, sha256=self._hash.hexdigest())


async def export(run: Run, model: ModelManifest | None, pages: AsyncIterator[ComparedRows]) -> AsyncIterator[bytes]:
    """Yield the zip in parts."""
    sink = _Sink()
    rows = 0
    with tempfile.TemporaryFile("w+b") as table, zipfile.ZipFile(sink, "w") as archive:
        table.write((",".join(COLUMNS) + "\r\n").encode())
        with _File(archive, "predictions.jsonl") as lines:
            async for page in pages:
                rows += len(page.rows)
                await asyncio.to_thread(_take, page, lines, table)
                yield sink.taken()
        table.seek(0)
        with _File(archive, "predictions.csv") as sheet:
            while part := await asyncio.to_thread(table.read, CHUNK_BYTES):
                await asyncio.to_thread(sheet.write, part)
                yield sink.taken()
        files = [lines.described(), sheet.described()]
        manifest = ExportManifest(exported_at=datetime.now(UTC), rows=rows, run=run, model=_plain(model), files=files)
        archive.writestr("manifest.json", manifest.model_dump_json(indent=1), zipfile.ZIP_DEFLATED)
    yield sink.taken()


def _plain(model: BaseModel | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(mode="json")


def _take(page: ComparedRows, lines: _File, table: IO[bytes]) -> None:
    lines.write(b"".join(value + b"\n" for _, value in page.rows))
    text = io.StringIO()
    answers = (_prediction(value) for _, value in page.rows)
    csv.writer(text).writerows(
        [cell(one) for one in _cells(answer)] for answer in answers if not isinstance(answer, Unreadable)
    )
    table.write(text.getvalue().encode())


def _cells(answer: Prediction) -> list[object]:
    """The values of `COLUMNS`; what is missing is empty."""
    return [
        answer.row_index,
        answer.sample_id,
        _moment(answer.row_timestamp),
        answer.prediction,
        answer.confidence,
        answer.probability_fail,
        answer.threshold,
        answer.label,
        answer.model_version,
        answer.reasons,
        msgspec.json.encode(answer.top_features).decode(),
        _moment(answer.scored_at),
        answer.attempt,
        str(answer.redriven).lower(),
        answer.source.partition,
        answer.source.offset,
    ]


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else msgspec.json.encode(moment).decode().strip('"')
