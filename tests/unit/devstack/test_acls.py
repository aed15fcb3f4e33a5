from devstack.acls import GROUPS, OTHERS_GROUPS, TRANSACTIONAL, rights, table
from gateway.datasets.outbox import TRANSACTIONAL_ID
from gateway.projector import GROUP as PROJECTORS
from producer.settings import ProducerSettings
from schemas import topics
from tests.unit.devstack.test_environment import REPOSITORY
from trainer.__main__ import GROUP as TRAINERS


def may(operation: str, topic: topics.Topic) -> set[str]:
    return {
        right.principal
        for right in rights()
        if (right.operation, right.resource, right.name) == (operation, "Topic", topic.name)
    }


def test_rows_are_written_by_our_producer_and_redriving_gateways_only() -> None:
    assert may("Write", topics.ROWS) == {"producer", "gateway"}
    assert may("Write", topics.INGRESS) == {"other-system"}


def test_other_systems_write_rows_and_read_answers_and_nothing_else() -> None:
    theirs = {
        (right.operation, right.name)
        for right in rights()
        if right.principal == "other-system" and right.operation != "Describe"
    }
    assert theirs == {
        ("Write", "ingress.rows.v1"),
        ("Read", "predictions.v1"),
        ("Read", "dead-letters.v1"),
        ("Read", OTHERS_GROUPS),
    }


def test_the_groups_and_transactional_ids_are_those_of_the_processes() -> None:
    assert {
        "gateway": PROJECTORS,
        "producer": ProducerSettings().group,
        "stream_processor": topics.APP_ID,
        "trainer": TRAINERS,
    } == GROUPS
    assert TRANSACTIONAL_ID.startswith(TRANSACTIONAL["gateway"])


def test_the_document_holds_who_writes_and_reads_what() -> None:
    assert table() in (REPOSITORY / "docs" / "dataflow_architecture.md").read_text(), (
        "put the output of devstack.acls.table() there"
    )
