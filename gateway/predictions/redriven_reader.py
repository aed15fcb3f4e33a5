"""Finds the predictions of redriven rows in Kafka: they stand where they were made, behind rows of higher index.

The statistics of a lane remember the time of each, which leads there; so none can be missed, whatever Redis holds.
"""

from collections.abc import Mapping

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas.decoding import Unreadable, reader
from schemas.topics import PREDICTIONS
from storage.view.answers import Late
from storage.view.run_view import RunView

MARGINS_MS = (50, 60_000)
"""How far before the time of an answer its record may carry its own: the processor's clock gives both, but it may have
been set."""


class _Where(msgspec.Struct):
    run_id: str
    attempt: int
    row_index: int
    redriven: bool = False


_where = reader(_Where)


async def read(consumer: AIOKafkaConsumer, run: RunView, rows: Mapping[int, Late]) -> dict[int, bytes]:
    """Return the predictions of these rows that are still on the topic."""
    found: dict[int, bytes] = {}
    for margin in MARGINS_MS:
        for row_index, place in sorted(
            rows.items(), key=lambda row: row[1]
        ):  # what was redriven together stands together
            if row_index not in found:
                await _read_from(consumer, run, rows, place, margin, row_index, found)
    return found


async def _read_from(
    consumer: AIOKafkaConsumer,
    run: RunView,
    rows: Mapping[int, Late],
    place: Late,
    margin: int,
    wanted: int,
    found: dict[int, bytes],
) -> None:
    """Read from the time of an answer on until it is found or cannot come any more; take along what else is wanted."""
    tp, moment = TopicPartition(PREDICTIONS.name, place.partition), place.answered_at // 1000
    consumer.assign([tp])
    end = (await consumer.end_offsets([tp]))[tp]
    start = (await consumer.offsets_for_times({tp: max(moment - margin, 0)}))[tp]
    if start is None:
        return
    consumer.seek(tp, start.offset)
    while wanted not in found and await consumer.position(tp) < end:
        for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, ()):
            row_index = _row_of(record, run)
            if row_index in rows:
                found[row_index] = record.value
            if record.timestamp > moment + MARGINS_MS[-1]:
                return


def _row_of(record: ConsumerRecord, run: RunView) -> int:
    """The row index of a redriven row of the run, -1 for any other record."""
    where = _where(record.value)
    if isinstance(where, Unreadable):
        return -1
    return where.row_index if where.redriven and (where.run_id, where.attempt) == (run.run_id, run.attempt) else -1
