"""Several consecutive rows of a lane in one record (ADR 19). Pure."""

from collections.abc import Iterator

from producer.errors import RunFailed
from producer.sending.encoding import row_packer
from producer.sending.positions import first_of_lane
from producer.sending.sender import Lanes
from producer.sources import RowPage
from schemas.topics import MAX_MESSAGE_BYTES, MAX_ROW_BYTES

MOST_ROWS, MOST_BYTES = 128, 128 << 10
"""Of a record: a dead letter, a resend or a replay takes up no more than these at once, and the cost of a record is
spread thin."""
LARGEST_VALUE = MAX_MESSAGE_BYTES - 4096


def packed_records(lanes: Lanes, page: RowPage, start: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield `(lane, end, value)` for the rows in [start, end) that are still to be sent, lane by lane."""
    pack, columns, step = row_packer(lanes.identity), page.columns(start, end), lanes.identity.lanes
    most = max(1, min(MOST_ROWS, MOST_BYTES // (columns.features.itemsize * columns.features.shape[1] + 1)))
    for lane in range(step):
        at, count = max(lanes.positions.next[lane], first_of_lane(start, lane, step)), most
        while at < end:
            stop = min(end, at + count * step)
            value = pack(at, columns.every(at - start, stop - start, step))
            if len(value) > MAX_ROW_BYTES and count > 1:  # ids may have any length
                count = 1
                continue
            if len(value) > LARGEST_VALUE:
                raise RunFailed(f"row {at} makes a message of {len(value)} bytes, the topic takes {LARGEST_VALUE}")
            at = first_of_lane(stop, lane, step)
            yield lane, at, value
