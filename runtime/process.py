"""Run a process: settings, logging, a stop event for SIGTERM and SIGINT, and the exit code that tells the supervisor
why it ended."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, TypeVar

import structlog
import uvloop

from runtime.errors import EXIT_BUG, EXIT_CONFIGURATION, EXIT_UNAVAILABLE, ConfigurationError, Fenced, Unavailable
from runtime.kafka import aiokafka_patches as fetched
from runtime.logging import configure
from runtime.settings import ProcessSettings, load
from runtime.tasks import cancel_all

S = TypeVar("S", bound=ProcessSettings)
Main = Callable[[S, asyncio.Event], Awaitable[None]]

log = structlog.get_logger()


def run(process: str, settings_type: type[S], main: Main[S]) -> NoReturn:
    """Run `main(settings, stopping)` to its end and exit: 0 stopped as asked, 70 bug or fenced, 75 unavailable, 78
    configuration.

    `stopping` is set by SIGTERM and SIGINT; `main` then finishes what it holds and returns.
    """
    try:
        settings = load(settings_type)
    except ConfigurationError as error:
        print(f"{process}: wrong settings: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIGURATION)
    configure(process, settings.log_level, settings.log_format)
    fetched.install()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # Faust's own thread makes its loop by it, too
    settled()
    sys.exit(asyncio.run(_guarded(settings, main)))


def settled() -> None:
    """Leave what was loaded up to now out of every later collection: going through it was a pause of 72 ms in the
    worker.

    And collect seldom: what the stream makes is freed without it, but a batch makes tens of thousands of objects at
    once, and the usual 700 had all of them gone through again and again, a tenth of the worker's processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 10)


async def _guarded(settings: S, main: Main[S]) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    log.info("started")
    try:
        await main(settings, stopping)
    except ConfigurationError as error:
        log.error("stopping: wrong settings", error=str(error))
        return EXIT_CONFIGURATION
    except Unavailable as error:
        log.error("stopping: a part is unavailable", part=error.part, error=str(error))
        return EXIT_UNAVAILABLE
    except Fenced as error:
        log.error("stopping: fenced by a newer owner", error=str(error))
        return EXIT_BUG
    except Exception:
        log.exception("stopping: bug")
        return EXIT_BUG
    log.info("stopped")
    return 0


async def unless_stopped(work: Coroutine[Any, Any, Any], stopping: asyncio.Event) -> bool:
    """Do the work and return True; when a stop is asked first, cancel it and return False."""
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(work), asyncio.create_task(stopping.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    done = tasks[0].done()
    await cancel_all(*tasks)
    if done:
        tasks[0].result()
    return done
