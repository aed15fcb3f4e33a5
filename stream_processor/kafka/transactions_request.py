"""A question to a broker that aiokafka 0.14 cannot ask: who writes to a partition in a transaction (KIP-664)."""

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

DESCRIBE_PRODUCERS = 61


class Producers(Response):  # type: ignore[misc]
    """Those that wrote not long ago; the last offset is where the open transaction begins, -1 without one."""

    API_KEY = DESCRIBE_PRODUCERS
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("error_message", CompactString("utf-8")),
                        (
                            "producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("transaction_start", Int64),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeProducers_v0(RequestStruct):  # type: ignore[misc]
    """Of some partitions, which the asked broker leads."""

    FLEXIBLE_VERSION = True
    API_KEY = DESCRIBE_PRODUCERS
    API_VERSION = 0
    RESPONSE_TYPE = Producers
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("name", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)),
        ),
        ("tags", TaggedFields),
    )


class DescribeProducers(Request[DescribeProducers_v0]):  # type: ignore[misc]
    """The producers of one partition."""

    API_KEY = DESCRIBE_PRODUCERS

    def __init__(self, topic: str, partition: int) -> None:
        self._topic, self._partition = topic, partition

    def build(self, request_struct_class: type[DescribeProducers_v0]) -> DescribeProducers_v0:
        return request_struct_class([(self._topic, [self._partition], {})], {})
