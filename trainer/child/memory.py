"""How much memory a training in memory needs, and how much this process may take."""

import resource
from pathlib import Path

import psutil

BYTES_PER_CELL = 15
"""Measured with XGBoost 3.2, at the peak: the matrix 4, XGBoost's own copy 8 for a value that is there, its bins 1 or
2."""
BYTES_PER_ROW = 64
CGROUPS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def needed_bytes(rows: int, features: int) -> int:
    """What a training of so many rows takes when all of them are in memory, beside what the process takes anyway."""
    return rows * (features * BYTES_PER_CELL + BYTES_PER_ROW)


def available_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """What this process may still take: of the machine, of its container, by its own limits; the least of them."""
    left: list[int] = [psutil.virtual_memory().available]
    for limit, used in CGROUPS:
        maximum, current = _number(cgroup / limit), _number(cgroup / used)
        if maximum is not None and current is not None:
            left.append(maximum - current)
    used_here = psutil.Process().memory_info()
    for name, taken in (
        (resource.RLIMIT_AS, used_here.vms),
        (resource.RLIMIT_DATA, used_here.data if hasattr(used_here, "data") else 0),
    ):
        soft, _ = resource.getrlimit(name)
        if soft != resource.RLIM_INFINITY:
            left.append(soft - taken)
    return max(0, min(left))


def _number(file: Path) -> int | None:
    """The file's number; None when there is none, or no limit."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
