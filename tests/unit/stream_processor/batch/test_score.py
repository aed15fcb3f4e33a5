import base64
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import score
from schemas.ids import stats_key
from schemas.messages import DeadLetter, LaneStats, Prediction, RunEnd, encode
from schemas.topics import INGRESS
from stream_processor.batch.answers import KEPT_BYTES, Reasons
from stream_processor.batch.counting import BatchOutcome
from stream_processor.batch.score import Models, Needs, NoModel, handle
from tests.support.examples import many
from tests.unit.stream_processor.toys import (
    MODEL_A,
    MODEL_B,
    NOW,
    Producers,
    Record,
    home,
    model,
    on_both_topics,
    partition_of,
    redrive,
    row,
)

RUN = "run-1"
HOME = home(RUN)
MODELS: Models = {
    MODEL_A: model(),
    MODEL_B: model(MODEL_B, threshold=0.7),
    "gone": NoModel("model version gone does not exist"),
}
ALL_EXACT = Reasons(exact_max_rows=1000, approximate_max_rows=0, top=3)


def rows(*indices: int, **fields: Any) -> list[Record]:
    return [
        Record(row(run_id=RUN, epoch=1, row_index=i, **fields), offset=i, partition=HOME, key=RUN.encode())
        for i in indices
    ]


def handled(
    records: list[Record], table: dict[bytes, bytes] | None = None, *, models: Models = MODELS, **changed: Any
) -> Any:
    table = {} if table is None else table
    options: dict[str, Any] = {
        "champion": None,
        "partition_of": partition_of,
        "epochs": Producers(run_1=1),
        "now": NOW,
        "reasons": ALL_EXACT,
    } | changed
    outcome = handle(records, state=table.get, models=models, **options)
    if isinstance(outcome, BatchOutcome):
        table |= outcome.states
    return outcome


def predictions(outcome: BatchOutcome) -> list[Prediction]:
    return [msgspec.json.decode(value, type=Prediction) for _, value in outcome.predictions]


def letters(outcome: BatchOutcome) -> list[DeadLetter]:
    return [msgspec.json.decode(value, type=DeadLetter) for _, value in outcome.dead_letters]


def lane(table: Mapping[bytes, bytes], key: bytes = b"run-1:1:0") -> LaneStats:
    return msgspec.json.decode(table[key], type=LaneStats)


def test_a_prediction_says_what_the_model_says() -> None:
    table: dict[bytes, bytes] = {}
    outcome = handled(rows(0, label="FAIL", timestamp="2021-01-01T00:00:00Z", sample_id="SAMPLE_77"), table)
    (answer,) = predictions(outcome)
    expected = float(score(model().bundle, np.array([[0.5, np.nan, -1]], np.float32))[0])
    assert (answer.probability_fail, answer.threshold) == (expected, 0.4)
    assert answer.prediction == ("FAIL" if expected >= 0.4 else "PASS")
    assert answer.confidence == (expected if expected >= 0.4 else 1 - expected)
    assert (answer.prediction_id, answer.sample_id, answer.label) == ("run-1:1:0", "SAMPLE_77", "FAIL")
    assert (answer.source.partition, answer.source.offset) == (HOME, 0)
    assert outcome.predictions[0][0] == b"run-1"
    assert lane(table).last == answer
    assert table[b"__position__%d" % HOME] == b"0"


def test_a_row_without_a_sample_id_is_named_after_its_index() -> None:
    assert predictions(handled(rows(0)))[0].sample_id == "SAMPLE_0"


def test_several_model_versions_in_one_batch_answer_their_own_rows() -> None:
    mixed = [rows(i, model_version=(MODEL_A, MODEL_B)[i % 2])[0] for i in range(6)]
    answers = predictions(handled(mixed))
    alone = [predictions(handled(rows(0, model_version=version)))[0].probability_fail for version in (MODEL_A, MODEL_B)]
    assert [answer.model_version for answer in answers] == [MODEL_A, MODEL_B] * 3
    assert [answer.probability_fail for answer in answers] == alone * 3
    assert {answer.threshold for answer in answers} == {0.4, 0.7}


def test_models_that_are_not_at_hand_are_asked_for_before_anything_is_counted() -> None:
    needs = handled([*rows(0), *rows(1, model_version=...)], models={})
    assert isinstance(needs, Needs)
    assert (needs.versions, needs.champion) == ({MODEL_A}, True)


def test_a_row_without_a_model_version_is_scored_by_the_champion_or_dead_lettered() -> None:
    assert predictions(handled(rows(0, model_version=...), champion=MODEL_B))[0].model_version == MODEL_B
    outcome = handled(rows(0, model_version=...), champion=False)
    assert [letter.reason for letter in letters(outcome)] == ["no_champion"]


def test_a_dead_letter_holds_the_record_and_the_run_counts_it() -> None:
    table: dict[bytes, bytes] = {}
    records = [*rows(0), *rows(1, features={"S1": 1}), *rows(2, model_version="gone"), *rows(3)]
    records[1] = records[1]._replace(headers=[("x-line", b"7")])
    outcome = handled(records, table)
    missing, unknown = letters(outcome)
    assert (missing.reason, missing.path, missing.row_index, missing.headers) == (
        "missing_feature",
        "$.features.S2",
        1,
        {"x-line": "7"},
    )
    assert missing.value == records[1].value
    assert json.loads(outcome.dead_letters[0][1])["value"] == base64.b64encode(records[1].value or b"").decode()
    assert (unknown.reason, unknown.path, unknown.model_version) == ("unknown_model", "$.model_version", "gone")
    stats = lane(table)
    assert (stats.total, stats.dead_letters, stats.skipped, stats.last_row_index) == (2, 2, [1, 2], 3)
    assert outcome.dead_reasons == {"missing_feature": 1, "unknown_model": 1}


def test_a_record_without_identity_is_counted_in_the_run_of_its_key() -> None:
    table: dict[bytes, bytes] = {}
    (letter,) = letters(handled([Record(b"\x00", offset=3, topic=INGRESS.name)], table))
    assert (letter.reason, letter.run_id, letter.row_index, letter.dead_letter_id) == (
        "undecodable",
        "ext-line-1",
        48,
        "i0-3",
    )
    stats = msgspec.json.decode(table[stats_key("ext-line-1", 1, 0)], type=LaneStats)
    assert (stats.dead_letters, stats.skipped, stats.total, stats.begun_at) == (1, [48], 0, NOW)


def test_of_a_record_that_would_not_fit_the_dead_letter_keeps_the_beginning() -> None:
    (letter,) = letters(handled([Record(b"\x00" * (KEPT_BYTES + 1), key=b"k" * 200_000)]))
    assert letter.reason == "oversized"
    assert len(letter.value) == KEPT_BYTES
    assert f"the first {KEPT_BYTES}" in letter.message
    assert len(encode(letter)) < 4 << 20


def test_a_letter_keeps_all_headers_in_their_order_or_says_how_many_it_does_not() -> None:
    headers: Any = [("a", b"1"), ("a", b"\xff\x00"), ("b", None), ("x" * 300, b"y" * 2_000)]
    (letter,) = letters(handled([Record(b"{", topic=INGRESS.name, headers=headers)]))
    assert (letter.all_headers, letter.headers_cut) == (headers, 0)
    (letter,) = letters(
        handled([Record(b"{", topic=INGRESS.name, headers=[(f"n{i}", b"z" * 1_000) for i in range(100)])])
    )
    assert (len(letter.all_headers), letter.headers_cut) == (65, 35)
    assert "35 of 100 headers" in letter.message


def test_the_answer_carries_the_headers_on_that_are_to_be_carried_on() -> None:
    trace: Any = [
        ("traceparent", b"00-1"),
        ("Correlation-Id", b"\xff"),
        ("correlation-id", b"2"),
        ("secret", b"x"),
        ("tracestate", None),
    ]
    log = [
        Record(row(), offset=0, topic=INGRESS.name),
        Record(b"{", offset=1, topic=INGRESS.name, headers=trace),
        Record(row(), offset=2, topic=INGRESS.name, headers=trace),
    ]
    outcome = handled(log, forward=frozenset({"traceparent", "tracestate", "correlation-id"}))
    assert outcome.forwarded == {1: [("traceparent", b"00-1"), ("Correlation-Id", b"\xff"), ("correlation-id", b"2")]}
    assert len(outcome.predictions) == 2


def test_rows_numbered_before_ingress_are_the_attempt_before() -> None:
    table: dict[bytes, bytes] = {}
    formerly = LaneStats(
        run_id="ext-line-1",
        attempt=1,
        lane=0,
        lanes=1,
        partition=0,
        offset=700,
        epoch=0,
        last_row_index=700,
        skipped=[600],
        dead_letters=1,
    )
    table[stats_key("ext-line-1", 1, 0)] = encode(formerly)
    log = [Record(row(), offset=0, topic=INGRESS.name), Record(b"{", offset=1, topic=INGRESS.name)]
    outcome = handled(log, table)
    assert [(one.run_id, one.attempt, one.row_index) for one in predictions(outcome)] == [("ext-line-1", 2, 0)]
    assert [(one.attempt, one.row_index) for one in letters(outcome)] == [(2, 16)]
    old = handled([Record(row(), offset=701)], table, partition_of=on_both_topics)
    assert [(one.attempt, one.lane, one.row_index) for one in predictions(old)] == [(2, 8, 701 * 16 + 8)]
    repaired = [Record(row(), offset=702, headers=redrive("ext-line-1", 600))]
    assert [(one.attempt, one.row_index) for one in predictions(handled(repaired, table))] == [(1, 600)]
    again = handled([Record(row(), offset=2, topic=INGRESS.name), Record(row(), offset=2, topic=INGRESS.name)], table)
    assert again.passed_by == {"read_again": 1}


def test_a_row_without_an_epoch_is_not_counted_in_a_run_that_our_producer_owns() -> None:
    table: dict[bytes, bytes] = {}
    run = next(
        name for name in (f"run-{i}" for i in range(100)) if home(name) == 0
    )  # lane 0 of partition 0: the keys are the same
    epochs = Producers(**{run.replace("-", "_"): 1})
    handled([Record(row(run_id=run, epoch=4, row_index=0), offset=0)], table, epochs=epochs)
    outcome = handled([Record(row(run_id=run), offset=1)], table, epochs=epochs)
    assert [letter.reason for letter in letters(outcome)] == ["wrong_topic"]
    assert lane(table, f"{run}:1:0".encode()).total == 1


def test_a_marker_ends_the_lane() -> None:
    table: dict[bytes, bytes] = {}
    end = RunEnd(run_id=RUN, attempt=1, epoch=1, lane=0, lanes=1, end_index=1, ending="STOPPED", message="asked")
    handled([*rows(0), Record(encode(end), offset=1, partition=HOME, headers=[("type", b"run-end")])], table)
    assert (lane(table).finished, lane(table).message, lane(table).offset) == ("STOPPED", "asked", 1)


def test_passed_by_rows_are_neither_answered_nor_dead_lettered_but_measured() -> None:
    table: dict[bytes, bytes] = {}
    handled(rows(0, 1), table)
    again = [record._replace(offset=record.offset + 10) for record in [*rows(0, 1), *rows(3, features={})]]
    outcome = handled(again, table)
    assert (outcome.predictions, outcome.dead_letters) == ([], [])
    assert outcome.passed_by == {"sent_again": 2, "ahead": 1}


@pytest.mark.parametrize(
    ("exact", "approximate", "expected"),
    [
        (4, 0, ["exact"] * 4),
        (3, 4, ["approximate"] * 4),
        (3, 3, ["none", "none", "none", "approximate"]),
        (0, 0, ["none", "none", "none", "approximate"]),
    ],
)
def test_reasons_are_as_deep_as_the_number_of_rows_allows(exact: int, approximate: int, expected: list[str]) -> None:
    answers = predictions(handled(rows(0, 1, 2, 3), reasons=Reasons(exact, approximate, 2)))
    assert [answer.reasons for answer in answers] == expected
    for answer in answers:
        magnitudes = [abs(value) for value in answer.top_features.values()]
        assert magnitudes == sorted(magnitudes, reverse=True)
        assert len(magnitudes) == (0 if answer.reasons == "none" else 2)
        assert answer.top_features.keys() == answer.top_feature_values.keys()
    assert answers[-1].top_feature_values.items() <= {"S1": 0.5, "S2": None, "S3": -1.0}.items()


def test_strongest_features_are_the_model_s_and_the_same_in_every_row_that_has_reasons() -> None:
    shown = predictions(handled(rows(0, 1, 2, 3), reasons=Reasons(4, 0, 2)))
    assert [answer.strongest for answer in shown] == [
        {"S1": 0.5, "S2": None}
    ] * 4  # the toys have no gains: those in front
    spare = predictions(handled(rows(0, 1, 2, 3), reasons=Reasons(0, 0, 2)))
    assert [answer.strongest is msgspec.UNSET for answer in spare] == [True, True, True, False]


def test_values_beyond_float32_are_scored() -> None:
    assert len(predictions(handled(rows(0, features={"S1": 1e300, "S2": -1e300, "S3": 1e-300})))) == 1


JSON = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.text(max_size=5)
    | st.lists(st.none(), max_size=2)
)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["features", "label", "model_version", "timestamp", "sample_id"]), JSON, max_size=2
        )
        | st.dictionaries(st.sampled_from(["S1", "S2", "S4"]), JSON, max_size=2).map(
            lambda features: {"features": features}
        ),
        min_size=1,
        max_size=12,
    ),
    st.sets(st.integers(1, 11)),
)
@settings(max_examples=many(150), deadline=None)
def test_every_row_is_answered_or_explained_once_and_batches_do_not_matter(
    changes: list[dict[str, Any]], cuts: set[int]
) -> None:
    log = [rows(i, **change)[0] for i, change in enumerate(changes)]
    models = {
        version: NoModel("no") for change in changes if isinstance(version := change.get("model_version"), str)
    } | dict(MODELS)
    whole: dict[bytes, bytes] = {}
    outcome = handled(log, whole, models=models, champion=MODEL_B)
    answered = {answer.row_index for answer in predictions(outcome)}
    dead = {letter.row_index for letter in letters(outcome)}
    assert answered | dead == set(range(len(log)))
    assert not answered & dead
    pieces: dict[bytes, bytes] = {}
    bounds = [0, *sorted(cut for cut in cuts if cut < len(log)), len(log)]
    for start, stop in pairwise(bounds):
        handled(log[start:stop], pieces, models=models, champion=MODEL_B)
    assert pieces == whole
