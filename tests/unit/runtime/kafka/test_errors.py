"""What failures of Kafka mean, told in one place."""

import asyncio
import errno
import inspect
import socket
from typing import Any

import pytest
from aiokafka import errors
from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFenced,
    TopicAuthorizationFailedError,
)

from runtime.errors import Fenced, Unavailable
from runtime.kafka.errors import OURS, answered, classify

FENCINGS = [ProducerFenced, InvalidProducerEpoch, InvalidTxnState, InvalidProducerIdMapping]


def caused_by(cause: Exception) -> KafkaError:
    error = KafkaError("Unexpected error during batch delivery")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("kind", FENCINGS)
def test_a_producer_whose_epoch_is_past_is_fenced_in_whichever_way_it_learns_it(kind: type[Exception]) -> None:
    for error in (kind(), caused_by(kind()), caused_by(caused_by(kind()))):
        meant = classify(error, "committing")
        assert isinstance(meant, Fenced)
        assert "committing" in str(meant)


@pytest.mark.parametrize(
    "error",
    [
        KafkaTimeoutError(),
        KafkaConnectionError(),
        TopicAuthorizationFailedError(),
        caused_by(caused_by(KafkaConnectionError())),
        TimeoutError(),
        ConnectionResetError(),
        socket.gaierror(-3, "no such host"),
    ],
)
def test_a_broker_that_does_not_answer_as_it_should_is_unavailable(error: Exception) -> None:
    assert isinstance(classify(error, "x"), Unavailable)


@pytest.mark.parametrize(
    "error",
    [
        IllegalOperation(),
        MessageSizeTooLargeError(),
        ValueError("a bug"),
        KeyError("x"),
        OSError(errno.ENOSPC, "no room"),
        Fenced("already told"),
        Unavailable("storage", "already told"),
        asyncio.CancelledError(),
    ],
)
def test_anything_else_stays_what_it_is(error: BaseException) -> None:
    assert classify(error, "x") is error


def test_every_error_of_the_library_means_something() -> None:
    kinds: list[Any] = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, KafkaError)]
    assert len(kinds) > 90
    for kind in kinds:
        error = kind()
        wanted = Fenced if isinstance(error, tuple(FENCINGS)) else kind if isinstance(error, OURS) else Unavailable
        assert isinstance(classify(error, "x"), wanted), kind


async def test_a_question_has_a_bound_and_says_what_was_asked() -> None:
    with pytest.raises(Unavailable, match=r"kafka.*reading: no answer within 0 s"):
        async with answered("reading", 0.01):
            await asyncio.Event().wait()
    with pytest.raises(Unavailable, match=r"reading: KafkaConnectionError"):
        async with answered("reading", 5):
            raise KafkaConnectionError
    with pytest.raises(KeyError):
        async with answered("reading", 5):
            raise KeyError("a bug")
