"""`python -m dashboard`: the pages, as a process of their own. Speaks to nothing but the gateway."""

import asyncio
import logging
import os
import signal
import sys

from nicegui import app, ui
from pydantic import ValidationError

from dashboard import (
    frame,
    gateway,
    guide_dataset,
    guide_ranges,
    guide_simulate,
    guide_train,
    guide_upload,
    page_compare,
    page_dead_letters,
    page_models,
    page_runs,
    page_system,
    run_history,
)
from dashboard.settings import DashboardSettings
from dashboard.texts import NAME
from dashboard.theme import FAVICON
from dashboard.uploads import Kept

log = logging.getLogger("dashboard")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONFIGURATION = 78
"""Exit code of wrong settings, as of every process."""
RECONNECT_SECONDS = 30.0
"""A page that was silent for longer is drawn anew: short silences of a sleeping tab or a busy machine must not cost a
click."""


def main() -> None:
    os.environ.pop(
        "PYTEST_CURRENT_TEST", None
    )  # inherited when a test starts the stack; NiceGUI would then serve its own test port
    settings = _settings()
    if settings.host not in LOOPBACK:
        log.warning(
            "DASHBOARD_HOST=%s: OPEN TO OTHER MACHINES WITHOUT ANY PASSWORD; whoever sees the pages can steer"
            " everything",
            settings.host,
        )
    frame.install()
    kept = Kept(settings)
    guide_upload.register(kept)
    guide_dataset.register(kept)
    for page in (
        guide_ranges,
        guide_train,
        guide_simulate,
        page_runs,
        run_history,
        page_compare,
        page_models,
        page_dead_letters,
        page_system,
    ):
        page.register()

    @app.get("/live")
    def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ok"}

    running: set[asyncio.Task[None]] = set()
    app.on_startup(lambda: running.add(asyncio.create_task(gateway.watch())))
    app.on_shutdown(gateway.client.aclose)
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # uvicorn ends in good order and then raises the signal again: asked to stop is 0
        signal.signal(number, lambda *_: sys.exit(0))
    ui.run(
        host=settings.host,
        port=settings.port,
        title=NAME,
        favicon=FAVICON,
        dark=None,
        language="en-US",
        reload=False,
        show=False,
        show_welcome_message=False,
        reconnect_timeout=RECONNECT_SECONDS,
    )


def _settings() -> DashboardSettings:
    try:
        return DashboardSettings()
    except ValidationError as error:
        wrong = [
            f"DASHBOARD_{str(problem['loc'][0]).upper()}={problem['input']}: {problem['msg']}"
            for problem in error.errors()
        ]
        print(f"dashboard: wrong settings: {'; '.join(wrong)}", file=sys.stderr)
        sys.exit(CONFIGURATION)


if __name__ in {"__main__", "__mp_main__"}:
    main()
