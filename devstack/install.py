"""Install the pinned packages with progress on one line. Run by the new virtual environment's Python, so it uses the
standard library only.

`python devstack/install.py constraints.txt -e ".[dev]"`
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

STEP = re.compile(r"^\s*(Collecting|Downloading|Using cached|Building|Installing|Preparing|Obtaining)\b[ :]*(.*)")
QUIET_EVERY = 20


def main(constraints: str, *what: str) -> int:
    """Run pip; return its exit code. On failure its whole output is shown."""
    total = sum(1 for line in Path(constraints).read_text().splitlines() if "==" in line)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        "-c",
        constraints,
        *what,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output: list[str] = []
    assert process.stdout is not None
    show(follow(process.stdout, output), total)
    if process.wait() != 0:
        print("".join(output))
    return process.returncode


def follow(lines: Iterable[str], output: list[str]) -> Iterable[tuple[int, str]]:
    """(packages so far, what happens) for each line of pip that tells something; every line goes to `output`."""
    seen: set[str] = set()
    for line in lines:
        output.append(line)
        if (step := STEP.match(line)) is None:
            continue
        if step[1] == "Collecting":
            seen.add(re.split(r"[=<>!\[ (]", step[2])[0])
        yield len(seen), f"{step[1].lower()} {step[2]}"


def show(steps: Iterable[tuple[int, str]], total: int) -> None:
    """On a terminal one line that changes, elsewhere a line now and then."""
    told = -QUIET_EVERY
    for count, text in steps:
        if sys.stdout.isatty():
            print(f"\r\033[K  {min(count, total)} of about {total}: {text[:90]}", end="", flush=True)
        elif count >= told + QUIET_EVERY or text.startswith("installing"):
            told = count
            print(f"  {min(count, total)} of about {total}: {text[:90]}", flush=True)
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
