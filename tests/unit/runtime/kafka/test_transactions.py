"""Waits have bounds."""

import asyncio

import pytest

from runtime.errors import Unavailable
from runtime.kafka.transactions import in_time


async def test_a_wait_beyond_its_bound_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await in_time(asyncio.Event().wait(), "kafka", "it does not answer", 0.01)
