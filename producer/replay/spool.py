"""Rows of a replay in the storage: put in row order, each once, and read in pages. Memory does not grow with the rows,
but for about 30 bytes of each while they are put in order.

`replays/{run_id}/` holds Parquet files of up to `FILE_ROWS` rows and a manifest, which comes last: without it there is
no spool."""

import asyncio
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from producer.replay.records import Recorded, sent_again
from producer.sending.encoding import Turn
from producer.sources import RowPage, tried
from storage.errors import StorageUnavailable
from storage.objects import replays
from storage.objects.files import Storage

FILE_ROWS, FILE_BYTES = 2048, 4 << 20
OPEN_FILES = 24
"""Files kept in memory while rows are put in order: those of a partition are nearly in order, so one for each is
enough."""
COLUMN = "row"
T = TypeVar("T")


class SpoolManifest(Struct, kw_only=True):
    """`starts` has the first row of each file; `unreplayable` counts the records of the range that hold no row."""

    total: int
    unreplayable: int
    starts: list[int]


class Spool:
    """Takes rows as they stand on the topic, writes them down in `scratch`, and at the end puts them in order. Blocks
    on the disk."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._buffer: list[bytes] = []
        self._bytes = 0
        self._files = 0
        self._row_index, self._rank = array("q"), array("q")
        self._file, self._slot = array("i"), array("i")
        self.unreadable: set[int] = set()
        self.first_tries = 0
        """Rows taken that are no repaired copies."""

    def add(self, row: Recorded) -> None:
        """Take a row. Of several copies a repaired one goes before others and then the last, else the first."""
        count = len(self._row_index)
        self.first_tries += not row.redriven
        self._row_index.append(row.row_index)
        self._rank.append(-count - 1 if row.redriven else count)
        self._file.append(self._files)
        self._slot.append(len(self._buffer))
        self._buffer.append(row.fragment)
        self._bytes += len(row.fragment)

    @property
    def lowest(self) -> int:
        """The lowest row index taken; -1: none."""
        return min(self._row_index, default=-1)

    @property
    def full(self) -> bool:
        """Whether it is time to `flush`."""
        return len(self._buffer) >= FILE_ROWS or self._bytes >= FILE_BYTES

    def flush(self) -> None:
        """Write down what is in memory."""
        if self._buffer:
            _write(self._scratch / f"{self._files}.parquet", self._buffer)
            self._files += 1
            self._buffer, self._bytes = [], 0

    def finish(self, target: Path) -> SpoolManifest:
        """Write the rows in order into the folder `target`, with the manifest."""
        self.flush()
        target.mkdir()
        index, rank = np.frombuffer(self._row_index, np.int64), np.frombuffer(self._rank, np.int64)
        order = np.lexsort((rank, index))
        if len(order):
            order = order[np.concatenate(([True], np.diff(index[order]) != 0))]
        files, slots = np.frombuffer(self._file, np.int32), np.frombuffer(self._slot, np.int32)
        unrepaired = np.isin(np.array(sorted(self.unreadable), np.int64), index, invert=True)
        found = SpoolManifest(total=len(order), unreplayable=int(unrepaired.sum()), starts=[])
        read = _Files(self._scratch)
        rows: list[bytes] = []
        size, start = 0, 0
        for place in order:
            rows.append(read.row(int(files[place]), int(slots[place])))
            size += len(rows[-1])
            if len(rows) >= FILE_ROWS or size >= FILE_BYTES:
                start, rows, size = _close(target, found, start, rows), [], 0
        _close(target, found, start, rows)
        (target / "manifest.json").write_bytes(msgspec.json.encode(found))
        return found


def _close(target: Path, manifest: SpoolManifest, start: int, rows: list[bytes]) -> int:
    if rows:
        _write(target / f"{len(manifest.starts):06d}.parquet", rows)
        manifest.starts.append(start)
    return start + len(rows)


def _write(path: Path, rows: list[bytes]) -> None:
    import polars as pl

    pl.DataFrame({COLUMN: rows}, schema={COLUMN: pl.Binary}).write_parquet(
        path, compression="zstd", compression_level=1, statistics=False
    )


class _Files:
    """The files last used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[int, list[bytes]] = OrderedDict()

    def row(self, file: int, slot: int) -> bytes:
        rows = self._open.get(file)
        if rows is None:
            import polars as pl

            rows = self._open[file] = pl.read_parquet(self._folder / f"{file}.parquet")[COLUMN].to_list()
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(file)
        return rows[slot]


@dataclass(frozen=True, slots=True)
class ReplayRows:
    """The rows of a replay, in the storage."""

    storage: Storage
    run_id: str
    manifest: SpoolManifest

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self.manifest.total

    def encoder(self, identity: Turn) -> Callable[[int, Sequence[Any]], bytes]:
        """As `SplitRows.encoder`."""
        return lambda row_index, values: sent_again(identity, row_index, values[0])

    async def pages(self, start: int, rows_per_page: int) -> AsyncGenerator[RowPage, None]:
        """Yield pages from a row to the end: the rest of a file each."""
        for file in range(max(bisect_right(self.manifest.starts, start) - 1, 0), len(self.manifest.starts)):
            first = self.manifest.starts[file]
            yield await tried(self.storage, partial(self._page, file, max(start - first, 0)))

    def _page(self, file: int, without: int) -> RowPage:
        import polars as pl

        path = self.storage.local(f"{replays.folder(self.run_id)}/{file:06d}.parquet")
        return RowPage(self.manifest.starts[file] + without, pl.read_parquet(path).slice(without))


async def opened(storage: Storage, run_id: str) -> ReplayRows | None:
    """The rows of a replay, if they are all there."""
    manifest = await tried(storage, partial(_manifest, storage, run_id))
    return ReplayRows(storage, run_id, manifest) if manifest else None


def _manifest(storage: Storage, run_id: str) -> SpoolManifest | None:
    if not replays.are_kept(storage, run_id):
        return None
    return msgspec.json.decode(storage.read_bytes(replays.manifest(run_id)), type=SpoolManifest)


async def finished(spool: Spool, storage: Storage, run_id: str, target: Path) -> ReplayRows:
    """Put the spool's rows in order and into the storage."""
    manifest = await on_disk(storage, lambda: spool.finish(target))
    await asyncio.to_thread(storage.put_folder, target, replays.folder(run_id))
    return ReplayRows(storage, run_id, manifest)


async def on_disk(storage: Storage, work: Callable[[], T]) -> T:
    """Work on the scratch folder in a thread; what the disk refuses is `StorageUnavailable`, whatever it is."""

    def done() -> T:
        try:
            with storage.classified():
                return work()
        except OSError as error:
            raise StorageUnavailable(str(error)) from error

    return await asyncio.to_thread(done)
