"""What a failure of Kafka means. The only place that tells: every process ends in the same way for the same failure.

Four errors say that a newer owner has taken over (`FENCED`); which of them comes is chance: it depends on whether the
stale producer was about to begin, to write, or to commit. What a process did wrong itself (`OURS`) is a bug. All else
means that Kafka does not answer as it should, and may do so later.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from aiokafka.errors import (
    IllegalOperation,
    IllegalStateError,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordTooLargeError,
    UnsupportedCodecError,
)

from runtime.errors import Fenced, Unavailable

FENCED = (ProducerFenced, InvalidProducerEpoch, InvalidTxnState, InvalidProducerIdMapping)
OURS = (IllegalOperation, IllegalStateError, MessageSizeTooLargeError, RecordTooLargeError, UnsupportedCodecError)
AWAY = (KafkaError, ConnectionError, socket.gaierror, TimeoutError)
"""How it shows that Kafka is away. Any other `OSError` is none of Kafka's: a full disk, for one."""


E = TypeVar("E", bound=BaseException)


def classify(error: E, doing: str) -> E | Fenced | Unavailable:
    """Return what a failure means: `Fenced`, `Unavailable`, or the error itself when it is a bug, a cancellation, or
    ours already.

    What aiokafka raises may say nothing ("Unexpected error during batch delivery"): the causes behind it count too.
    """
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    if any(isinstance(cause, FENCED) for cause in causes):
        return Fenced(f"{doing}: {error!r}")
    if any(isinstance(cause, OURS) for cause in causes) or not isinstance(error, AWAY):
        return error
    return Unavailable("kafka", f"{doing}: {causes[-1]!r}")


@asynccontextmanager
async def answered(doing: str, within_seconds: float) -> AsyncIterator[None]:
    """Bound a question to Kafka. Raises `Unavailable` when it is not answered in time, or with an error; `doing` says
    what was asked.

    For questions only: whoever writes as an owner has to know whether it was fenced (`classify`).
    """
    try:
        async with asyncio.timeout(within_seconds):
            yield
    except TimeoutError as error:
        raise Unavailable("kafka", f"{doing}: no answer within {within_seconds:.0f} s") from error
    except (KafkaError, OSError) as error:
        raise Unavailable("kafka", f"{doing}: {str(error) or repr(error)}") from error
