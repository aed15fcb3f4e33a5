"""The one connection of this process to the gateway, and whether it answers: asked every two seconds, seen by all
pages."""

import asyncio
from collections.abc import Sequence

from client import AsyncClient
from client.errors import ClientError
from client.transport import Retries
from schemas.http.shared import Readiness

ASK_SECONDS = 2.0
client = AsyncClient(retries=Retries(attempts=2, first_seconds=0.2, ceiling_seconds=0.5))


class State:
    """What is known of the gateway. `readiness` is null while nothing answers, or before the first question."""

    def __init__(self) -> None:
        self.readiness: Readiness | None = None
        self.asked = False

    @property
    def ready(self) -> bool:
        return self.readiness is not None and self.readiness.status == "ready"

    @property
    def down(self) -> bool:
        """Whether something is known to be wrong."""
        return self.asked and not self.ready

    def parts(self) -> Sequence[tuple[str, str]]:
        """Each part and what it says, `ok` or what is wrong; the gateway first."""
        if self.readiness is None:
            return [("gateway", "no answer")]
        return [("gateway", "ok"), *self.readiness.dependencies.items()]

    async def ask(self) -> None:
        try:
            self.readiness = await client.ready()
        except ClientError:
            self.readiness = None
        self.asked = True


state = State()


async def watch() -> None:
    """Ask for ever."""
    while True:
        await state.ask()
        await asyncio.sleep(ASK_SECONDS)
