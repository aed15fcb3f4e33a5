"""An owner ends because it was asked to, or says why."""

import asyncio

import pytest

from runtime.errors import Unavailable
from runtime.kafka.partition_owner import PartitionOwner
from schemas.topics import RUN_COMMANDS


class Cancelled(PartitionOwner):
    """Its polling is cancelled by a library, as aiokafka may do when a broker goes."""

    async def _poll(self) -> None:
        raise asyncio.CancelledError


async def test_an_owner_whose_polling_was_cancelled_does_not_end_as_if_it_had_been_asked() -> None:
    owner = Cancelled({"bootstrap_servers": "127.0.0.1:1"}, group="g", topic=RUN_COMMANDS, handler=None)  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="without being asked"):
        await owner.run(asyncio.Event())
