"""Predictions that Redis does not hold any more, read from Kafka: in row order over all lanes, each row once.

Belongs to no consumer group and reads only what is committed. The offsets that the view remembers say where to begin, and those that were
met when reading before; without them, the time of the run's first prediction does.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from gateway import late, metrics
from gateway.errors import Gone
from gateway.landmarks import Landmark, Landmarks
from runtime.errors import Unavailable
from runtime.kafka import open_reader
from schemas.messages import LaneStats
from schemas.topics import PREDICTIONS
from storage.answers import Late, last_in_order
from storage.run_view import RunView
from storage.views import Views

READERS = 8
"""Pages that are read at once; others wait."""
CLOCK_MARGIN_MS = 60_000
"""How far the clocks of broker, processor and gateway may be apart."""


class _Where(msgspec.Struct):
    run_id: str
    attempt: int
    lane: int
    row_index: int
    redriven: bool = False


_where = msgspec.json.Decoder(_Where).decode


@dataclass(slots=True)
class _Lane:
    """What was read of one lane. `reached`: a row at or behind `after` was met, so none between was lost to retention."""

    number: int
    step: int | None
    partition: TopicPartition
    rows: dict[int, bytes] = field(default_factory=dict)
    reached: bool = False
    done: bool = False

    def take(self, row_index: int, value: bytes, after: int, until: int, limit: int) -> None:
        """Keep a row that is asked for."""
        self.reached |= row_index <= after
        if after < row_index <= until and len(self.rows) < limit:
            self.rows.setdefault(row_index, value)
        self.done |= row_index >= until or len(self.rows) >= limit

    def lost_before(self, after: int) -> int | None:
        """The first row index that is left when rows may be missing before it; `-1`: none is left."""
        first = min(self.rows, default=-1)
        expected = None if self.step is None else after + 1 + (self.number - after - 1) % self.step
        return None if self.reached or first == expected else first


class History:
    """Reader of old predictions; safe to share between requests."""

    def __init__(self, kafka: dict[str, object], views: Views, *, timeout_seconds: float = 15.0) -> None:
        self._kafka = kafka
        self._views = views
        self._timeout_seconds = timeout_seconds
        self._free = asyncio.Semaphore(READERS)
        self._landmarks = Landmarks()

    async def page(self, run: RunView, after: int, until: int, limit: int) -> list[tuple[int, bytes]]:
        """Return the first `limit` rows with `after < row_index <= until` as (row index, record value).

        `until` must be committed already. Raises `Gone`, `Unavailable`.
        """
        offsets = await self._views.offsets(run.run_id, run.attempt)
        async with self._reading() as consumer:
            return await _read(consumer, run, offsets, self._landmarks, after, until, limit)

    async def redriven(self, run: RunView, rows: Mapping[int, Late]) -> dict[int, bytes]:
        """Return the predictions of redriven rows, which stand behind others: the time of each says where. Raises `Gone`, `Unavailable`."""
        async with self._reading() as consumer:
            found = await late.read(consumer, run, rows)
        if missing := rows.keys() - found.keys():
            raise Gone(max(missing) + 1)
        return found

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer, for a bounded time."""
        try:
            async with asyncio.timeout(self._timeout_seconds), self._free:
                with metrics.HISTORY_SECONDS.time():
                    async with open_reader(self._kafka, fetch_max_wait_ms=50) as consumer:
                        yield consumer
        except TimeoutError as error:
            raise Unavailable("kafka", f"predictions were not read within {self._timeout_seconds:.0f} s") from error
        except (KafkaError, OSError) as error:
            raise Unavailable("kafka", repr(error)) from error


async def _read(
    consumer: AIOKafkaConsumer, run: RunView, offsets: Iterable[Landmark], landmarks: Landmarks, after: int, until: int, limit: int
) -> list[tuple[int, bytes]]:
    step = run.spec.lanes if run.spec else None
    lanes = {
        lane.lane: _Lane(lane.lane, step, TopicPartition(PREDICTIONS.name, lane.partition))
        for lane in run.lanes
        if last_in_order(lane) >= 0
    }
    if not lanes:
        return []
    partitions = sorted({lane.partition for lane in lanes.values()})
    consumer.assign(partitions)
    first, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    learnt = landmarks.of(run.run_id, run.attempt, {tp.partition: end for tp, end in ends.items()})
    starts = await _starts(consumer, run.lanes, lanes, sorted([*offsets, *learnt]), after)
    for tp in partitions:
        consumer.seek(tp, max(starts[tp], first[tp]))
    await _collect(consumer, run, lanes, landmarks, ends, after, until, limit)
    cut = {tp for tp in partitions if first[tp] > 0 and starts[tp] <= first[tp]}
    lost = [gone for lane in lanes.values() if lane.partition in cut and (gone := lane.lost_before(after)) is not None]
    if lost:
        raise Gone(until + 1 if -1 in lost else max(lost))
    return sorted((row for lane in lanes.values() for row in lane.rows.items()), key=lambda row: row[0])[:limit]


async def _starts(
    consumer: AIOKafkaConsumer,
    stats: Iterable[LaneStats],
    lanes: Mapping[int, _Lane],
    offsets: Iterable[Landmark],
    after: int,
) -> dict[TopicPartition, int]:
    """Where to begin in each partition, so that no lane's row behind `after` is passed over."""
    known: dict[int, int] = {}
    for number, row_index, _, offset in offsets:  # ascending in each lane
        if row_index <= after + 1:
            known[number] = offset
    times = {
        lanes[lane.lane].partition: int(lane.first_scored_at.timestamp() * 1000) - CLOCK_MARGIN_MS
        for lane in sorted(stats, key=lambda lane: lane.first_scored_at.timestamp() if lane.first_scored_at else 0, reverse=True)
        if lane.lane in lanes and lane.lane not in known and lane.first_scored_at
    }
    found = await consumer.offsets_for_times(times) if times else {}
    starts = {tp: place.offset if place else 0 for tp, place in found.items()}
    for number, offset in known.items():
        tp = lanes[number].partition if number in lanes else None
        if tp is not None:
            starts[tp] = min(starts.get(tp, offset), offset)
    return {lane.partition: starts.get(lane.partition, 0) for lane in lanes.values()}


async def _collect(
    consumer: AIOKafkaConsumer,
    run: RunView,
    lanes: Mapping[int, _Lane],
    landmarks: Landmarks,
    ends: Mapping[TopicPartition, int],
    after: int,
    until: int,
    limit: int,
) -> None:
    """Read until each lane has enough or its partition is at the end as it was at the start."""
    while True:
        for lane in lanes.values():
            lane.done = lane.done or await consumer.position(lane.partition) >= ends[lane.partition]
        wanted = {lane.partition for lane in lanes.values() if not lane.done}
        if not wanted:
            return
        consumer.pause(*({lane.partition for lane in lanes.values()} - wanted))
        for records in (await consumer.getmany(*wanted, timeout_ms=500)).values():
            for record in records:
                _take(record, run, lanes, landmarks, after, until, limit)


def _take(
    record: ConsumerRecord, run: RunView, lanes: Mapping[int, _Lane], landmarks: Landmarks, after: int, until: int, limit: int
) -> None:
    if record.value is None:
        return
    try:
        where = _where(record.value)
    except msgspec.MsgspecError:
        return  # the projector reports it
    if where.redriven:  # stands apart from its neighbours: `History.redriven`
        return
    if where.run_id == run.run_id and where.attempt == run.attempt and where.lane in lanes:
        landmarks.note(run.run_id, run.attempt, (where.lane, where.row_index, record.partition, record.offset))
        lanes[where.lane].take(where.row_index, record.value, after, until, limit)
