"""Whether the statistics bear an order to fail out: the lane that met too many dead letters says so itself, in the
changelog.

Lane and order are written in one transaction, so an order that is read has its lane near the end of the changelog. Who
sends orders of his own can be told by it.
"""

import asyncio

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from producer.errors import IllegalMove
from runtime.errors import Unavailable
from runtime.kafka.clients import open_reader
from runtime.kafka.reading import partition_for, partitions_of, read_to_end
from schemas.decoding import Unreadable, reader
from schemas.ids import row_key, stats_key
from schemas.messages import LaneStats
from schemas.topics import STATS_CHANGELOG

TAIL_RECORDS = 20_000
"""How far back each partition is read the first time; an order that waited longer is not needed: its lane takes no more
rows anyway."""
TIMEOUT_SECONDS = 20.0
_stats = reader(LaneStats)


class Failures:
    """Looks for lanes that failed. What was looked through once for an attempt is not read again."""

    def __init__(self, kafka: dict[str, object]) -> None:
        self._kafka = kafka
        self._from: dict[tuple[str, int], dict[int, int]] = {}

    async def message(self, run_id: str, attempt: int, lanes: int) -> str | None:
        """Why the attempt failed, in the words of its statistics; null when they do not say so.

        Raises `IllegalMove` when they cannot be read in time (the lane is closed all the same), `Unavailable`.
        """
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._message(run_id, attempt, lanes)
        except TimeoutError as error:
            raise IllegalMove(f"the statistics of {run_id} cannot be read to their end") from error
        except (KafkaError, OSError) as error:
            raise Unavailable("kafka", f"the statistics of {run_id} cannot be read: {error!r}") from error

    async def _message(self, run_id: str, attempt: int, lanes: int) -> str | None:
        async with open_reader(self._kafka) as consumer:
            count = len(await partitions_of(consumer, STATS_CHANGELOG.name))
            homes = {partition_for(row_key(run_id, lane, lanes), count) for lane in range(lanes)}
            ends = await consumer.end_offsets([TopicPartition(STATS_CHANGELOG.name, home) for home in homes])
        starts = self._from.get((run_id, attempt)) or {
            tp.partition: max(end - TAIL_RECORDS, 0) for tp, end in ends.items()
        }
        wanted = {stats_key(run_id, attempt, lane) for lane in range(lanes)}
        found: dict[bytes, LaneStats] = {}
        records = read_to_end(
            self._kafka, STATS_CHANGELOG.name, homes, from_offsets=starts, wait_for_open_transactions=True
        )
        async for record in records:
            if (
                record.key in wanted
                and not isinstance(stats := _stats(record.value), Unreadable)
                and stats.partition == record.partition
            ):
                found[record.key] = stats
        for stats in found.values():
            if stats.limit_reached and stats.finished == "FAILED":
                return stats.message
        self._from[run_id, attempt] = {tp.partition: end for tp, end in ends.items()}
        return None
