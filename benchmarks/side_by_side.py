"""Contestants at the same work on one machine: each in a process of its own, in turn, so many rounds; then a Markdown
table with ratios.

A contestant is a function of a module: it takes a folder for what it makes, and paths and figures as keywords, does the
work and returns `Made`. What two contestants made of the same work must be equal, else there is no time; to look at it
is not counted."""

import importlib
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

FIGURES = {"seconds": "s", "cpu": "CPU s", "peak_mib": "peak MiB", "peak_anonymous_mib": "of that its own"}
"""The last is anonymous memory: without libraries and files that are mapped."""
SAMPLED_EVERY_SECONDS = 0.02
IDLE = """
import sys, threading, time
worst, before = 0.0, time.perf_counter()
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
while not ended.is_set():
    time.sleep(0.005)
    now = time.perf_counter()
    worst, before = max(worst, now - before), now
print(worst)
"""
"""A process that only sleeps for 5 ms again and again, until its input ends: the longest sleep is what the machine does
to anybody."""


class Made(NamedTuple):
    """`look` returns what must be equal, as JSON; `told` are further figures.

    `child_since`: the contestant is a child process that was started at this `time.perf_counter()`, without the process
    that started it."""

    look: Callable[[], Any]
    told: Mapping[str, float] = {}
    child_since: float | None = None


class Unequal(Exception):
    """Contestants made different things."""


def compare(
    module: str, contestants: Sequence[str], rounds: int, *, once: Collection[str] = (), **work: Any
) -> dict[str, dict[str, float]]:
    """Medians of each contestant's figures, by turns; those in `once` take part in the first round only. Raises
    `Unequal`."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in contestants:
            if number and name in once:
                continue
            found[name].append(measured(module, name, work))
            print(
                f"  {name}: " + "  ".join(f"{figure} {found[name][-1][figure]:.2f}" for figure in FIGURES), flush=True
            )
    made = {name: results[0]["made"] for name, results in found.items()}
    if len({json.dumps(one, sort_keys=True) for one in made.values()}) > 1:
        raise Unequal(json.dumps(made, indent=1))
    medians = {
        name: {figure: median(result[figure] for result in results) for figure in FIGURES}
        for name, results in found.items()
    }
    ratios = {
        name: {
            f"× {of}": median(one[key] / other[key] for one, other in zip(results, found[contestants[0]], strict=False))
            for key, of in (("seconds", "time"), ("cpu", "CPU"))
        }
        for name, results in found.items()
    }
    return {name: figures | ratios[name] | _worst(found[name]) for name, figures in medians.items()}


def _worst(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What was told besides, the largest of all rounds."""
    return {key: max(result["told"][key] for result in results) for key in results[0]["told"]}


def measured(module: str, name: str, work: Mapping[str, Any]) -> dict[str, Any]:
    """One contestant's work, start of its process included; CPU and memory with its children's."""
    started = str(time.perf_counter())  # of one clock for all processes of the machine
    command = [sys.executable, "-m", "benchmarks.side_by_side", module, name, json.dumps(work), started]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: a line for each contestant, its figures, its ratios to the first one, and what was told."""
    ratios = ["× time", "× CPU"]
    others = sorted({key for figures in found.values() for key in figures} - set(FIGURES) - set(ratios))
    head = ["contestant", *FIGURES.values(), *ratios, *others]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, figures in found.items():
        shown = [
            f"{figures['seconds']:.2f}",
            f"{figures['cpu']:.2f}",
            f"{figures['peak_mib']:.0f}",
            f"{figures['peak_anonymous_mib']:.0f}",
        ]
        told = (f"{figures[key]:.4g}" if key in figures else "" for key in others)
        lines.append([name, *shown, *(f"{figures[key]:.2f}" for key in ratios), *told])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class _Anonymous(threading.Thread):
    """The most anonymous memory of this process, or of a child of it, by looking again and again. Linux only; else
    0."""

    peak_mib = 0.0

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(SAMPLED_EVERY_SECONDS):
            self.peak_mib = max(self.peak_mib, *map(_anonymous_mib, ("self", *_children())))

    def end(self) -> float:
        """Look no more; return the peak in MiB."""
        self._ended.set()
        self.join()
        return self.peak_mib


def _children() -> list[str]:
    with suppress(OSError):
        return [pid for tasks in Path("/proc/self/task").glob("*/children") for pid in tasks.read_text().split()]
    return []


def _anonymous_mib(process: str) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """One contestant, in this process."""
    module, name, work, started = sys.argv[1:]
    watch = _Anonymous()
    watch.start()
    with tempfile.TemporaryDirectory() as folder:
        made: Made = importlib.import_module(module).CONTESTANTS[name](Path(folder), **json.loads(work))
        seconds = time.perf_counter() - (made.child_since or float(started))
        who = (resource.RUSAGE_CHILDREN,) if made.child_since else (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        cpu = sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, who))
        peak_mib = max(resource.getrusage(one).ru_maxrss for one in who) / 1024
        figures: dict[str, Any] = {
            "seconds": seconds,
            "cpu": cpu,
            "peak_mib": peak_mib,
            "peak_anonymous_mib": watch.end(),
        }
        figures |= {"told": made.told, "made": made.look()}
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
