"""Logs: structlog, one JSON object a line (or a console form for people). Constant message, facts as fields."""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from schemas.shown import printable, without_secrets

REPEAT_SECONDS = 10.0


class Repeats(logging.Filter):
    """Lets a line of aiokafka pass once in `REPEAT_SECONDS`: while a broker is away it says the same some 30 times a
    second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        line, now = (record.pathname, record.lineno), self._clock()
        if now - self._said.get(line, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._said[line] = now
        return True


def presentable(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide passwords in what is logged, and leave out what a terminal obeys."""
    for name, value in event.items():
        if isinstance(value, str) and not name.startswith("_"):
            event[name] = printable(without_secrets(value))
    return event


def configure(process: str, level: str, style: str) -> None:
    """Set up logging for this process, the libraries' own loggers included. Call once, first."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        presentable,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repeats())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("aiokafka", "faust", "mode", "httpx", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    structlog.contextvars.bind_contextvars(process=process)
