"""`python -m producer`: replay the rows of runs into `rows.v1` until told to stop."""

import asyncio

from producer.handler import Runs
from producer.sending.sender import Sender
from producer.settings import ProducerSettings
from runtime.health import health_server
from runtime.kafka.partition_owner import PartitionOwner
from runtime.process import run, unless_stopped
from runtime.tasks import cancel_all
from schemas.topics import RUN_COMMANDS
from storage.objects.files import Storage
from storage.objects.presence import Presence


async def main(settings: ProducerSettings, stopping: asyncio.Event) -> None:
    """Own run commands, send the rows of their runs, answer health checks."""
    kafka = settings.kafka()
    sender = Sender(
        kafka, compression=settings.compression, encoding=settings.encoding, max_lag_rows=settings.max_lag_rows
    )
    storage = Storage(settings.storage_url)
    presence = Presence(storage)
    runs = Runs(
        kafka,
        storage,
        sender,
        report_interval_seconds=settings.report_interval_seconds,
        lease_seconds=settings.session_timeout_seconds,
        replays_kept=settings.replays_kept,
        control_partitions=settings.control_partitions,
    )
    owner = PartitionOwner(
        kafka,
        group=settings.group,
        topic=RUN_COMMANDS,
        handler=runs,
        session_timeout_ms=int(settings.session_timeout_seconds * 1000),
    )
    watching = asyncio.create_task(presence.run())

    def problems() -> dict[str, str]:
        return owner.problems() | presence.lost()

    async with health_server(settings.health_host, settings.health_port, live=dict, ready=problems):
        if await unless_stopped(sender.start(), stopping):
            await owner.run(stopping)
            await sender.close()  # only now: after a failure, what is still buffered must not be sent
    await cancel_all(watching)


if __name__ == "__main__":
    run("producer", ProducerSettings, main)
