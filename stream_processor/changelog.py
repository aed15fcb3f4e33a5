"""What of the changelog is believed at recovery. Pure; never raises on any bytes.

A record that cannot be the processor's own (another partition's, unreadable, a tombstone, for there are none) must
neither count nor stop a worker again and again: it is set aside, and the value before it holds.
"""

import msgspec

from rows.rejected import UNREADABLE
from schemas.ids import POSITION_PREFIX, position_key, stats_key
from schemas.messages import LaneStats
from schemas.topics import INLETS

MARKS = frozenset({b"__owner__", b"__end__"})
MOST_DIGITS = 19
_lane_stats = msgspec.json.Decoder(LaneStats).decode


def problem(partition: int, key: bytes | None, value: bytes | None) -> str | None:
    """Why a record of the changelog is none of the processor's; null when it is one."""
    if key is None or value is None:
        return "it has no key or no value"
    if key in MARKS:
        return None
    if key.startswith(POSITION_PREFIX):
        right = (
            key in {position_key(partition, topic.name) for topic in INLETS}
            and value.isdigit()
            and len(value) <= MOST_DIGITS
        )
        return None if right else "it is no position in this partition"
    try:
        lane = _lane_stats(value)
    except UNREADABLE as error:
        return f"it is no lane's statistics: {str(error)[:200]}"
    if key != stats_key(lane.run_id, lane.attempt, lane.lane):
        return "its key is another lane's"
    return None if lane.partition == partition else f"it is about a lane of partition {lane.partition}"
