"""One run on this producer: what is known of it, and the sending of its rows and markers. It decides nothing about its
status."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Literal

import msgspec

from producer.errors import RunFailed
from producer.sending.encoding import Turn, run_end, run_skip
from producer.sending.pacing import Pacer, Warmup
from producer.sending.packing import packed_records
from producer.sending.positions import Positions, first_of_lane
from producer.sending.sender import Lanes, Sender
from producer.sources import RowPage, RowSource, SplitRows
from schemas.messages import Ending, Status
from schemas.tasks import SKIPS_MAX, Marks, RunPosition, RunSpec, TaskState
from schemas.topics import MAX_MESSAGE_BYTES

CHUNK_ROWS = 256
"""Rows encoded in one go: about 5 ms of the event loop, and how late a pause can be at full speed."""
PACKED_CHUNK_ROWS = 2048
PAGE_SECONDS, SMALLEST_PAGE, LARGEST_PAGE = 30, 256, 16_384
"""A page holds so many seconds' rows; reading one costs 60 to 90 ms whatever its size."""
TICK_SECONDS = 0.01
LARGEST_VALUE = MAX_MESSAGE_BYTES - 4096
"""What the broker refuses would stop the producer again and again. A row that it takes and scoring does not is
dead-lettered there."""
RATE_WINDOW = 5
OpenRows = Callable[[str, RunSpec], Awaitable[RowSource]]


def utc_now() -> datetime:
    """The time for messages."""
    return datetime.now(UTC)


class SendingRun:
    """A run that is in progress or paused."""

    def __init__(
        self,
        task: TaskState,
        spec: RunSpec,
        positions: Positions,
        *,
        rate: float | None,
        paused: bool,
        stopping: bool,
        marks: Marks | None = None,
    ) -> None:
        self.task, self.spec, self.positions = task, spec, positions
        self.marks = marks
        """What its positions say of markers before they are sent; null in an attempt that began without."""
        self.rate, self.paused, self.stopping = rate, paused, stopping
        self.failure = ""
        """Why a run that is `stopping` ends as FAILED."""
        self.pacer: Pacer | None = None
        """The schedule while rows are being sent; None begins a new one."""
        self.work: asyncio.Task[None] | None = None
        self.ending: Ending | None = None
        """Set once the end markers are being sent: from then on the run cannot be halted."""
        self.ended = False
        self.stepping = False
        """Set while some rows are sent of a paused run: how far it came is written at once at their end, so that they
        are never more."""
        self._storage_is_away = False
        self._warmup = Warmup(_warmup_seconds(task, spec, paused=paused))
        self._lanes: Lanes | None = None
        self._rows: RowSource | None = None
        self._measured: deque[tuple[float, int]] = deque(maxlen=RATE_WINDOW + 1)
        self._reported: tuple[list[int], str, str | None] | None = None

    @property
    def run_id(self) -> str:
        return self.task.task_id

    @property
    def key(self) -> bytes:
        """Key of its records on the control topics."""
        return self.task.task_id.encode()

    @property
    def lanes(self) -> Lanes:
        """The lanes since `take_turn`."""
        assert self._lanes is not None
        return self._lanes

    def take_turn(self, sender: Sender, epoch: int) -> None:
        """Begin to send under a new epoch, at the acknowledged positions."""
        self.task.epoch = epoch
        identity = Turn(self.run_id, self.task.attempt, epoch, self.spec.lanes, self.spec.model_version)
        self.positions = Positions(self.positions.acknowledged)
        self._lanes = Lanes(sender, identity, self.positions)

    @property
    def status(self) -> Status:
        """As long as it has not ended."""
        return "PAUSED" if self.paused else "IN_PROGRESS"

    def resume(self) -> None:
        """No longer paused: the pace begins anew."""
        self.paused, self.pacer = False, None
        self._measured.clear()

    def wait_for_storage(self) -> None:
        """Nothing can be sent for now; afterwards the pace begins anew."""
        self._storage_is_away, self.pacer = True, None

    async def halt(self) -> bool:
        """Stop sending, between two rows; `work` belongs to whoever called. False when the run came to its end
        instead."""
        if self.work is not None:
            if self.ending is None:
                self.work.cancel()
            await asyncio.wait({self.work})
        return not self.ended

    async def send_rows(
        self, open_rows: OpenRows, confirm_ownership: Callable[[], Awaitable[None]], *, only: int | None = None
    ) -> None:
        """Send what is not sent yet, each row when it is due, or `only` so many, at once. Raises `RunFailed`. May be
        cancelled and called again."""
        if self._rows is None:
            self._rows = await open_rows(self.run_id, self.spec)
            self.task.spec = msgspec.to_builtins(self.spec)
        self._storage_is_away = False
        total = self.spec.total_rows
        if total is None or total > self._rows.total:
            raise RunFailed(f"the simulation set has {self._rows.total} rows, not {total}")
        if only is not None:
            total = self.positions.behind(only, total)
        else:
            await self._warm_up()
        encode_row = self._rows.encoder(self.lanes.identity)

        def records(page: RowPage, start: int, end: int) -> Iterator[tuple[int, int, bytes]]:
            rows = page.rows(start, end)
            for row_index, lane in self.positions.unsent(start, end):
                value = encode_row(row_index, rows[row_index - start])
                if len(value) > LARGEST_VALUE:
                    raise RunFailed(
                        f"row {row_index} makes a message of {len(value)} bytes, the topic takes {LARGEST_VALUE}"
                    )
                yield lane, row_index + self.spec.lanes, value

        if only is None:
            self.pacer = pacer = self.pacer or Pacer(self.rate, time.monotonic())
        else:
            pacer = Pacer(None, time.monotonic())
        page_rows = (
            LARGEST_PAGE
            if pacer.rate is None
            else min(LARGEST_PAGE, max(SMALLEST_PAGE, int(pacer.rate * PAGE_SECONDS)))
        )
        if only is not None:
            page_rows = min(page_rows, max(total - min(self.positions.next), 1))
        packs = only is None and isinstance(self._rows, SplitRows) and self.lanes.packs(pacer.rate)
        async with aclosing(self._rows.pages(min(self.positions.next), page_rows)) as pages:
            async for page in pages:
                if page.start >= total:
                    break
                start, last = page.start, min(page.end, total)
                while start < last:
                    due = pacer.due(time.monotonic())
                    if not due:
                        await asyncio.sleep(max(TICK_SECONDS, pacer.seconds_to_next(time.monotonic())))
                        continue
                    if only is None:  # a step is small, and orders wait for it
                        await self.lanes.room(pacer.rate)
                    await confirm_ownership()
                    end = int(min(start + due, start + (PACKED_CHUNK_ROWS if packs else CHUNK_ROWS), last))
                    sending = packed_records(self.lanes, page, start, end) if packs else records(page, start, end)
                    await self.lanes.send("row", sending, packed=packs)
                    pacer.sent(end - start)
                    start = end
                    await asyncio.sleep(0)  # the others' turn

    async def _warm_up(self) -> None:
        """Wait before the first row."""
        self._warmup.begin(time.monotonic())
        try:
            if self.untouched:
                await asyncio.sleep(self._warmup.left(time.monotonic()))
        finally:
            self._warmup.hold(time.monotonic())

    def will_skip(self, row_index: int) -> None:
        """Have the positions say that the rows before `row_index` will be passed over."""
        if self.marks is not None:
            listed = [*self.marks.skips, (min(self.positions.next), row_index)]
            unlisted = max((self.marks.unlisted, *[to for _, to in listed[:-SKIPS_MAX]]))
            self.marks = msgspec.structs.replace(self.marks, skips=listed[-SKIPS_MAX:], unlisted=unlisted)

    def will_end(self, ending: Ending, message: str = "") -> None:
        """Have the positions say how and where the lanes will be closed."""
        if self.marks is not None:
            self.marks = msgspec.structs.replace(
                self.marks, ending=ending, message=message, ends=[*self.positions.next]
            )

    async def skip_to(self, row_index: int) -> None:
        """Pass over the rows before `row_index` that are not sent yet; the positions say so already."""
        identity, following = self.lanes.identity, [*self.positions.next]
        targets = [(lane, at, first_of_lane(row_index, lane, self.spec.lanes)) for lane, at in enumerate(following)]
        await self.lanes.send(
            "run-skip", [(lane, to, run_skip(identity, lane, at, to)) for lane, at, to in targets if to > at]
        )

    async def close_lanes(self, ending: Ending, message: str = "") -> None:
        """Send the end marker of each lane right behind its last row, and wait until the broker has everything.

        The positions say so already.
        """
        identity, ends = self.lanes.identity, [*self.positions.next]
        await self.lanes.send(
            "run-end", [(lane, end, run_end(identity, lane, end, ending, message)) for lane, end in enumerate(ends)]
        )
        await self.lanes.all_confirmed()

    @property
    def untouched(self) -> bool:
        """Whether nothing of this attempt was sent."""
        return self.positions.next == Positions.from_row(0, self.spec.lanes).next

    @property
    def changed(self) -> bool:
        """Whether there is anything to report."""
        return self._reported != self._reporting()

    def position(self, owner: str, kind: Literal["ownership", "position"] = "position") -> RunPosition:
        """The record that another producer would go on from."""
        return RunPosition(
            kind=kind,
            run_id=self.run_id,
            attempt=self.task.attempt,
            epoch=self.task.epoch,
            owner=owner,
            acknowledged=[*self.positions.acknowledged],
            rows_per_second=self.rate,
            paused=self.paused,
            stopping=self.stopping,
            failure=self.failure,
            marks=self.marks,
            written_at=utc_now(),
        )

    def state(self, status: Status) -> TaskState:
        """The task's state as of now; marks the present positions as reported."""
        self._reported = self._reporting()
        self.task = msgspec.structs.replace(self.task, status=status, updated_at=utc_now(), progress=self._progress())
        return self.task

    def _reporting(self) -> tuple[list[int], str, str | None]:
        """What a report is about: there is a new one when it changes."""
        return [*self.positions.acknowledged], self._phase(), self._waiting_for()

    def _waiting_for(self) -> str | None:
        if self._storage_is_away:
            return "storage"
        return "stream_processor" if self._lanes is not None and self._lanes.waits(self.rate) else None

    def _phase(self) -> str:
        if self.spec.total_rows is None:
            return "reading"
        return "warmup" if self.untouched and self._warmup.left(time.monotonic()) else "streaming"

    def _progress(self) -> dict[str, object]:
        sent, total = self.positions.rows_before(self.positions.acknowledged), self.spec.total_rows
        self._measured.append((time.monotonic(), sent))
        (before, first), (now, last) = self._measured[0], self._measured[-1]
        measured = (last - first) / (now - before) if last > first else None
        pace = self.rate or measured
        return {
            "phase": self._phase(),
            "sent": sent,
            "total_rows": total,
            "rows_per_second": None if measured is None else round(measured, 3),
            "pace": self.rate,
            "waiting_for": self._waiting_for(),
            "eta_seconds": None if self.paused or not pace or total is None else round((total - sent) / pace, 1),
        }


def _warmup_seconds(task: TaskState, spec: RunSpec, *, paused: bool) -> float:
    """What is left of the warm-up. A run that was paused in it begins it anew when another producer takes it over;
    attempts have one."""
    if task.attempt > 1 or task.started_at is None:
        return 0.0
    return spec.warmup_seconds - (0.0 if paused else (utc_now() - task.started_at).total_seconds())
