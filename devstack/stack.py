"""The stack as a whole, in the foreground: prepare, supervise, leave the state file behind. `python -m devstack
run`."""

import asyncio
from pathlib import Path

import structlog

from devstack.java import Progress
from devstack.parts import build_parts, check_ports
from devstack.settings import DevstackSettings
from devstack.state import TRY_AGAIN, end_leftovers, only_supervisor, read_state, write_state
from devstack.supervisor import Supervisor
from devstack.topics import create_topics

log = structlog.get_logger()


async def run_stack(settings: DevstackSettings, stopping: asyncio.Event, progress: Progress | None = None) -> None:
    """Run the stack until `stopping`. Raises `DevstackError` when it cannot start."""
    with only_supervisor(settings.folder):
        stack = supervisor(settings, progress)
        asyncio.get_running_loop().add_signal_handler(TRY_AGAIN, stack.try_again)
        await supervise(stack, stopping)


def supervisor(settings: DevstackSettings, progress: Progress | None = None) -> Supervisor:
    """A supervisor of all parts, which writes the state file. Ends leftovers first; raises `PortTaken`,
    `DownloadFailed`, `PartFailed`."""
    for name in end_leftovers(read_state(settings.folder)):
        log.warning("ended what a killed supervisor left behind", part=name)
    check_ports(settings)
    _make_private(settings.folder)

    async def topics() -> None:
        created = await create_topics(
            settings.kafka(),
            data_partitions=settings.data_partitions,
            control_partitions=settings.control_partitions,
            timeout_seconds=settings.start_timeout_seconds,
        )
        log.info("topics are there", created=created)

    return Supervisor(
        settings,
        build_parts(settings, progress),
        prepare=topics,
        written=lambda state: write_state(settings.folder, state),
    )


async def supervise(stack: Supervisor, stopping: asyncio.Event) -> None:
    log.info("starting", parts=list(stack.parts))
    try:
        await stack.run(stopping)
    finally:
        log.info("stopped")


def _make_private(folder: Path) -> None:
    """The folder holds uploads and models: only this user may look into it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
