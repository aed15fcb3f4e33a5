"""Rows to be sent, read in pages: memory does not grow with them. Here those of a split's simulation set, of which only
the columns that the model needs are read; those of a replay are in `producer.replay.spool`.

`row_index` is the position in the file. Raises `RunFailed` for what is missing or broken in a storage that is there,
`Unavailable` when the storage does not answer after a few tries: whoever asked waits and asks again
(`producer.run.Run.work_on`)."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
import structlog
from pydantic import ValidationError

from models.bundle import BundleCorrupt, BundleMissing, read_manifest
from models.stored_inputs import inputs_of, model_columns, unknown
from producer.errors import RunFailed
from producer.sending.encoding import Columns, Turn, row_encoder
from rows.inputs import ModelInputs
from runtime.errors import Unavailable
from schemas.manifests import SplitManifest
from storage.errors import NotAPath, StorageUnavailable, StoredFileMissing
from storage.objects.files import Storage

if TYPE_CHECKING:
    import polars as pl

log = structlog.get_logger()
T = TypeVar("T")

RETRY_AFTER_SECONDS = (0.5, 1, 2)
ID, TIME, LABEL = "__id__", "__time__", "__label__"


@dataclass(frozen=True, slots=True)
class RowPage:
    """Consecutive rows, the first of them at `start`. `inputs`: what their features are to the model; null when they
    are JSON already."""

    start: int
    frame: "pl.DataFrame"
    inputs: ModelInputs | None = None

    @property
    def end(self) -> int:
        """The first row behind the page."""
        return self.start + self.frame.height

    def rows(self, start: int, end: int) -> Sequence[tuple[Any, ...]]:
        """Values of these rows as `producer.sending.encoding.row_encoder` takes them."""
        return self.frame.slice(start - self.start, end - start).rows()

    def columns(self, start: int, end: int) -> Columns:
        """These rows as `producer.sending.encoding.row_packer` takes them."""
        frame = self.frame.slice(start - self.start, end - start)
        assert self.inputs is not None  # rows of a replay are JSON, and stay it
        features = model_columns(frame, self.inputs).to_numpy(order="c")
        texts = {(row, at): text for row, at, text in unknown(frame, self.inputs)}
        return Columns(features, frame[ID].to_list(), frame[TIME].to_list(), frame[LABEL].to_list(), texts)


Encoder = Callable[[int, Sequence[Any]], bytes]
"""From a row index and the values of a page's row to the value of its record."""


class RowSource(Protocol):
    """Rows 0 to `total` - 1, in order."""

    @property
    def total(self) -> int: ...

    def encoder(self, identity: Turn) -> Encoder:
        """Return what makes records of the rows."""

    def pages(self, start: int, rows_per_page: int) -> AsyncGenerator[RowPage, None]:
        """Yield pages from a row to the end."""


@dataclass(frozen=True, slots=True)
class SplitRows:
    """The simulation set of a split, with the features of one model in the model's order."""

    storage: Storage
    path: Path
    inputs: ModelInputs
    total: int

    def encoder(self, identity: Turn) -> Encoder:
        """Return what makes records of the rows."""
        return row_encoder(identity, self.inputs.names)

    async def pages(self, start: int, rows_per_page: int) -> AsyncGenerator[RowPage, None]:
        """Yield pages from a row to the end; the next one is read while the last one is worked on."""
        ahead: asyncio.Task[RowPage] | None = None
        try:
            while start < self.total:
                page = await (ahead or self._page(start, rows_per_page))
                start = page.end
                ahead = asyncio.create_task(self._page(start, rows_per_page)) if start < self.total else None
                yield page
        finally:
            if ahead is not None:
                ahead.cancel()

    async def _page(self, start: int, rows: int) -> RowPage:
        return RowPage(start, await tried(self.storage, lambda: self._read(start, rows)), self.inputs)

    def _read(self, start: int, rows: int) -> "pl.DataFrame":
        import polars as pl

        from storage.tables.names import column

        largest = 1.7976931348623157e308  # JSON has no infinity; as float32 this is one again, which is missing
        lazy = pl.scan_parquet(self.path).slice(start, rows)
        columns = [
            column(one.name) if one.is_category else column(one.name).clip(-largest, largest)
            for one in self.inputs.inputs
        ]
        frame = lazy.select(*columns, pl.col(ID), pl.col(TIME).cast(pl.Int64), pl.col(LABEL)).collect()
        if not frame.height:
            raise RunFailed(f"{self.path.name} ends at row {start} of {self.total}")
        return frame


async def open_split(storage: Storage, split_id: str, model_version: str, registered: str | None = None) -> SplitRows:
    """Find the simulation set and the features of the model, by its manifest as it was registered."""
    return await tried(storage, lambda: _open(storage, split_id, model_version, registered))


def _open(storage: Storage, split_id: str, model_version: str, registered: str | None) -> SplitRows:
    import polars as pl

    try:
        model = read_manifest(storage, model_version, registered)
    except BundleMissing as error:
        raise RunFailed(f"missing in the storage: {error}") from error
    except BundleCorrupt as error:
        raise RunFailed(f"broken in the storage: {error}") from error
    split = SplitManifest.model_validate_json(storage.read_bytes(f"splits/{split_id}/manifest.json"))
    path = storage.local(split.simulation.path)
    missing = [name for name in [*model.features, ID, TIME, LABEL] if name not in pl.read_parquet_schema(path)]
    if missing:
        raise RunFailed(f"the simulation set of {split_id} lacks columns of {model_version}: {', '.join(missing[:5])}")
    return SplitRows(storage, path, inputs_of(storage, model), split.simulation.rows)


async def tried(storage: Storage, read: Callable[[], T]) -> T:
    """Use the storage in a thread, again after a pause while the storage does not answer."""
    for pause in (*RETRY_AFTER_SECONDS, None):
        try:
            return await asyncio.to_thread(_classified, storage, read)
        except StorageUnavailable as error:
            log.warning("the storage does not answer", error=str(error), again_in_seconds=pause)
            if pause is None:
                raise Unavailable("storage", str(error)) from error
            await asyncio.sleep(pause)
    raise AssertionError("unreachable")


def _classified(storage: Storage, read: Callable[[], T]) -> T:
    from polars.exceptions import PolarsError

    try:
        with storage.classified():
            return read()
    except NotAPath as error:
        raise RunFailed(f"no name of anything in the storage: {error}") from error
    except StoredFileMissing as error:
        raise RunFailed(f"missing in the storage: {error}") from error
    except (ValidationError, PolarsError, msgspec.MsgspecError, ValueError) as error:
        raise RunFailed(f"broken in the storage: {str(error).splitlines()[0]}") from error
