"""`python -m stream_processor`: score `rows.v1` and `ingress.rows.v1` until told to stop.

Exit codes: 0 asked to stop, 70 bug or fenced, 75 a part is unavailable or a stop or the scoring is stuck, 78 wrong
settings."""

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine
from typing import Any, NoReturn

import structlog

from runtime.errors import EXIT_BUG, EXIT_UNAVAILABLE, ConfigurationError, Unavailable
from runtime.health import health_server
from runtime.kafka.errors import classify
from runtime.kafka.reading import wait_for_kafka
from runtime.process import run, unless_stopped
from runtime.tasks import cancel_all
from schemas.topics import DEAD_LETTERS, INLETS, PREDICTIONS, STATS_CHANGELOG
from stream_processor.progress import Watch
from stream_processor.settings import StreamProcessorSettings
from stream_processor.worker import ScoringWorker

log = structlog.get_logger()


async def main(settings: StreamProcessorSettings, stopping: asyncio.Event) -> None:
    """Score rows until `stopping` is set. A failure ends the process at once: nothing is acknowledged, the next owner
    aborts."""
    if (
        settings.log_level != "DEBUG"
    ):  # a broker that is away is said once a second by `Watch`, by aiokafka a hundred times
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    worker = ScoringWorker(settings)
    watch = Watch(
        worker,
        stall_timeout_seconds=settings.stall_timeout_seconds,
        session_timeout_seconds=settings.session_timeout_seconds,
        unavailable_after_seconds=settings.unavailable_after_seconds,
    )
    async with health_server(
        settings.health_host,
        settings.health_port,
        live=watch.live,
        ready=lambda: watch.ready() | worker.presence.lost(),
    ):
        if not await unless_stopped(check_topics(settings), stopping):
            return
        tasks = [
            asyncio.create_task(guarded(worker, coroutine))
            for coroutine in (
                worker.registry.run(),
                worker.epochs.run(),
                begin(worker),
                watch.run(),
                watch.report_on(),
                worker.warm_up(),
                worker.presence.run(),
                report_crash(worker),
            )
        ]
        asked = asyncio.ensure_future(stopping.wait())
        await asyncio.wait((asked, worker.failure), return_when=asyncio.FIRST_COMPLETED)
        if worker.failure.done():
            die(worker.failure.result())
        stop_watchdog(settings.stop_timeout_seconds)
        await cancel_all(*tasks)
        await worker.stop()


async def check_topics(settings: StreamProcessorSettings) -> None:
    """Wait for the topics; rows, ingress, predictions, dead letters and the changelog must have equal partition
    counts."""
    for topic in (*INLETS, PREDICTIONS, DEAD_LETTERS, STATS_CHANGELOG):
        partitions = await wait_for_kafka(
            settings.kafka(), topic.name, timeout_seconds=settings.unavailable_after_seconds
        )
        if partitions != settings.data_partitions:
            raise ConfigurationError(
                f"{topic.name} has {partitions} partitions, DATA_PARTITIONS is {settings.data_partitions}"
            )


async def begin(worker: ScoringWorker) -> None:
    """Start scoring once it is known which model is the champion, and which runs there are."""
    await asyncio.gather(worker.registry.catch_up(), worker.epochs.catch_up())
    await worker.app.start()  # until the first recovery is done
    worker.started = True


async def report_crash(worker: ScoringWorker) -> None:
    """End the worker when Faust gives up."""
    raise await worker.app.wait_for_crash()


async def guarded(worker: ScoringWorker, coroutine: Coroutine[Any, Any, None]) -> None:
    """Turn any failure of a part into the worker's."""
    try:
        await coroutine
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        worker.fail(classify(error, "running"))


def die(error: BaseException) -> NoReturn:
    """End the process without another word to Kafka: what is open is aborted by the next owner."""
    if isinstance(error, Unavailable):
        log.error("stopping: a part is unavailable", part=error.part, error=str(error))
        os._exit(EXIT_UNAVAILABLE)
    log.error("stopping without acknowledging", error=repr(error), exc_info=error)
    os._exit(EXIT_BUG)


def stop_watchdog(timeout_seconds: float) -> None:
    """End the process when the stop takes longer; Faust waits without bound."""

    def give_up() -> None:
        log.error("stopping took too long", timeout_seconds=timeout_seconds)
        os._exit(EXIT_UNAVAILABLE)

    timer = threading.Timer(timeout_seconds, give_up)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    run("stream_processor", StreamProcessorSettings, main)
