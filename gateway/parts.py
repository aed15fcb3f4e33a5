"""The gateway's long-lived parts, opened and closed together. None of them needs Kafka or Redis to be up yet."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import State

from gateway.datasets.outbox import Outbox
from gateway.dead_letters.letters import Letters
from gateway.dead_letters.redrive import Redriver
from gateway.notifications import Changes
from gateway.predictions.comparisons import Comparisons
from gateway.predictions.kafka_reader import KafkaReader
from gateway.predictions.pages import PredictionPages
from gateway.projector import Projector
from gateway.runs.events import Feed
from gateway.runs.offset_ranges import OffsetRanges
from gateway.settings import GatewaySettings
from gateway.system.answers import Throughput
from gateway.system.broker_status import Cluster
from gateway.system.quarantine import Poison
from gateway.system.storage_start import settle
from gateway.writer import Commands
from runtime.errors import ConfigurationError
from runtime.tasks import cancel_all
from storage.objects.files import Storage
from storage.objects.presence import Presence
from storage.view.dead_letters import DeadLetters
from storage.view.operations import Limits
from storage.view.redis_store import RedisStore, RedisUnavailable, RedisUnfit, ViewRebuilding
from storage.view.views import Views

LOOK_SECONDS = 4.0
"""Longest look at the broker for the system page."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What routes share. `work` runs until the parts are closed; it ends earlier only by a bug, which it raises."""

    store: RedisStore
    views: Views
    commands: Commands
    outbox: Outbox
    changes: Changes
    pages: PredictionPages
    letters: Letters
    ranges: OffsetRanges
    redriver: Redriver
    poison: Poison
    projector: Projector
    cluster: Cluster
    presence: Presence
    work: "asyncio.Task[None]"

    async def problems(self) -> dict[str, str]:
        """What is wrong with each dependency (`kafka`, `redis`, `view`, `storage`); empty when all is well. Bounded."""
        found = self.presence.problems()
        try:
            await self.views.ready()
        except RedisUnavailable as error:
            found["redis"] = str(error)
        except ViewRebuilding as error:
            found["view"] = str(error)
        if (kafka := await self.commands.problem()) is not None:
            found["kafka"] = kafka
        elif self.projector.problem is not None and not {"redis", "view"} & found.keys():
            found["view"] = f"not kept up: {self.projector.problem}"
        return found

    def install(self, state: State) -> None:
        """Put the parts where `gateway.dependencies` finds them."""
        state.views, state.commands, state.changes, state.pages = self.views, self.commands, self.changes, self.pages
        state.outbox = self.outbox
        state.feed = Feed(self.pages, self.changes)
        state.comparisons = Comparisons(self.pages)
        state.letters, state.ranges = self.letters, self.ranges
        state.redriver, state.poison = self.redriver, self.poison
        state.store, state.cluster, state.throughput = self.store, self.cluster, Throughput()

    def end_streams(self) -> None:
        """Let the event streams finish, so that a stop need not wait for their clients."""
        self.changes.close()


@asynccontextmanager
async def open_parts(settings: GatewaySettings) -> AsyncIterator[Parts]:
    """Start the projector and the listener, open the writer; close all of them at the end."""
    store = RedisStore(
        settings.redis_url,
        limits=Limits(
            predictions=settings.predictions_kept,
            dead_letters=settings.dead_letters_kept,
            runs=settings.runs_kept_whole,
        ),
        kept_seconds=settings.kept_seconds,
        timeout_seconds=min(2.0, settings.dependency_timeout_seconds),
    )
    commands = Commands(settings.kafka(), store, timeout_seconds=settings.dependency_timeout_seconds)
    storage = Storage(settings.storage_url)
    outbox = Outbox(commands, settings.kafka(), store, storage, timeout_seconds=settings.dependency_timeout_seconds)
    views = Views(store, outbox.find)
    changes = Changes(store)
    letters = Letters(DeadLetters(store), settings.kafka())
    ranges = OffsetRanges(settings.kafka(), timeout_seconds=settings.dependency_timeout_seconds)
    redriver = Redriver(settings.kafka(), letters, changes, timeout_seconds=settings.dependency_timeout_seconds)
    poison = Poison(settings.kafka())
    cluster = Cluster(settings.kafka(), timeout_seconds=min(LOOK_SECONDS, settings.dependency_timeout_seconds))
    projector = Projector(
        settings.kafka(),
        store,
        group=settings.projector_group,
        rebuild_records=settings.rebuild_records,
        session_timeout_ms=settings.projector_session_timeout_ms,
        show_waiting=outbox.show_again,
        guard_epochs=True,
    )
    presence = Presence(storage)
    pages = PredictionPages(views, KafkaReader(settings.kafka(), views))
    work = asyncio.create_task(
        _together(projector, outbox, changes, letters, presence, settle(storage, settings.kafka()))
    )
    try:
        yield Parts(
            store,
            views,
            commands,
            outbox,
            changes,
            pages,
            letters,
            ranges,
            redriver,
            poison,
            projector,
            cluster,
            presence,
            work,
        )
    finally:
        changes.close()
        await cancel_all(work)
        await cluster.close()
        await commands.close()
        await redriver.close()
        await poison.close()
        await store.close()


async def _together(
    projector: Projector,
    outbox: Outbox,
    changes: Changes,
    letters: Letters,
    presence: Presence,
    settling: Coroutine[Any, Any, None],
) -> None:
    """Raises `ConfigurationError` when Redis will never do; any other exception is a bug."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(projector.run())
            group.create_task(outbox.run())
            group.create_task(changes.run())
            group.create_task(letters.measure())
            group.create_task(presence.run())
            group.create_task(settling)
    except* RedisUnfit as found:
        unfit = found.exceptions[0]
    else:
        return
    raise ConfigurationError(str(unfit)) from unfit
