"""`python -m trainer`: feature selections and trainings, as the gateway orders them."""

import asyncio

from runtime.control import Owner
from runtime.health import health_server
from runtime.process import run
from schemas.topics import TRAINING_COMMANDS
from trainer.settings import TrainerSettings
from trainer.worker import Worker

GROUP = "trainer"


async def main(settings: TrainerSettings, stopping: asyncio.Event) -> None:
    """Work until asked to stop."""
    owner = Owner(
        settings.kafka(), group=GROUP, topic=TRAINING_COMMANDS, handler=Worker(settings), session_timeout_ms=settings.session_timeout_ms
    )
    async with health_server(settings.health_host, settings.health_port, live=dict, ready=owner.problems):
        await owner.run(stopping)


if __name__ == "__main__":
    run("trainer", TrainerSettings, main)
