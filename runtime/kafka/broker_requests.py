"""Questions to a broker that aiokafka 0.14 cannot ask: the members of groups (its newest form cannot be read), sizes on
disk, and who writes to a partition in a transaction (KIP-664). Sent by `aiokafka_patches.ask`."""

from aiokafka.protocol.admin import DescribeGroupsRequest_v2
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

DESCRIBE_GROUPS, DESCRIBE_LOG_DIRS, DESCRIBE_PRODUCERS = 15, 35, 61


class DescribeGroups(Request[DescribeGroupsRequest_v2]):  # type: ignore[misc]
    """State and members of consumer groups; ask their coordinator."""

    API_KEY = DESCRIBE_GROUPS

    def __init__(self, groups: list[str]) -> None:
        self._groups = groups

    def build(self, request_struct_class: type[DescribeGroupsRequest_v2]) -> DescribeGroupsRequest_v2:
        return request_struct_class(self._groups)


class LogDirs(Response):  # type: ignore[misc]
    """Bytes of each partition in each folder of a broker."""

    API_KEY = DESCRIBE_LOG_DIRS
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("name", String("utf-8")),
                        (
                            "partitions",
                            Array(("partition", Int32), ("size", Int64), ("offset_lag", Int64), ("is_future", Boolean)),
                        ),
                    ),
                ),
            ),
        ),
    )


class DescribeLogDirs_v1(RequestStruct):  # type: ignore[misc]
    """No topics: all of them."""

    API_KEY = DESCRIBE_LOG_DIRS
    API_VERSION = 1
    RESPONSE_TYPE = LogDirs
    SCHEMA = Schema(("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))))


class DescribeLogDirs(Request[DescribeLogDirs_v1]):  # type: ignore[misc]
    """Sizes of all partitions of the broker that is asked."""

    API_KEY = DESCRIBE_LOG_DIRS

    def build(self, request_struct_class: type[DescribeLogDirs_v1]) -> DescribeLogDirs_v1:
        return request_struct_class(None)


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
