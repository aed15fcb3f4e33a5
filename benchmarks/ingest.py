"""How fast a CSV becomes a dataset, against the least that is possible: `python -m benchmarks.ingest [--rows 1000000] [--features 300]`.

Prints seconds, CPU seconds and peak memory of a bare Polars `scan_csv` → `sink_parquet` and of `ingest`, each in a process of its own, and
the ratio. Goals: 1.3 times the bare CPU seconds, 1 GiB at 1,000,000 x 300.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def bare(upload: Path, folder: Path) -> None:
    """What nobody can be faster than."""
    import polars as pl

    pl.scan_csv(upload).sink_parquet(folder / "bare.parquet")


def ours(upload: Path, folder: Path) -> None:
    """A dataset, with everything checked and detected."""
    from schemas.manifests import DatasetManifest
    from storage.datasets import DatasetOptions, ingest
    from storage.files import Storage

    storage = Storage(f"file://{folder}/storage")
    made = ingest(storage, upload, file_name="rows.csv", workspace="benchmark", options=DatasetOptions(), sha256="0" * 64)
    assert isinstance(made, DatasetManifest)


CONTESTANTS = {"bare": bare, "ours": ours}


def measure(name: str, upload: Path) -> dict[str, float]:
    """Seconds, CPU seconds and peak MiB of one contestant, run in this process."""
    with tempfile.TemporaryDirectory(dir=upload.parent) as folder:
        started = time.perf_counter()
        CONTESTANTS[name](upload, Path(folder))
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "cpu": time.process_time(), "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=300)
    parser.add_argument("--file", type=Path, help="measure this file instead of a generated one")
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measure(given.only, given.file)))
        return
    from devstack.generate import generate

    with tempfile.TemporaryDirectory() as folder:
        upload = given.file or generate(Path(folder) / "rows.csv", rows=given.rows, features=given.features).path
        results = {}
        for name in CONTESTANTS:
            command = [sys.executable, "-m", "benchmarks.ingest", "--only", name, "--file", str(upload)]
            results[name] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            print(f"{name}: " + "  ".join(f"{key} {value:.1f}" for key, value in results[name].items()))
        ratios = {key: results["ours"][key] / results["bare"][key] for key in ("seconds", "cpu")}
        print(f"{upload.stat().st_size / 1e6:.0f} MB; ratio: " + "  ".join(f"{key} {value:.2f}" for key, value in ratios.items()))


if __name__ == "__main__":
    main()
