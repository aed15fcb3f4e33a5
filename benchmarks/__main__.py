"""`python -m benchmarks [NAME] [options]`: measure one thing, or everything in under 20 minutes, and write REPORT.md
anew."""

import argparse
import importlib
import json
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.world import machine

NAMES = ("scoring", "latency", "ingest", "split", "training", "quality", "growth")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    kinds = parser.add_subparsers(dest="name")
    for name in NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        module.arguments(kinds.add_parser(name, description=module.__doc__))
    kinds.add_parser("all")
    words = sys.argv[1:] or ["all"]
    given = parser.parse_args(words)
    for name in NAMES if given.name == "all" else (given.name,):
        module = importlib.import_module(f"benchmarks.{name}")
        said = parser.parse_args([name]) if given.name == "all" else given
        print(f"== {name}", flush=True)
        described = machine()
        found = module.main(said)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps({"machine": described, **found}, indent=1) + "\n")
        report.write()


if __name__ == "__main__":
    main()
