"""`python -m trainer`: feature selections and trainings, as the gateway orders them."""

import asyncio

from runtime.health import health_server
from runtime.kafka.partition_owner import PartitionOwner
from runtime.process import run
from runtime.tasks import cancel_all
from schemas.topics import TRAINING_COMMANDS
from storage.objects.files import Storage
from storage.objects.presence import Presence
from trainer.settings import TrainerSettings
from trainer.worker import TrainingHandler

GROUP = "trainer"


async def main(settings: TrainerSettings, stopping: asyncio.Event) -> None:
    """Work until asked to stop."""
    owner = PartitionOwner(
        settings.kafka(),
        group=GROUP,
        topic=TRAINING_COMMANDS,
        handler=TrainingHandler(settings),
        session_timeout_ms=settings.session_timeout_ms,
    )
    presence = Presence(Storage(settings.storage_url))
    watching = asyncio.create_task(presence.run())

    def problems() -> dict[str, str]:
        return owner.problems() | presence.lost()

    async with health_server(settings.health_host, settings.health_port, live=dict, ready=problems):
        await owner.run(stopping)
    await cancel_all(watching)


if __name__ == "__main__":
    run("trainer", TrainerSettings, main)
