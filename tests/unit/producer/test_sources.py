"""Rows of a split come in file order, in pages, with the model's columns only; what is missing or broken is named."""

import os

import numpy as np
import polars as pl
import pytest

from producer import sources
from producer.errors import RunFailed
from producer.sources import open_split
from runtime.errors import Unavailable
from storage.errors import StorageUnavailable
from storage.objects.files import Storage
from tests.support.replays import MODEL, SPLIT, frame_of, write_split_and_model


@pytest.fixture
def storage(storage_url: str) -> Storage:
    storage = Storage(storage_url).initialise()
    write_split_and_model(storage, frame_of(1000), ["F 3", "F 0"])
    return storage


async def _rows(storage: Storage, start: int, rows_per_page: int) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    source = await open_split(storage, SPLIT, MODEL)
    async for page in source.pages(start, rows_per_page):
        assert page.end - page.start <= rows_per_page
        middle = (page.start + page.end) // 2
        rows += [*page.rows(page.start, middle), *page.rows(middle, page.end)]
    return rows


@pytest.mark.parametrize(("start", "rows_per_page"), [(0, 1000), (0, 300), (999, 7), (123, 256), (1000, 10)])
async def test_pages_hold_the_rows_from_any_start_in_the_models_column_order(
    storage: Storage, start: int, rows_per_page: int
) -> None:
    frame = frame_of(1000)
    expected = frame.select("F 3", "F 0", "__id__", pl.col("__time__").cast(pl.Int64), "__label__")[start:].fill_nan(
        None
    )
    rows = await _rows(storage, start, rows_per_page)
    assert pl.DataFrame(rows, schema=expected.schema, orient="row").fill_nan(None).equals(expected)


async def test_a_page_gives_the_same_rows_by_column(storage: Storage) -> None:
    async for page in (await open_split(storage, SPLIT, MODEL)).pages(100, 300):
        rows, columns = page.rows(page.start + 7, page.end), page.columns(page.start + 7, page.end)
        assert [row[2:] for row in rows] == list(zip(*columns[1:4], strict=True))
        assert not columns.unknown
        assert np.array_equal(columns.features, np.array([row[:2] for row in rows], np.float32), equal_nan=True)


async def test_infinities_become_the_largest_numbers_that_json_has(storage_url: str) -> None:
    storage = Storage(storage_url).initialise()
    frame = frame_of(3).with_columns(pl.Series("F 0", [float("inf"), -float("inf"), 1.0]))
    write_split_and_model(storage, frame, ["F 0"])
    assert [row[0] for row in await _rows(storage, 0, 10)] == [1.7976931348623157e308, -1.7976931348623157e308, 1.0]


async def test_what_is_missing_is_named(storage: Storage) -> None:
    with pytest.raises(RunFailed, match="model-ffffffffffff"):
        await open_split(storage, SPLIT, "model-ffffffffffff")
    with pytest.raises(RunFailed, match="split-ffffffffffff"):
        await open_split(storage, "split-ffffffffffff", MODEL)
    write_split_and_model(storage, frame_of(3), ["F 0", "unheard of"])
    with pytest.raises(RunFailed, match="unheard of"):
        await open_split(storage, SPLIT, MODEL)


async def test_a_broken_file_fails_the_run(storage: Storage) -> None:
    storage.write_bytes(f"splits/{SPLIT}/simulation.parquet", b"PAR1 and nothing else")
    with pytest.raises(RunFailed, match="broken"):
        await open_split(storage, SPLIT, MODEL)
    storage.write_bytes(f"models/{MODEL}/manifest.json", b"{}")
    with pytest.raises(RunFailed, match="broken"):
        await open_split(storage, SPLIT, MODEL)


async def test_a_file_that_vanishes_while_it_is_read_fails_the_run(storage: Storage) -> None:
    source = await open_split(storage, SPLIT, MODEL)
    os.unlink(source.path)
    with pytest.raises(RunFailed):
        await anext(source.pages(0, 10))


async def test_an_unavailable_storage_is_tried_again_and_then_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "RETRY_AFTER_SECONDS", (0.0, 0.0))
    answers = iter([StorageUnavailable("1"), OSError("2"), StorageUnavailable("3"), StorageUnavailable("4"), None])

    class Away(Storage):
        def read_bytes(self, path: str) -> bytes:
            answer = next(answers)
            raise answer or FileNotFoundError(path)

    with pytest.raises(Unavailable, match="storage"):
        await open_split(Away("file:///nowhere"), SPLIT, MODEL)
    with pytest.raises(RunFailed):
        await open_split(Away("file:///nowhere"), SPLIT, MODEL)
