"""What a record does to the view, and what a batch leaves out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas import topics
from schemas.ids import position_key
from schemas.messages import DeadLetterMark, encode
from storage.view.operations import DEFAULT, Answers, Keep, KeepLane, Letter, Limits, ListRun, Mark, Operation, fold
from storage.view.projection import FINAL, PROJECTED, PassedOver, Projected, project, project_all
from tests.support.view_records import START, dataset, dead_letter, lane_stats, prediction, task


def operations(topic: topics.Topic, offset: int, key: str, value: bytes | None) -> tuple[Operation, ...]:
    projected = project(topic.name, 0, offset, key.encode(), value)
    assert isinstance(projected, Projected)
    return projected.operations


@pytest.mark.parametrize("topic", PROJECTED, ids=lambda topic: topic.name)
@given(key=st.none() | st.binary(max_size=20), value=st.binary(max_size=50))
def test_no_bytes_raise(topic: topics.Topic, key: bytes | None, value: bytes) -> None:
    assert isinstance(project(topic.name, 0, 7, key, value), Projected | PassedOver)


@pytest.mark.parametrize("topic", PROJECTED, ids=lambda topic: topic.name)
def test_value_of_another_shape_is_rejected_with_its_reason(topic: topics.Topic) -> None:
    projected = project(topic.name, 0, 7, b"run:1:0", b'{"unexpected": 1}')
    assert isinstance(projected, PassedOver)
    assert projected.reason


def test_positions_in_the_changelog_are_not_statistics() -> None:
    assert operations(topics.STATS_CHANGELOG, 3, position_key(1).decode(), b"17") == ()


def test_statistics_have_no_tombstones() -> None:
    assert isinstance(project(topics.STATS_CHANGELOG.name, 0, 3, b"run:1:0", None), PassedOver)


@pytest.mark.parametrize(
    ("partition", "key"),
    [(1, "run:1:0"), (0, "run:1:1"), (0, "run:2:0"), (0, "other:1:0"), (0, "run:x:0"), (0, "run"), (0, "")],
)
def test_statistics_that_are_not_where_they_belong_are_refused(partition: int, key: str) -> None:
    assert isinstance(
        project(topics.STATS_CHANGELOG.name, partition, 3, key.encode(), encode(lane_stats("run", []))), PassedOver
    )


def test_of_a_lane_that_stands_at_the_highest_record_is_kept_however_a_batch_is_ordered() -> None:
    copies = [(7, 3), (9, 1), (8, 2)]
    lanes = [KeepLane("k", offset, f"{at}", "1:0", at) for at, offset in copies]
    assert fold(lanes, DEFAULT) == fold(lanes[::-1], DEFAULT) == [lanes[1]]


def test_run_id_keeps_its_hash_and_at_signs() -> None:
    operation, listed = operations(topics.STATS_CHANGELOG, 3, "ext-a@7:1:7", encode(lane_stats("ext-a@7", [], lane=7)))
    assert listed == ListRun("ii:by-time:task:default:run", "ext-a@7", f"{0:017d}ext-a@7")
    assert isinstance(operation, KeepLane)
    assert (operation.key, operation.field) == ("ii:stats:ext-a@7", "1:7")


def test_dead_letter_is_kept_with_its_value_cut_off_and_its_place() -> None:
    (found,) = operations(topics.DEAD_LETTERS, 3, "run", encode(dead_letter("run", 4, value=b"x" * 100_000)))
    assert isinstance(found, Letter)
    assert len(found.value) < 10_000
    assert '"offset":3,"whole":false' in found.value


def test_mark_of_a_dead_letter_is_kept_under_its_id() -> None:
    mark = DeadLetterMark(mark="purged", dead_letter_id="0-7", run_id="run", marked_at=START)
    assert operations(topics.DEAD_LETTERS, 9, "run", encode(mark)) == (Mark("0-7", FINAL + 9, encode(mark).decode()),)


def test_dataset_is_listed_in_its_workspace() -> None:
    (operation,) = operations(topics.DATASETS, 3, "ds-1", dataset("ds-1", workspace="w").model_dump_json().encode())
    assert isinstance(operation, Keep)
    assert operation.indexes == ("ii:by-time:dataset:w",)
    assert operation.member.endswith("ds-1")


def test_batch_keeps_only_the_newest_value_of_a_key() -> None:
    states = [encode(task("t", status=status)) for status in ("PENDING", "IN_PROGRESS", "COMPLETED")]
    batch = [
        operation for offset, state in enumerate(states) for operation in operations(topics.TASKS, offset, "t", state)
    ]
    for order in (batch, batch[::-1]):
        (kept,) = fold(order, Limits())
        assert isinstance(kept, Keep)
        assert kept.offset == 2


@given(rows=st.lists(st.integers(0, 5000), unique=True, min_size=1, max_size=60), limit=st.integers(1, 20))
def test_batch_keeps_the_newest_predictions_and_knows_of_all(rows: list[int], limit: int) -> None:
    batch = [
        operation
        for offset, row in enumerate(rows)
        for operation in operations(topics.PREDICTIONS, offset, "run", encode(prediction("run", row, lane=row % 2)))
    ]
    (kept,) = fold(batch, Limits(predictions=limit))
    assert isinstance(kept, Answers)
    assert [row for row, _ in kept.entries] == sorted(rows)[-limit:]
    assert kept.dropped == (len(rows) > limit)
    assert sorted(kept.reach) == [
        (lane, min(mine), max(mine)) for lane in (0, 1) if (mine := [row for row in rows if row % 2 == lane])
    ]
    assert all(rows[offset] == row for _, row, _, offset in kept.starts)


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.integers(0, 2500), st.booleans()), max_size=60
    ),
    broken=st.sets(st.integers(0, 60)),
    limit=st.integers(1, 20),
)
def test_predictions_projected_together_are_those_projected_one_by_one(
    rows: list[tuple[str, int, int, bool]], broken: set[int], limit: int
) -> None:
    limits = Limits(predictions=limit)
    values = [
        encode(replace(prediction(run, row, lane=row % 2), attempt=attempt, redriven=late))
        for run, attempt, row, late in rows
    ]
    records = [(offset, b"key", value[:-1] if offset in broken else value) for offset, value in enumerate(values)]
    singles = [project(topics.PREDICTIONS.name, 3, *record, limits) for record in records]
    batch = project_all(topics.PREDICTIONS.name, 3, records, limits)
    found = [single for single in singles if isinstance(single, Projected)]
    one_by_one = fold([operation for single in found for operation in single.operations], limits)
    assert sorted(map(repr, fold(batch.operations, limits))) == sorted(map(repr, one_by_one))
    assert batch.touched == {single.touched for single in found}
    assert [offset for offset, _ in batch.rejected] == [
        offset for offset, single in enumerate(singles) if isinstance(single, PassedOver)
    ]
