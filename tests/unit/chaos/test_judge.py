"""A judge that cannot find anything wrong is worth nothing: each kind of wrong is put in, and must be found."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from devstack.recount import ExpectedAnswer as Expected
from schemas.messages import Confusion, LaneStats
from tests.chaos.evidence import Answer, Evidence, Letter, Place
from tests.chaos.judge import Case, judge_attempt, judge_others
from tests.chaos.load import Ordered
from tests.chaos.outsiders import Sent

RUN, MODEL = "sim-task-1", "model-1"
EXPECTED = [
    Expected(0, "SAMPLE_a", "PASS", 0.1, "PASS"),
    Expected(1, "SAMPLE_b", "FAIL", 0.9, "PASS"),
    Expected(2, "SAMPLE_c", "PASS", 0.2, "FAIL"),
    Expected(3, "SAMPLE_d", "FAIL", 0.8, "FAIL"),
]


def answer(truth: Expected, run_id: str = RUN) -> Answer:
    confidence = truth.probability_fail if truth.prediction == "FAIL" else 1.0 - truth.probability_fail
    row = truth.row_index
    return Answer(
        prediction_id=f"{run_id}:1:{row}",
        run_id=run_id,
        attempt=1,
        lane=0,
        row_index=row,
        sample_id=truth.sample_id,
        prediction=truth.prediction,  # type: ignore[arg-type]
        confidence=confidence,
        probability_fail=truth.probability_fail,
        model_version=MODEL,
        label=truth.label,  # type: ignore[arg-type]
        source=Place(0, row),
    )


def letter(row_index: int) -> Letter:
    return Letter("0-1", "missing_feature", "", 0, row_index, "rows.v1", RUN, 1, 0, row_index)


def lane(answers: list[Answer], **changed: Any) -> LaneStats:
    """The statistics of these answers."""
    histogram = [0] * 20
    confidence = fail = 0.0
    for one in answers:
        histogram[int(one.probability_fail * 20)] += 1
        confidence, fail = confidence + one.confidence, fail + one.probability_fail
    pairs = [(one.prediction, one.label) for one in answers]
    stats = LaneStats(
        run_id=RUN,
        attempt=1,
        lane=0,
        lanes=1,
        partition=0,
        offset=9,
        epoch=1,
        last_row_index=3,
        total=len(answers),
        pass_count=sum(one.prediction == "PASS" for one in answers),
        fail_count=sum(one.prediction == "FAIL" for one in answers),
        confidence_sum=confidence,
        probability_fail_sum=fail,
        histogram=histogram,
        finished="COMPLETED",
        confusion=Confusion(
            tp=pairs.count(("FAIL", "FAIL")),
            fp=pairs.count(("FAIL", "PASS")),
            tn=pairs.count(("PASS", "PASS")),
            fn=pairs.count(("PASS", "FAIL")),
        ),
    )
    return msgspec.structs.replace(stats, **changed)


def right() -> Case:
    answers = [answer(truth) for truth in EXPECTED]
    return Case(Ordered(RUN, MODEL, 1), 1, answers, [], {0: lane(answers)})


def found(case: Case) -> str:
    return "\n".join(judge_attempt(case, EXPECTED, "COMPLETED"))


def test_what_is_right_is_found_right() -> None:
    assert found(right()) == ""


def test_a_row_that_is_answered_twice_or_not_at_all_is_found() -> None:
    case = right()
    assert "answered more than once: 2" in found(replace(case, answers=[*case.answers, case.answers[2]]))
    without = [case.answers[row] for row in (0, 1, 3)]
    assert "neither answered nor dead-lettered nor passed over: 2" in found(
        replace(case, answers=without, lanes={0: lane(without)})
    )
    assert "completed at row 2" in found(
        replace(case, answers=case.answers[:3], lanes={0: lane([*case.answers[:3]], last_row_index=2)})
    )


def test_rows_are_passed_over_only_where_somebody_asked_for_it() -> None:
    case = right()
    kept = [case.answers[row] for row in (0, 3)]
    passed = replace(case, answers=kept, lanes={0: lane(kept, passed_over=2)})
    assert "neither answered" in found(passed)
    assert found(replace(passed, ordered=Ordered(RUN, MODEL, 1, seeks=[3]))) == ""
    uncounted = replace(passed, ordered=Ordered(RUN, MODEL, 1, seeks=[3]), lanes={0: lane(kept)})
    assert "0 rows passed over, 2 were left out" in found(uncounted)


def test_a_dead_letter_counts_once_and_instead_of_an_answer() -> None:
    case = right()
    without = [case.answers[row] for row in (0, 1, 3)]
    dead = replace(case, answers=without, letters=[letter(2)], lanes={0: lane(without, dead_letters=1)})
    assert found(dead) == ""
    assert "0 dead letters counted, 1 on the topic" in found(replace(dead, lanes={0: lane(without)}))
    assert "answered and dead-lettered: 2" in found(replace(case, letters=[letter(2)]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"total": 5}, "rows 5, recounted 4"),
        ({"fail_count": 3}, "FAIL 3, recounted 2"),
        ({"confidence_sum": 3.4000000000000004 + 1e-12}, "sum of confidence"),
        ({"probability_fail_sum": 2.1}, "sum of P(FAIL)"),
        ({"confusion": Confusion(tp=2, fp=0, tn=1, fn=1)}, "true positives 2, recounted 1"),
        ({"histogram": [4] + [0] * 19}, "histogram"),
        ({"finished": None}, "is not finished"),
    ],
)
def test_each_number_of_the_statistics_is_compared(changed: dict[str, Any], said: str) -> None:
    case = right()
    assert said in found(replace(case, lanes={0: lane([*case.answers], **changed)}))


@pytest.mark.parametrize(
    "changed", [{"probability_fail": 0.3}, {"sample_id": "x"}, {"label": "FAIL"}, {"model_version": "model-2"}]
)
def test_each_field_of_an_answer_is_compared(changed: dict[str, Any]) -> None:
    case = right()
    answers = [msgspec.structs.replace(case.answers[0], **changed), *case.answers[1:]]
    assert "answers differ from the recount: 0" in found(replace(case, answers=answers))


def test_a_record_of_another_system_that_is_lost_doubled_or_misjudged_is_found() -> None:
    sent = {"good": Sent("k", {MODEL: 0.1}, "PASS"), "bad": Sent("k", "undecodable")}
    good = msgspec.structs.replace(answer(EXPECTED[0], "ext-k"), sample_id="good")
    bad = msgspec.structs.replace(letter(1), reason="undecodable", run_id=None)

    def judged(answers: list[Answer], letters: list[Letter]) -> str:
        evidence = Evidence(answers={("ext-k", 1): answers}, letters={None: letters})
        evidence.tokens = {"good": [Place(0, 0)], "bad": [Place(0, 1)]}
        return "\n".join(judge_others(sent, evidence, {MODEL: 0.5}))

    assert judged([good], [bad]) == ""
    assert "good: answered 0 times" in judged([], [bad])
    assert "good: answered 2 times" in judged([good, good], [bad])
    assert "bad: answered 0 times, dead-lettered 0 times" in judged([good], [])
    assert "should be dead-lettered as undecodable" in judged(
        [good], [msgspec.structs.replace(bad, reason="oversized")]
    )
    assert "good: answered" in judged([msgspec.structs.replace(good, probability_fail=0.2)], [bad])
