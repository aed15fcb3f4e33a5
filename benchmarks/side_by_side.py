"""Contestants at the same work on one machine: each in a process of its own, in turn, so many rounds; then a Markdown table with ratios.

A contestant is a function of a module: it takes a folder for what it makes, and paths and figures as keywords, does the work and returns
`Made`. What two contestants made of the same work must be equal, else there is no time; to look at it is not counted.
"""

import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

FIGURES = {"seconds": "s", "cpu": "CPU s", "peak_mib": "peak MiB"}


class Made(NamedTuple):
    """`look` returns what must be equal, as JSON; `told` are further figures."""

    look: Callable[[], Any]
    told: Mapping[str, float] = {}


class Unequal(Exception):
    """Contestants made different things."""


def compare(module: str, contestants: Sequence[str], rounds: int, **work: Any) -> dict[str, dict[str, float]]:
    """Medians of each contestant's figures. Raises `Unequal`."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name in contestants:
            found[name].append(measured(module, name, work))
            print(f"  {name}: " + "  ".join(f"{figure} {found[name][-1][figure]:.2f}" for figure in FIGURES), flush=True)
    made = {name: results[0]["made"] for name, results in found.items()}
    if len({json.dumps(one, sort_keys=True) for one in made.values()}) > 1:
        raise Unequal(json.dumps(made, indent=1))
    medians = {name: {figure: median(result[figure] for result in results) for figure in FIGURES} for name, results in found.items()}
    return {name: figures | found[name][-1]["told"] for name, figures in medians.items()}


def measured(module: str, name: str, work: Mapping[str, Any]) -> dict[str, Any]:
    """One contestant's work, start of its process included; CPU and memory with its children's."""
    started = str(time.perf_counter())  # of one clock for all processes of the machine
    command = [sys.executable, "-m", "benchmarks.side_by_side", module, name, json.dumps(work), started]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(found: Mapping[str, Mapping[str, float]], against: str) -> str:
    """Markdown: a line for each contestant, its figures, and its ratios to one of them."""
    others = sorted({key for figures in found.values() for key in figures} - set(FIGURES))
    head = ["contestant", *FIGURES.values(), "× time", "× CPU", *others]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, figures in found.items():
        ratios = [f"{figures[figure] / found[against][figure]:.2f}" for figure in ("seconds", "cpu")]
        shown = [f"{figures['seconds']:.2f}", f"{figures['cpu']:.2f}", f"{figures['peak_mib']:.0f}"]
        lines.append([name, *shown, *ratios, *(f"{figures[key]:.4g}" if key in figures else "" for key in others)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """One contestant, in this process."""
    module, name, work, started = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        made: Made = importlib.import_module(module).CONTESTANTS[name](Path(folder), **json.loads(work))
        seconds = time.perf_counter() - float(started)
        who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        cpu = sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, who))
        peak_mib = max(resource.getrusage(one).ru_maxrss for one in who) / 1024
        figures = {"seconds": seconds, "cpu": cpu, "peak_mib": peak_mib, "told": made.told, "made": made.look()}
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
