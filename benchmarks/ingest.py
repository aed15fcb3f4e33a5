"""How fast an uploaded CSV becomes a dataset, against the least that is possible and against the usual way. Goals: 1.3
× the bare Polars scan-to-Parquet, 1 GiB of memory whatever the file's size, the gateway's event loop never blocked over
50 ms.

`ours` is the whole way in the gateway's own code: the multipart body received as a stream, hashed and written, then
checked, detected, made into Parquet in a thread. Meanwhile a tick every 5 ms on the event loop tells for how long
nothing else would have been answered; the same tick in a process beside it tells how much of that is the machine being
busy."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from benchmarks.side_by_side import IDLE, Made, compare, table
from benchmarks.upload import over_http

TICK_SECONDS, PIECE = 0.005, 64 << 10
CHUNK = 20_000
GIB = 1024.0
LARGE_GIGABYTES, HUGE_GIGABYTES = 0.5, 3.0
"""Files in between are also uploaded over HTTP; larger ones are measured once, without pandas."""


def bare(folder: Path, upload: str) -> Made:
    """What nobody can be faster than."""
    import polars as pl

    pl.scan_csv(upload).sink_parquet(folder / "bare.parquet")
    return Made(lambda: content([folder / "bare.parquet"]))


def pandas_in_chunks(folder: Path, upload: str) -> Made:
    """The usual way of a file larger than memory; each chunk a Parquet file of its own, by Polars, as there is no
    pyarrow here."""
    import pandas as pd
    import polars as pl

    parts = []
    for number, chunk in enumerate(pd.read_csv(upload, chunksize=CHUNK)):
        parts.append(folder / f"{number}.parquet")
        pl.DataFrame({name: chunk[name].to_numpy() for name in chunk}, nan_to_null=True).write_parquet(parts[-1])
    return Made(lambda: content(parts))


def ours(folder: Path, upload: str) -> Made:
    """The gateway's way, everything checked and detected."""
    return asyncio.run(_ours(folder, Path(upload)))


async def _ours(folder: Path, upload: Path) -> Made:
    from gateway.datasets.upload import receive
    from gateway.web.threads import Workshop
    from schemas.manifests import DatasetManifest
    from storage.objects.files import Storage
    from storage.tables.datasets import DatasetOptions, ingest

    workshop = Workshop(Storage(f"file://{folder}/storage").initialise(), 1)
    beside = subprocess.Popen([sys.executable, "-c", IDLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    ticks = _Ticks()
    ticking = asyncio.create_task(ticks.run())
    received = await receive(_body(upload), "multipart/form-data; boundary=XX", None, folder, 100 << 30)
    at_upload, turn_at_upload = ticks.worst, ticks.longest_turn
    ticks.worst = ticks.longest_turn = 0.0
    made = await workshop.run(
        ingest,
        received.path,
        file_name="rows.csv",
        workspace="benchmark",
        options=DatasetOptions(),
        sha256=received.sha256,
    )
    ticking.cancel()
    alone, _ = beside.communicate("")
    assert isinstance(made, DatasetManifest), made
    told = {
        "loop ms, receiving": at_upload * 1000,
        "loop ms, ingest": ticks.worst * 1000,
        "ms, idle process": float(alone) * 1000,
        "loop's own CPU ms": max(turn_at_upload, ticks.longest_turn) * 1000,
    }
    return Made(lambda: content([workshop.storage.local(made.path)]), told)


class _Ticks:
    """The longest that the event loop could take no other turn, and the most that its own thread worked in such a time.

    The former also grows when the machine is busy; the latter is what the code on the loop is to blame for.
    """

    worst = longest_turn = 0.0

    async def run(self) -> None:
        before, worked = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now, working = time.perf_counter(), time.thread_time()
            self.worst, self.longest_turn = max(self.worst, now - before), max(self.longest_turn, working - worked)
            before, worked = now, working


async def _body(upload: Path) -> AsyncGenerator[bytes, None]:
    yield b'--XX\r\nContent-Disposition: form-data; name="file"; filename="rows.csv"\r\n\r\n'
    with upload.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            yield piece
            await asyncio.sleep(0)  # as a socket does
    yield b"\r\n--XX--\r\n"


def content(parts: list[Path], names: list[str] | None = None) -> dict[str, Any]:
    """What every contestant must have made: so many rows, gaps in the numbers (of these columns), and their sum."""
    import polars as pl
    import polars.selectors as cs

    lazy = pl.scan_parquet(parts)
    chosen = (
        cs.by_name(*names) if names else cs.numeric() - cs.by_name("Id", "Response", require_all=False)
    )  # both texts to us
    numbers = lazy.select(chosen.cast(pl.Float64))
    gaps, total = pl.sum_horizontal(pl.all().null_count()), pl.sum_horizontal(pl.all().sum())
    found = numbers.select(pl.len().alias("rows"), gaps.alias("gaps"), total.round(0).alias("sum")).collect(
        engine="streaming"
    )
    return found.row(0, named=True)


CONTESTANTS = {"bare": bare, "ours": ours, "pandas in chunks": pandas_in_chunks}


def arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[135_000, 545_000], help="several: does memory grow with the file?"
    )
    parser.add_argument("--features", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--file", type=Path, help="measure this file instead of generated ones")
    parser.add_argument(
        "--offset", type=int, default=500, help="added to all ports of the stack that takes the file over HTTP"
    )


def main(given: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, return what the report needs: `tables`, Markdown by title, `goals`, and the figures
    themselves."""
    from devstack.generate import generate

    sizes: dict[str, Any] = {}
    tables: dict[str, str] = {}
    over: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in sorted(given.rows) if given.file is None else [0]:
            upload = given.file or generate(Path(folder) / f"{rows}.csv", rows=rows, features=given.features).path
            gigabytes = upload.stat().st_size / 1e9
            title = f"{gigabytes:.2f} GB CSV to Parquet"
            huge = gigabytes >= HUGE_GIGABYTES
            who = ["bare", "ours"] if huge else list(CONTESTANTS)
            rounds = 1 if huge else given.rounds
            sizes[title] = compare("benchmarks.ingest", who, rounds, once=["pandas in chunks"], upload=str(upload))
            tables[title] = table(sizes[title])
            print(f"{title}\n\n{tables[title]}\n", flush=True)
            if LARGE_GIGABYTES <= gigabytes < HUGE_GIGABYTES:
                over = asyncio.run(over_http(upload, given.offset))
                shown = [f"| {name} | {value:.4g} |" for name, value in over.items()]
                tables["The same file over HTTP into a running gateway, milliseconds"] = "\n".join(
                    ["| | |", "| --- | ---: |", *shown]
                )
                print("\n".join(shown), flush=True)
            if given.file is None:
                upload.unlink()
    return {"sizes": sizes, "http": over, "tables": tables, "goals": _goals(sizes, over)}


def _goals(sizes: dict[str, Any], over: dict[str, float]) -> list[tuple[str, float | None, float, bool]]:
    ours = {title.split(" CSV")[0]: found["ours"] for title, found in sizes.items()}
    return [
        *[(f"{name}: time / bare Polars", figures["× time"], 1.3, False) for name, figures in ours.items()],
        *[(f"{name}: processor time / bare Polars", figures["× CPU"], 1.3, False) for name, figures in ours.items()],
        *[
            (f"{name}: peak of the process's own memory (MiB)", figures["peak_anonymous_mib"], GIB, False)
            for name, figures in ours.items()
        ],
        (
            "longest hold-up of the event loop by its own work, over HTTP (ms)",
            over.get("ticks, busy, longest at most"),
            50.0,
            False,
        ),
        ("ticks of the event loop later than 50 ms, over HTTP", over.get("ticks, late, above 50 ms"), 0.0, False),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    arguments(parser)
    main(parser.parse_args())
