"""The edge to Redis: guarded application of operations, positions, and the two failures that reads can meet.

Knows nothing of Kafka. Every call is bounded in time.
"""


class RedisUnavailable(Exception):
    """Redis does not answer."""


class ViewRebuilding(Exception):
    """Redis answers, but what it holds is not whole yet: nothing may be shown."""

    def __init__(self) -> None:
        super().__init__("view is being rebuilt")
