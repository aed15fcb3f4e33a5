"""Epochs of runs, followed on a real broker."""

import asyncio
import secrets
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from runtime.errors import Unavailable
from runtime.run_epochs import Known, RunEpochs
from runtime.tasks import cancel_all
from schemas.messages import encode
from schemas.tasks import RunPosition
from schemas.topics import RUN_POSITIONS
from tests.support.brokers import CONTROL_PARTITIONS, Broker


def ownership(run_id: str) -> bytes:
    now = datetime.now(UTC)
    return encode(
        RunPosition(
            kind="ownership",
            run_id=run_id,
            attempt=1,
            epoch=0,
            owner="o",
            acknowledged=[0],
            rows_per_second=None,
            paused=False,
            written_at=now,
        )
    )


async def test_an_epoch_is_known_as_soon_as_its_ownership_is_written_whatever_transaction_stands_open(
    kafka: Broker,
) -> None:
    run_id = f"run-{secrets.token_hex(4)}"
    epochs = RunEpochs(kafka.kwargs, partitions=CONTROL_PARTITIONS)
    following = asyncio.create_task(epochs.run())
    stranger = AIOKafkaProducer(**kafka.kwargs, transactional_id=f"open-{run_id}")
    await stranger.start()
    try:
        assert not await epochs.admits(run_id, 1, 0)
        await stranger.begin_transaction()
        await stranger.send_and_wait(RUN_POSITIONS.name, ownership("another"), key=run_id.encode())
        async with AIOKafkaProducer(**kafka.kwargs) as producer:
            written = await producer.send_and_wait(RUN_POSITIONS.name, ownership(run_id), key=run_id.encode())
        assert await epochs.admits(run_id, 1, written.offset)
        assert epochs.known(run_id) == Known(1, written.offset)
        assert not await epochs.admits(run_id, 1, written.offset + 1)
        assert not await epochs.admits(run_id, 2, written.offset)
        await stranger.abort_transaction()
        assert not await epochs.admits(run_id, 2**62, 2**62)
    finally:
        await cancel_all(following)
        await stranger.stop()


async def test_catching_up_without_a_broker_is_bounded() -> None:
    epochs = RunEpochs({"bootstrap_servers": "127.0.0.1:9"}, partitions=CONTROL_PARTITIONS, timeout_seconds=0.3)
    following = asyncio.create_task(epochs.run())
    try:
        with pytest.raises(Unavailable):
            await epochs.admits("r", 1, 0)
    finally:
        await cancel_all(following)
