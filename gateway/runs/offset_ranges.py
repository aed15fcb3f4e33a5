"""Where the rows of a run stand on their topic: offsets by lane and time, and whether retention took some. Reads
without a group."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndTimestamp

from runtime.errors import Unavailable
from runtime.kafka.clients import open_reader
from runtime.kafka.errors import answered
from runtime.kafka.reading import partition_for, partitions_of
from schemas.messages import PackedHead
from schemas.topics import CONTENT_TYPE_HEADER, PACKED, REDRIVE_HEADER, ROWS

PartitionOf = Callable[[bytes], int]
"""Where the default partitioner puts a key of `rows.v1`."""
LOOK_SECONDS = 5.0
"""How long the first row of a run is looked for; after that it is left to the producer, which reads them all."""


class _Sent(msgspec.Struct):
    """What says where in its lane a row or a marker stands."""

    row_index: int | None = None
    from_index: int | None = None
    end_index: int | None = None


_sent = msgspec.json.Decoder(_Sent).decode
_packed = msgspec.msgpack.Decoder(PackedHead).decode


@dataclass(frozen=True, slots=True)
class OffsetExtent:
    """Offsets of one partition: the first that is left, the end of what is committed, and where the wanted time is."""

    first: int
    end: int
    at_time: int


class OffsetRanges:
    """Asks the broker; safe to share between requests. Raises `Unavailable`."""

    def __init__(self, kafka: dict[str, object], *, timeout_seconds: float) -> None:
        self._kafka, self._timeout_seconds = kafka, timeout_seconds

    async def extents(
        self, choose: Callable[[PartitionOf], Collection[TopicPartition]], since: datetime
    ) -> dict[TopicPartition, OffsetExtent]:
        """The extents of the partitions that are chosen with the partitioner; `at_time`: the first record at or after
        `since`."""
        asking = answered("asking for offsets", self._timeout_seconds)
        async with asking, open_reader(self._kafka, fetch_max_wait_ms=50) as consumer:
            count = len(await partitions_of(consumer, ROWS.name))
            wanted = list(choose(lambda key: partition_for(key, count)))
            moment = int(since.timestamp() * 1000)
            first, ends, times = (
                await consumer.beginning_offsets(wanted),
                await consumer.end_offsets(wanted),
                await consumer.offsets_for_times(dict.fromkeys(wanted, moment)),
            )
        return {tp: OffsetExtent(first[tp], ends[tp], _at(times.get(tp), ends[tp])) for tp in wanted}

    async def first_rows(
        self, keys: Mapping[bytes, int], partition: int, extent: OffsetExtent
    ) -> dict[int, tuple[int, int]] | None:
        """Of each lane the first record that is left in the partition, as (row index, offset); null when there was no
        time to find them.

        `keys`: record key → lane. A marker counts as the row that it stands before.
        """
        found: dict[int, tuple[int, int]] = {}
        tp = TopicPartition(ROWS.name, partition)
        try:
            async with asyncio.timeout(LOOK_SECONDS), open_reader(self._kafka, fetch_max_wait_ms=50) as consumer:
                consumer.assign([tp])
                consumer.seek(tp, extent.first)
                while len(found) < len(keys) and await consumer.position(tp) < extent.end:
                    for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, []):
                        lane = keys.get(record.key or b"")
                        if lane is not None and lane not in found and (row_index := _row_index(record)) is not None:
                            found[lane] = (row_index, record.offset)
        except TimeoutError:
            return None
        except (KafkaError, OSError) as error:
            raise Unavailable("kafka", repr(error)) from error
        return found


def _at(found: OffsetAndTimestamp | None, end: int) -> int:
    return end if found is None else found.offset


def _row_index(record: ConsumerRecord) -> int | None:
    headers = dict(record.headers)
    if REDRIVE_HEADER in headers or record.value is None:
        return None
    try:
        if headers.get(CONTENT_TYPE_HEADER) == PACKED:
            index: int | None = _packed(record.value).row_index
            return index
        sent = _sent(record.value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return next((one for one in (sent.row_index, sent.from_index, sent.end_index) if one is not None), None)
