"""The rows of a replay come out in row order, each once, whatever order and however often they stand on the topic."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.replay import spool as spools
from producer.replay.records import Recorded
from producer.replay.spool import Spool, finished, opened
from storage.objects.files import Storage
from tests.support.examples import many

copies = st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=80)


async def read_back(storage: Storage, start: int) -> list[tuple[int, bytes]]:
    rows = await opened(storage, "r")
    assert rows is not None
    found: list[tuple[int, bytes]] = []
    async for page in rows.pages(start, 5):
        found += [(page.start + i, values[0]) for i, values in enumerate(page.rows(page.start, page.end))]
    return found


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "FILE_ROWS", 4)
    monkeypatch.setattr(spools, "OPEN_FILES", 2)


@given(copies, st.sets(st.integers(0, 40), max_size=5), st.integers(0, 35))
@settings(max_examples=many(40), deadline=None)
def test_rows_come_out_in_order_each_once_and_from_any_row_on(
    rows: list[tuple[int, bool]], unreadable: set[int], start: int
) -> None:
    wanted: dict[int, bytes] = {}
    with TemporaryDirectory() as folder:
        storage, scratch = Storage(f"file://{folder}/storage").initialise(), Path(folder) / "scratch"
        scratch.mkdir()
        spool = Spool(scratch)
        spool.unreadable = unreadable
        for number, (row_index, redriven) in enumerate(rows):
            fragment = b"%d-%d" % (row_index, number)
            if redriven or row_index not in wanted:
                wanted[row_index] = fragment  # the last repaired copy, else the first one
            spool.add(Recorded(row_index, redriven, fragment))
            if spool.full:
                spool.flush()
        found = asyncio.run(finished(spool, storage, "r", scratch / "rows"))
        in_order = [wanted[row_index] for row_index in sorted(wanted)]
        assert (found.total, found.manifest.unreplayable) == (len(wanted), len(unreadable - {*wanted}))
        assert spool.first_tries == sum(not redriven for _, redriven in rows)
        assert asyncio.run(read_back(storage, start)) == [*enumerate(in_order)][start:]


def test_without_a_manifest_there_is_no_spool(tmp_path: Path) -> None:
    assert asyncio.run(opened(Storage(f"file://{tmp_path}").initialise(), "r")) is None
