"""What is said of a dataset to Kafka, and what of it can be read before Kafka has it."""

from pathlib import Path

import pytest

from gateway.datasets.outbox import LARGEST_MANIFEST, UNSENT, Outbox, announcement
from gateway.errors import Invalid
from gateway.writer import Commands, projected
from schemas import topics
from storage.objects.files import Storage
from storage.objects.outbox import waiting
from storage.view.operations import DEFAULT, Keep, fold
from storage.view.redis_store import RedisStore
from tests.support.view_records import dataset

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


async def test_a_dataset_that_no_message_can_hold_is_refused_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    store = RedisStore("redis://127.0.0.1:1")
    nowhere: dict[str, object] = {"bootstrap_servers": "127.0.0.1:1"}
    outbox = Outbox(Commands(nowhere, store), nowhere, store, Storage(f"file://{tmp_path}").initialise())
    with pytest.raises(Invalid, match="columns are too many"):
        await outbox.announce(dataset("ds-1", features=("S" * LARGEST_MANIFEST,)))
    assert waiting(Storage(f"file://{tmp_path}").initialise()) == []
