"""A Chromium for browser tests: an installed one, else Playwright's, else the distribution's. `python -m
devstack.browser` ensures it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Path of a Chromium on this machine, or None."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    return _of_playwright()


def ensure() -> str:
    """Path of a Chromium, installed first when there is none. Raises `SystemExit` that names what was tried."""
    ways = (
        [sys.executable, "-m", "playwright", "install", "chromium"],
        [
            "sh",
            "-c",
            (
                "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends"
                " chromium"
            ),
        ],
    )
    for way in ways:
        if (found := find()) is not None:
            return found
        print(f"no Chromium for browser tests: {' '.join(way)}", flush=True)
        subprocess.run(way, check=False)
    if (found := find()) is not None:
        return found
    raise SystemExit("no Chromium could be installed by Playwright or apt-get; install one and run the command again")


def _of_playwright() -> str | None:
    root = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    found = [
        path
        for pattern in ("chrome", "headless_shell", "chrome-headless-shell")
        for path in root.glob(f"chromium*/*/{pattern}")
    ]
    return str(found[0]) if found else None


if __name__ == "__main__":
    print(f"browser tests use {ensure()}")
