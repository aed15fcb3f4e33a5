"""What is said of a dataset to Kafka, and what of it can be read before Kafka has it."""

from gateway.commands import projected
from gateway.outbox import UNSENT, announcement
from schemas import topics
from storage.operations import DEFAULT, Keep, fold
from tests.view_records import dataset

MANIFEST = dataset("ds-1")


def test_an_announcement_is_the_dataset_its_task_and_the_order_and_always_the_same() -> None:
    records = announcement(MANIFEST)
    assert [(record.topic, record.key) for record in records] == [
        (topics.DATASETS, "ds-1"),
        (topics.TASKS, "task-1"),
        (topics.TRAINING_COMMANDS, "task-1"),
    ]
    assert announcement(MANIFEST.model_copy()) == records


def test_what_kafka_has_takes_the_place_of_what_was_shown_before_in_any_order() -> None:
    records = announcement(MANIFEST)
    shown, touched = projected(records, [UNSENT] * 3)
    sent, _ = projected(records, [(0, 0), (3, 0), (3, 0)])
    assert touched == ["task-1"]
    assert [(type(one), one.offset) for one in shown if isinstance(one, Keep)] == [(Keep, -1), (Keep, -1)]
    assert fold([*shown, *sent], DEFAULT) == fold([*sent, *shown], DEFAULT) == sent
