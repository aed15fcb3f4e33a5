"""Two questions to a broker that aiokafka 0.14 cannot ask: the members of groups (its newest form cannot be read), and
sizes on disk."""

from aiokafka.protocol.admin import DescribeGroupsRequest_v2
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

DESCRIBE_GROUPS, DESCRIBE_LOG_DIRS = 15, 35


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
