"""The gateway's long-lived parts, opened and closed together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.commands import Commands
from gateway.settings import GatewaySettings
from storage.views import Views


@dataclass(frozen=True, slots=True)
class Parts:
    """What routes share. `problems()` names the dependencies that do not answer now (`kafka`, `redis`, `view`), for /ready."""

    views: Views
    commands: Commands

    async def problems(self) -> dict[str, str]:
        """What is wrong with each dependency; empty when all is well. Bounded."""
        raise NotImplementedError

    def install(self, state: object) -> None:
        """Put the parts where `gateway.dependencies` finds them."""
        raise NotImplementedError


@asynccontextmanager
async def open_parts(settings: GatewaySettings) -> AsyncIterator[Parts]:
    """Start the projector and open the writer; neither needs Kafka or Redis to be up yet."""
    raise NotImplementedError
    yield
