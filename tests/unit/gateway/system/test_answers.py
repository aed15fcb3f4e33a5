"""What is said of the whole system, from what each part says."""

from dataclasses import replace
from datetime import UTC, datetime

from aiokafka import TopicPartition

from gateway.system import answers as system_view
from gateway.system.broker_status import BrokerStatus, Group
from schemas.topics import APP_ID, ROWS, RUN_COMMANDS

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def picture(at: float = 0.0, positions: dict[int, int] | None = None, *groups: Group) -> BrokerStatus:
    rows = [TopicPartition(ROWS.name, number) for number in (0, 1)]
    return BrokerStatus(
        at=at,
        groups=groups,
        first=dict.fromkeys(rows, 10),
        ends=dict.fromkeys(rows, 100),
        positions={TopicPartition(ROWS.name, number): offset for number, offset in (positions or {}).items()},
        configs={ROWS.name: {"cleanup.policy": "delete", "retention.ms": "60000"}},
        sizes={ROWS.name: 4096},
        durations=(),
        brokers=1,
    )


def states(problems: dict[str, str], storage: str, found: BrokerStatus | None) -> dict[str, str]:
    return {part.name: part.state for part in system_view.parts(problems, storage, found)}


def test_a_process_is_up_when_it_is_in_the_group_that_does_its_work() -> None:
    found = states(
        {},
        "",
        picture(
            0, {}, Group("any", "Stable", 2, frozenset({RUN_COMMANDS.name})), Group(APP_ID, "Stable", 1, frozenset())
        ),
    )
    assert (found["producer"], found["stream_processor"], found["trainer"]) == ("up", "up", "down")


def test_without_kafka_nobody_knows_of_the_processes_and_without_redis_there_is_no_view() -> None:
    found = states({"kafka": "away", "redis": "away"}, "disk is gone", None)
    assert found == {
        "gateway": "up", "kafka": "down", "redis": "down", "view": "down", "storage": "down",
        "producer": "unknown", "stream_processor": "unknown", "trainer": "unknown",
    }  # fmt: skip


def test_lag_counts_from_what_is_still_there_and_is_unknown_where_nothing_was_reported() -> None:
    partitions = system_view.lag(picture(0, {0: 5}))
    assert [(one.partition, one.position, one.lag) for one in partitions] == [(0, 5, 90), (1, None, None)]
    assert system_view.total_lag(partitions) is None
    assert system_view.total_lag(system_view.lag(picture(0, {0: 100, 1: 60}))) == 40


def test_a_partition_that_waits_behind_an_open_transaction_is_named() -> None:
    found = replace(
        picture(0, {0: 90, 1: 100}, Group(APP_ID, "Stable", 1, frozenset())),
        stable={TopicPartition(ROWS.name, 0): 90, TopicPartition(ROWS.name, 1): 100},
    )
    part = next(part for part in system_view.parts({}, "", found) if part.name == "stream_processor")
    assert (part.state, part.detail) == (
        "up",
        "partition 0 of rows.v1 waits behind an open transaction of another system",
    )
    working = replace(
        found, positions={TopicPartition(ROWS.name, 0): 80, TopicPartition(ROWS.name, 1): 100}
    )  # there is still something to read
    assert system_view.blocked_partitions(working) == []


def test_topics_have_their_settings_and_sizes() -> None:
    (rows,) = system_view.topics(picture())
    assert (rows.partitions, rows.retention_seconds, rows.offsets, rows.size_bytes) == (2, 60.0, 180, 4096)


def test_latency_is_that_of_the_newest_rows() -> None:
    found = system_view.latency([(NOW, 0.004), (NOW, 0.010), (NOW, 0.006)])
    assert found is not None
    assert (found.rows, found.median_seconds, found.max_seconds) == (3, 0.006, 0.010)
    assert system_view.latency([]) is None


def test_throughput_is_what_was_handled_between_two_looks() -> None:
    throughput = system_view.Throughput()
    assert throughput.add(picture(0.0, {0: 10})) is None
    assert throughput.add(picture(2.0, {0: 30, 1: 500})) == 10.0
    assert throughput.add(picture(60.0, {0: 30, 1: 500})) is None
