"""Failures of Kafka are told apart, and waits have bounds."""

import asyncio

import pytest
from aiokafka.errors import IllegalOperation, InvalidTxnState, KafkaConnectionError, KafkaError, KafkaTimeoutError, ProducerFenced

from runtime.errors import Fenced, Unavailable
from runtime.transactions import expected, in_time


def _caused_by(cause: Exception) -> KafkaError:
    error = KafkaError("Unexpected error during batch delivery")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("error", [ProducerFenced(), InvalidTxnState(), _caused_by(InvalidTxnState())])
def test_a_producer_whose_epoch_is_past_is_fenced(error: Exception) -> None:
    assert isinstance(expected(error), Fenced)


@pytest.mark.parametrize("error", [KafkaTimeoutError(), KafkaConnectionError(), _caused_by(_caused_by(KafkaConnectionError()))])
def test_a_silent_broker_is_unavailable(error: Exception) -> None:
    assert isinstance(expected(error), Unavailable)


@pytest.mark.parametrize("error", [IllegalOperation(), ValueError("a bug"), Fenced("already told")])
def test_anything_else_stays_what_it_is(error: Exception) -> None:
    assert expected(error) is error


async def test_a_wait_beyond_its_bound_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await in_time(asyncio.Event().wait(), "kafka", "it does not answer", 0.01)
