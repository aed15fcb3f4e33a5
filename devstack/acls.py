"""The least rights of each process on the broker, from who writes and who reads which topic. Pure.

Principals are named as the processes are; give each its own, and each other system one. Who reads without a group needs
no right on one."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from schemas import topics as t
from schemas.asyncapi import OTHER_SYSTEM, READERS, WRITERS

PROCESSES: Final = ("gateway", "producer", "stream_processor", "trainer")
GROUPS: Final = {
    "gateway": "gateway-projector",
    "producer": "producer",
    "stream_processor": t.APP_ID,
    "trainer": "trainer",
}
OTHERS_GROUPS: Final = "other-"
"""Groups of other systems begin so."""
TRANSACTIONAL: Final = {
    "gateway": "gateway-",
    "producer": "producer-",
    "stream_processor": f"{t.APP_ID}-",
    "trainer": "trainer-",
}
"""Transactional ids of a process begin so."""
PRINCIPALS: Final = {"stream_processor": "stream-processor", OTHER_SYSTEM: "other-system"}


class Right(NamedTuple):
    """What a principal may do with what; a `prefixed` name stands for all that begin so."""

    principal: str
    operation: str
    resource: str
    name: str
    prefixed: bool = False

    def command(self, bootstrap: str = "$BOOTSTRAP") -> str:
        """The line for Kafka's own tool."""
        kind = {"Topic": "topic", "Group": "group", "TransactionalId": "transactional-id", "Cluster": "cluster"}[
            self.resource
        ]
        where = "--cluster" if kind == "cluster" else f"--{kind} {self.name}"
        pattern = " --resource-pattern-type prefixed" if self.prefixed else ""
        who = f"--add --allow-principal User:{self.principal} --operation {self.operation}"
        return f"kafka-acls.sh --bootstrap-server {bootstrap} {who} {where}{pattern}"


def rights() -> Iterator[Right]:
    """Every right, process by process."""
    for process in (*PROCESSES, OTHER_SYSTEM):
        principal = PRINCIPALS.get(process, process)
        for topic in t.TOPICS:
            for operation, who in (("Write", WRITERS), ("Read", READERS)):
                if process in who[topic]:
                    yield Right(principal, operation, "Topic", topic.name)
            if process in WRITERS[topic] or process in READERS[topic]:
                yield Right(principal, "Describe", "Topic", topic.name)
        if process == OTHER_SYSTEM:
            yield Right(principal, "Read", "Group", OTHERS_GROUPS, prefixed=True)
            continue
        yield Right(principal, "Read", "Group", GROUPS[process])
        for operation in ("Write", "Describe"):
            yield Right(principal, operation, "TransactionalId", TRANSACTIONAL[process], prefixed=True)
        if process == "producer":
            yield Right(principal, "Describe", "Group", t.APP_ID)  # sending waits when scoring lags
        if process == "gateway":
            for operation in ("Describe", "DescribeConfigs"):
                yield Right(principal, operation, "Cluster", "kafka-cluster")  # the system page
            yield from (Right(principal, "DescribeConfigs", "Topic", topic.name) for topic in t.TOPICS)
            yield from (Right(principal, "Describe", "Group", group) for group in GROUPS.values())


def table() -> str:
    """As Markdown: who may write and read each topic."""
    rows = [f"| `{topic.name}` | {', '.join(WRITERS[topic])} | {', '.join(READERS[topic])} |" for topic in t.TOPICS]
    return "\n".join(["| topic | written by | read by |", "|---|---|---|", *rows]) + "\n"
