"""The shared way into `rows.v1`: one idempotent producer for all runs of the process; records go out in batches per
partition.

Order per partition is the order of the calls. A batch that the broker does not take is an end, not a retry: what
follows it in its lane must not count as confirmed, so the failure is kept and every later call raises it. At most two
batches of `BATCH_BYTES` per partition wait in the client, one on its way and one behind it; sending waits for room.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from aiokafka.producer.message_accumulator import BatchBuilder

from producer.metrics import CONFIRM_SECONDS, ROWS_CONFIRMED, ROWS_SENT
from producer.sending.backlog import Backlog
from producer.sending.encoding import Headers, Turn, headers
from producer.sending.positions import Positions, Sent
from runtime.kafka.clients import idempotent_producer
from runtime.kafka.errors import classify
from runtime.kafka.reading import partition_for, wait_for_kafka
from runtime.kafka.transactions import in_time
from runtime.tasks import stop_client
from schemas.ids import row_key
from schemas.topics import ROWS, MessageType

BATCH_BYTES = 1 << 20
Encoding = Literal["auto", "json", "packed"]
ROOM_TIMEOUT_MS = 40_000
"""How long a batch may wait for room in the client, a restart of the broker included."""


class Sender:
    """Opens its connection in `start`."""

    def __init__(
        self, kafka: dict[str, object], *, compression: str = "none", encoding: Encoding = "auto", max_lag_rows: int = 0
    ) -> None:
        self._kafka = kafka
        self.backlog = Backlog(kafka, max_lag_rows)
        self._encoding = encoding
        self._compression = None if compression == "none" else compression
        self._turns: list[asyncio.Lock] = []
        self.failure: Exception | None = None

    async def start(self) -> None:
        """Connect; raises `Unavailable` when the broker does not answer in time."""
        self._turns = [asyncio.Lock() for _ in range(await wait_for_kafka(self._kafka, ROWS.name))]
        self._producer = idempotent_producer(
            self._kafka,
            max_batch_size=BATCH_BYTES,
            max_request_size=4 * BATCH_BYTES,
            request_timeout_ms=ROOM_TIMEOUT_MS,
            compression_type=self._compression,
        )
        await in_time(self._producer.start(), "kafka", "the producer of rows does not start")

    async def close(self) -> None:
        """Send what is buffered and disconnect."""
        await in_time(stop_client(self._producer), "kafka", "the producer of rows does not stop", 10)
        await self.backlog.close()

    def partition_of(self, key: bytes) -> int:
        """Where records with this key go."""
        return partition_for(key, len(self._turns))

    def packs(self, rate: float | None) -> bool:
        """Whether rows at this rate travel packed. By default at full speed: at any other, JSON is fast enough, and
        people can read it."""
        return self._encoding == "packed" or (self._encoding == "auto" and rate is None)

    def batch(self) -> BatchBuilder:
        """A new batch to fill."""
        return self._producer.create_batch()

    async def send(self, batch: BatchBuilder, partition: int) -> "asyncio.Future[object]":
        """Hand a batch over, first come, first served; the future is done when the broker has it. Cancelled: nothing is
        sent."""
        if self.failure is not None:
            raise self.failure
        batch.close()  # or another run's records would be put into it
        try:
            async with self._turns[partition]:
                future: asyncio.Future[object] = await self._producer.send_batch(batch, ROWS.name, partition=partition)
        except Exception as error:
            self.fail(error)
            raise classify(error, f"sending to partition {partition} of {ROWS.name}") from error
        return future

    def fail(self, error: BaseException) -> None:
        """Keep the first failure: nothing more is sent by this process."""
        if self.failure is None and isinstance(error, Exception):
            self.failure = classify(error, f"sending to {ROWS.name}")


class Lanes:
    """One producer's turn at the lanes of an attempt: sends its records, and keeps the positions as the broker confirms
    them."""

    def __init__(self, sender: Sender, identity: Turn, positions: Positions) -> None:
        self.identity, self.positions = identity, positions
        self._sender = sender
        self._keys = [row_key(identity.run_id, lane, identity.lanes) for lane in range(identity.lanes)]
        self._partitions = [sender.partition_of(key) for key in self._keys]
        self._news = asyncio.Event()

    def packs(self, rate: float | None) -> bool:
        """Whether rows at this rate travel packed."""
        return self._sender.packs(rate)

    def waits(self, rate: float | None) -> bool:
        """Whether sending at this rate waits until more rows are scored, and none are."""
        return self._sender.backlog.stuck(paced=rate is not None)

    async def room(self, rate: float | None) -> None:
        """Wait until more rows may be sent at this rate: not without bound more than are scored."""
        await self._sender.backlog.room(paced=rate is not None)

    async def send(
        self, message_type: MessageType, records: Iterable[tuple[int, int, bytes]], *, packed: bool = False
    ) -> None:
        """Send `(lane, end, value)` in order; `end` is the lane's position behind the record. Returns when all is
        handed over.

        Cancelled in between, `positions.next` says what was handed over.
        """
        head = headers(message_type, packed=packed)
        filling: dict[int, _Filling] = {}
        for lane, end, value in records:
            partition = self._partitions[lane]
            batch = filling.get(partition) or filling.setdefault(partition, _Filling(self._sender.batch(), head))
            if not batch.add(self._keys[lane], value, lane, end):
                await self._hand_over(filling.pop(partition), partition)
                filling[partition] = batch = _Filling(self._sender.batch(), head)
                batch.add(self._keys[lane], value, lane, end)
        for partition, batch in filling.items():
            await self._hand_over(batch, partition)

    async def all_confirmed(self) -> None:
        """Wait until the broker has everything. Raises `Unavailable` when it confirms nothing for a while, or why
        sending failed."""
        while not self.positions.all_confirmed:
            if self._sender.failure is not None:
                raise self._sender.failure
            self._news.clear()
            await in_time(self._news.wait(), "kafka", "rows are not confirmed")

    async def _hand_over(self, filling: "_Filling", partition: int) -> None:
        future = await self._sender.send(filling.batch, partition)
        # no await between handing over and taking note: a cancellation cannot come between
        rows = sum((end - self.positions.next[lane]) // self.identity.lanes for lane, end in filling.ends.items())
        sent = [(lane, self.positions.sent(lane, end)) for lane, end in filling.ends.items()]
        started = time.monotonic()
        ROWS_SENT.inc(rows)
        records = filling.batch.record_count()
        future.add_done_callback(lambda done: self._answered(done, sent, rows, records, started))

    def _answered(
        self, done: "asyncio.Future[Any]", sent: Sequence[tuple[int, Sent]], rows: int, records: int, started: float
    ) -> None:
        self._news.set()
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            self._sender.fail(error)
            return
        for lane, rows_sent in sent:
            self.positions.confirm(lane, rows_sent)
        self._sender.backlog.confirmed(done.result().partition, done.result().offset + records, rows)
        ROWS_CONFIRMED.inc(rows)
        CONFIRM_SECONDS.observe(time.monotonic() - started)


class _Filling:
    """A batch being filled, and how far it takes each lane."""

    def __init__(self, batch: BatchBuilder, head: Headers) -> None:
        self.batch, self._head = batch, head
        self.ends: dict[int, int] = {}

    def add(self, key: bytes, value: bytes, lane: int, end: int) -> bool:
        """Whether there was room."""
        if self.batch.append(timestamp=None, key=key, value=value, headers=self._head) is None:
            return False
        self.ends[lane] = end
        return True
