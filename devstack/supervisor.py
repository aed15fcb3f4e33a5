"""Keep the parts of the stack running: start them, start them again when they end, set aside what does not last, stop
them in order.

Everything is started at once (each process waits for the brokers by itself). A part that ends is started again after a
growing pause. One that ends again and again is set aside, and at once when its settings are wrong (78): the others go
on, the state says which part and why, and it is tried again after a long pause or when asked (`make up`). Only a server
that never comes up at the start ends the whole stack: there is nothing to go on with. Stop order: processes, Redis,
Kafka."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from devstack.child import Child, tail
from devstack.errors import PartFailed
from devstack.parts import Part
from devstack.settings import DevstackSettings
from devstack.state import STOP_LAST, PartState, PartStatus, Phase, StackState, start_time
from runtime.errors import EXIT_BUG, EXIT_CONFIGURATION, EXIT_UNAVAILABLE
from schemas.shown import without_secrets

POLL_SECONDS = 0.1
LIVE_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 10.0
SERVER_STOP_SECONDS = 8.0
ROTATE_SECONDS = 10.0
KEPT_BYTES = 64 << 10
"""Of a log that cannot be rotated because the disk is full."""

log = structlog.get_logger()


class Supervised:
    """One part and its ups and downs. `keep` runs until it is cancelled; a `needed` part that never comes up raises
    `PartFailed`."""

    def __init__(self, part: Part, settings: DevstackSettings, changed: Callable[[], None]) -> None:
        self.part = part
        self.status = PartStatus(part.name, part.url, str(part.log))
        self.child = Child(part.name, part.command, part.log, environment=part.environment)
        self._settings = settings
        self._changed = changed
        self._wanted = asyncio.Event()
        self._wanted.set()
        self.was_ready = asyncio.Event()
        self.needed = part.name in STOP_LAST
        """Whether the stack is nothing without it, yet."""
        self._again = asyncio.Event()
        self._asked = False
        self._ready_at: float | None = None
        self._in_a_row = 0

    async def keep(self) -> None:
        """Run it, again and again."""
        while True:
            await self._wanted.wait()
            self._asked = False
            self.child.launch()
            self.status.pid, self.status.started_at = self.child.pid, start_time(self.child.pid)
            self._ready_at = None
            self._set("starting")
            with contextlib.suppress(PartFailed):  # it ended, or was ended for not being well: the exit code tells
                await self._attend()
            self.status.pid = None
            if not self._asked:  # whatever the exit code: somebody else may have told it to stop
                await self._pause()

    async def stop(self, timeout_seconds: float) -> None:
        """SIGTERM, SIGKILL after the bound; it is not started again until `start`."""
        self._asked = True
        self._wanted.clear()
        await asyncio.to_thread(self.child.stop, timeout_seconds=timeout_seconds)
        self._set("stopped")

    def start(self) -> None:
        """Run it again after `stop`."""
        self._wanted.set()

    def try_again(self) -> None:
        """Start it now, if it is set aside."""
        self._again.set()

    async def _attend(self) -> None:
        """Watch until it ends; end it when it is not ready in time, or no longer alive."""
        launched = asked = well_at = time.monotonic()
        while self.child.running:
            now = time.monotonic()
            if self._ready_at is None:
                if await self.part.ready():
                    self._ready_at = well_at = time.monotonic()
                    self.status.ready_after_seconds = round(self._ready_at - launched, 2)
                    self._set("ready")
                    self.was_ready.set()
                elif now - launched > self._settings.start_timeout_seconds:
                    self._end(f"not ready after {self._settings.start_timeout_seconds:.0f} s")
            elif self.part.live is not None and now - asked > LIVE_SECONDS:
                asked = now
                if await self.part.live():
                    well_at = time.monotonic()
                elif now - well_at > self._settings.live_timeout_seconds:
                    self._end(f"not alive for {self._settings.live_timeout_seconds:.0f} s")
            await asyncio.sleep(POLL_SECONDS)

    def _end(self, reason: str) -> None:
        log.error("ending a part that is not well", part=self.part.name, reason=reason)
        self.child.kill()

    async def _pause(self) -> None:
        """Wait before the next start, for long when there have been too many. Raises `PartFailed` when nothing can
        begin without it."""
        code, stable = self.child.exit_code, self._settings.stable_seconds
        self._in_a_row = (
            0 if self._ready_at is not None and time.monotonic() - self._ready_at > stable else self._in_a_row
        )
        self._in_a_row += 1
        self.status.restarts += 1
        self.status.note = f"ended with {meaning(code)}"
        log.error("a part ended", part=self.part.name, exit_code=code, in_a_row=self._in_a_row)
        if code == EXIT_CONFIGURATION or self._in_a_row > self._settings.max_restarts:
            times = (
                "its settings are wrong"
                if code == EXIT_CONFIGURATION
                else f"given up after {self._settings.max_restarts} restarts"
            )
            if self.needed and not self.was_ready.is_set():
                self._set("failed")
                raise PartFailed(f"{self.part.name} ended with {meaning(code)}; {times}\n{tail(self.part.log)}")
            await self._set_aside(f"ended with {meaning(code)}; {times}")
            return
        self._set("restarting")
        await asyncio.sleep(min(LONGEST_BACKOFF_SECONDS, self._settings.backoff_seconds * 2 ** (self._in_a_row - 1)))

    async def _set_aside(self, why: str) -> None:
        seconds = self._settings.set_aside_seconds
        self.status.note = (
            f"{why}; tried again at {datetime.now(UTC).astimezone() + timedelta(seconds=seconds):%H:%M:%S}, or by"
            " `make up`"
        )
        log.error("a part is set aside, the others go on", part=self.part.name, why=why, again_in_seconds=seconds)
        self._again.clear()
        self._set("set aside")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._again.wait()
        self._in_a_row = 0

    def _set(self, state: PartState) -> None:
        if self.status.state != state:
            self.status.state = state
            self._changed()


class Supervisor:
    """All parts together. `written` gets the state at every change; `prepare` runs once the servers are ready (it makes
    the topics)."""

    def __init__(
        self,
        settings: DevstackSettings,
        parts: Sequence[Part],
        *,
        prepare: Callable[[], Coroutine[None, None, object]],
        written: Callable[[StackState], None],
    ) -> None:
        self._settings = settings
        self._written = written
        self._prepare = prepare
        self._prepared = False
        self._began = time.monotonic()
        self.parts = {part.name: Supervised(part, settings, self._changed) for part in parts}
        self.state = StackState(
            phase="starting",
            supervisor_pid=os.getpid(),
            gateway_url=settings.gateway_url,
            bootstrap=settings.bootstrap,
            redis_url=without_secrets(settings.redis),
            storage_url=without_secrets(settings.storage),
            logs=str(settings.logs),
            parts=[supervised.status for supervised in self.parts.values()],
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Start everything, keep it running until `stopping`, stop everything. Raises what made it give up."""
        asked = asyncio.create_task(stopping.wait())
        tasks: set[asyncio.Task[object]] = {
            asyncio.create_task(supervised.keep()) for supervised in self.parts.values()
        }
        tasks |= {asyncio.create_task(self._make_ready()), asyncio.create_task(self._rotate_logs())}
        try:
            while not asked.done():
                done, _ = await asyncio.wait({asked, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                tasks -= done
                for task in done:
                    task.result()
        except Exception as error:
            self.state.failure = without_secrets(str(error))
            raise
        finally:
            self._enter("stopping")
            for task in (asked, *tasks):
                task.cancel()
            await asyncio.gather(asked, *tasks, return_exceptions=True)
            await self._stop()
            self._enter("failed" if self.state.failure else "stopped")

    def try_again(self) -> None:
        """Start every part that is set aside."""
        for supervised in self.parts.values():
            supervised.try_again()

    async def _make_ready(self) -> None:
        for name in STOP_LAST:
            if name in self.parts:
                await self.parts[name].was_ready.wait()
        await self._prepare()
        self._prepared = True
        self._changed()

    async def _stop(self) -> None:
        servers = [self.parts[name] for name in STOP_LAST if name in self.parts]
        processes = [supervised for supervised in self.parts.values() if supervised not in servers]
        bound = max(1.0, self._settings.stop_timeout_seconds - SERVER_STOP_SECONDS)
        await asyncio.gather(*(process.stop(bound) for process in processes))
        for server in servers:
            await server.stop(SERVER_STOP_SECONDS)

    async def _rotate_logs(self) -> None:
        while True:
            for supervised in self.parts.values():
                rotate(supervised.part.log, self._settings.log_bytes)
            await asyncio.sleep(ROTATE_SECONDS)

    def _changed(self) -> None:
        states = {part.state for part in self.state.parts}
        if self.state.phase in ("starting", "ready", "degraded") and self._prepared:
            if "set aside" in states and (self.state.phase != "starting" or states <= {"set aside", "ready"}):
                self.state.phase = "degraded"
            elif states == {"ready"}:
                self.state.ready_after_seconds = self.state.ready_after_seconds or round(
                    time.monotonic() - self._began, 2
                )
                self.state.phase = "ready"
        self._written(self.state)

    def _enter(self, phase: Phase) -> None:
        self.state.phase = phase
        self._written(self.state)


def rotate(path: Path, limit: int) -> None:
    """Keep a grown log as `.1` and begin it anew. The writer goes on: it appends to the same file. Without room for the
    copy the log is begun anew all the same, with its end kept: that makes room."""
    kept = path.with_name(path.name + ".1")
    try:
        if not path.exists() or path.stat().st_size <= limit:
            return
        shutil.copy(path, kept)
        os.truncate(path, 0)
    except OSError as error:
        log.error("a log cannot be rotated", log=str(path), error=str(error))
        with contextlib.suppress(OSError):
            kept.unlink(missing_ok=True)
            end = path.read_bytes()[-KEPT_BYTES:]
            os.truncate(path, 0)
            with path.open("ab") as file:
                file.write(end)


def meaning(exit_code: int | None) -> str:
    """An exit code in words."""
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    words = {
        EXIT_BUG: " (bug, or fenced)",
        EXIT_UNAVAILABLE: " (a part it needs is unavailable)",
        EXIT_CONFIGURATION: " (wrong settings)",
    }
    return f"code {exit_code}{words.get(exit_code or 0, '')}"
