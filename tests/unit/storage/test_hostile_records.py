"""The projection meets whatever anybody puts on its topics: it says what is wrong, and what it lets through Redis can
hold."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import topics
from schemas.bounds import INTEGER_MAX
from schemas.ids import RUN_ID
from schemas.messages import Alias, DeadLetterMark, encode
from storage.view.operations import DEFAULT, fold
from storage.view.projection import PROJECTED, PassedOver, Projected, project, project_all
from tests.support.examples import some
from tests.support.hostile import BODIES, KEYS, hostile_bodies, hostile_keys, mutations
from tests.support.view_records import (
    START,
    dataset,
    dead_letter,
    lane_stats,
    log_entry,
    model,
    prediction,
    split,
    task,
)

RUN = "sim-task-1"
RIGHT: dict[str, tuple[str, bytes]] = {
    topics.TASKS.name: (RUN, encode(task(RUN))),
    topics.PREDICTIONS.name: (RUN, encode(prediction(RUN, 1))),
    topics.STATS_CHANGELOG.name: (f"{RUN}:1:0", encode(lane_stats(RUN, [prediction(RUN, 0)]))),
    topics.DEAD_LETTERS.name: (RUN, encode(dead_letter(RUN, 1))),
    topics.MODELS.name: ("model-1", model("model-1").model_dump_json().encode()),
    topics.DATASETS.name: ("ds-1", dataset("ds-1").model_dump_json().encode()),
    topics.TASK_LOGS.name: (RUN, encode(log_entry(RUN, 1))),
}
MORE = [
    (
        topics.MODELS.name,
        "champion@w",
        encode(Alias(alias="champion", workspace="w", model_version="model-1", set_at=START)),
    ),
    (topics.DATASETS.name, "split-1", split("split-1", "ds-1").model_dump_json().encode()),
    (
        topics.DEAD_LETTERS.name,
        RUN,
        encode(DeadLetterMark(mark="purged", dead_letter_id="0-1", run_id=RUN, marked_at=START)),
    ),
]
CASES = [*((topic, key, body) for topic, (key, body) in RIGHT.items()), *MORE]


def bearable(value: Any) -> bool:
    """Whether Redis keeps it as it is: numbers that a double can count, and no key that is more than one."""
    if isinstance(value, int):
        return -INTEGER_MAX <= value <= 2 * INTEGER_MAX
    if isinstance(value, dict):
        return all(bearable(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(bearable(one) for one in value)
    return True


def check(projected: Projected | PassedOver) -> None:
    if isinstance(projected, PassedOver):
        assert projected.reason.isprintable()
        return
    folded = fold(projected.operations, DEFAULT)
    msgspec.msgpack.encode(folded)
    for operation in folded:
        said = msgspec.to_builtins(operation)
        assert bearable(said)
        for field in ("key", "reach_key", "offsets_key"):
            key = getattr(operation, field, "ii:")
            assert not any(letter in key for letter in "\n\0\r /\\"), key
        assert not any(letter in index for index in getattr(operation, "indexes", ()) for letter in "\n\0 /"), said
    assert projected.touched is None or RUN_ID.fullmatch(projected.touched)


@pytest.mark.parametrize(("topic", "key", "body"), CASES)
def test_a_record_of_ours_is_taken(topic: str, key: str, body: bytes) -> None:
    assert isinstance(project(topic, 0, 1, key.encode(), body), Projected)


@pytest.mark.parametrize(("topic", "key", "body"), CASES)
def test_every_field_may_be_wrong_in_every_way(topic: str, key: str, body: bytes) -> None:
    for _, spoilt in some([*mutations(body)]):
        check(project(topic, 0, 1, key.encode(), spoilt))


@pytest.mark.parametrize("topic", [topic.name for topic in PROJECTED])
def test_every_body_of_the_corpus_is_refused_under_every_key(topic: str) -> None:
    for name, body in some([*BODIES.items()]):
        for key in (*KEYS, RIGHT[topic][0].encode()):
            found = project(topic, 0, 1, key, body)
            passed_over = (key or b"").startswith(b"__") or (topic == topics.PREDICTIONS.name and not body)
            assert isinstance(found, PassedOver) or passed_over, (name, key)


@given(st.sampled_from(CASES).flatmap(lambda case: st.tuples(st.just(case), hostile_bodies(case[2]), hostile_keys)))
def test_whatever_comes_the_projection_goes_on(drawn: tuple[tuple[str, str, bytes], bytes, bytes | None]) -> None:
    (topic, key, _), body, other = drawn
    check(project(topic, 0, 1, key.encode(), body))
    check(project(topic, 0, 1, other, body))
    project_all(topic, 0, [(1, other, body), (2, key.encode(), body), (3, None, None), (4, other, None)])


@pytest.mark.parametrize(
    ("topic", "key", "body"),
    [
        (topics.TASKS, "other", encode(task(RUN))),
        (topics.TASKS, RUN, encode(task(RUN, workspace="w\nii:by-time:task:default:run"))),
        (topics.TASKS, "../../x", encode(task("../../x"))),
        (topics.TASKS, RUN, encode(task(RUN, attempt=2**62))),
        (topics.TASKS, RUN, encode(task(RUN, epoch=2**60))),
        (topics.TASKS, RUN, encode(task(RUN, kind="training", attempt=101))),
        (topics.TASKS, RUN, encode(task(RUN)).replace(b'"total_rows":10', b'"total_rows":"ten"')),
        (topics.TASKS, RUN, encode(task(RUN)).replace(b"2026-01-01T00:00:00Z", b"2026-01-01T00:00:00", 1)),
        (topics.TASKS, RUN, encode(task(RUN)).replace(b"2026-", b"9999-")),
        (topics.STATS_CHANGELOG, f"{RUN}:1:0", encode(lane_stats(RUN, [], partition=1))),
        (topics.STATS_CHANGELOG, f"{RUN}:2:0", encode(lane_stats(RUN, []))),
        (
            topics.PREDICTIONS,
            RUN,
            encode(prediction(RUN, 1)).replace(b'"row_index":1', b'"row_index":1000000000000000000000000000000'),
        ),
        (
            topics.MODELS,
            "champion@default",
            encode(Alias(alias="champion", workspace="w", model_version="m", set_at=START)),
        ),
    ],
)
def test_what_cannot_be_from_us_is_refused(topic: topics.Topic, key: str, body: bytes) -> None:
    assert isinstance(project(topic.name, 0, 1, key.encode(), body), PassedOver)
