"""The verdict: what the topics and the gateway say, against an offline recount from the split's file and the models.
Pure.

Every function returns findings in words; none is right.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from devstack.recount import ExpectedAnswer as Expected
from schemas.http.runs import Run
from schemas.messages import HISTOGRAM_BINS, TERMINAL, LaneStats
from storage.view.run_view import merge
from tests.chaos.evidence import Answer, Evidence, Letter, Place
from tests.chaos.followers import Follower, Witness
from tests.chaos.load import Ordered
from tests.chaos.outsiders import Sent

SHOWN = 5
MEAN_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Case:
    """One attempt of a run of ours, with all that is said of it."""

    ordered: Ordered
    attempt: int
    answers: Sequence[Answer]
    letters: Sequence[Letter]
    lanes: dict[int, LaneStats]

    def __str__(self) -> str:
        return f"run {self.ordered.run_id} attempt {self.attempt}"


def judge_attempt(case: Case, expected: Sequence[Expected], ending: str) -> Iterator[str]:
    """Each row once, as the recount has it; nothing left out; statistics to the bit."""
    total, lanes = len(expected), case.ordered.lanes
    times = Counter(answer.row_index for answer in case.answers)
    if twice := [row for row, count in times.items() if count > 1]:
        yield f"{case}: answered more than once: {_some(twice)}"
    dead = {letter.row_index for letter in case.letters if letter.row_index is not None}
    answered_again = {answer.row_index for answer in case.answers if answer.redriven}
    if both := (dead - answered_again) & times.keys():
        yield f"{case}: answered and dead-lettered: {_some(both)}"
    if wrong := [
        answer.row_index for answer in case.answers if not _equal(answer, expected, case.ordered.model_version)
    ]:
        yield f"{case}: answers differ from the recount: {_some(wrong)}"
    handled = times.keys() | dead
    for lane in range(lanes):
        stats = case.lanes.get(lane)
        own = range(lane, total, lanes)
        if stats is None:
            if handled & set(own):
                yield f"{case} lane {lane}: rows, but no statistics"
            continue
        counted = range(lane, stats.last_row_index + 1, lanes)
        left_out = [row for row in counted if row not in handled]
        beyond = [row for row in own if row in handled and row > stats.last_row_index]
        if beyond:
            yield f"{case} lane {lane}: rows beyond the last that is counted: {_some(beyond)}"
        if unexplained := _unexplained(left_out, case.ordered.seeks, lanes):
            yield f"{case} lane {lane}: neither answered nor dead-lettered nor passed over: {_some(unexplained)}"
        if stats.finished is None and ending in TERMINAL:
            yield f"{case} lane {lane}: ended {ending}, but is not finished"
        if ending == "COMPLETED" and stats.last_row_index != (own[-1] if own else -1):
            yield f"{case} lane {lane}: completed at row {stats.last_row_index}"
        yield from judge_lane(
            f"{case} lane {lane}", stats, [a for a in case.answers if a.lane == lane], expected, dead, len(left_out)
        )
    if ending == "COMPLETED" and len(case.lanes) < min(lanes, total):
        yield f"{case}: completed with {len(case.lanes)} of {lanes} lanes"


def judge_lane(
    name: str, stats: LaneStats, answers: Sequence[Answer], expected: Sequence[Expected], dead: set[int], left_out: int
) -> Iterator[str]:
    """The lane's statistics are the fold over its answers, in their order, of what the recount says."""
    good = [answer for answer in answers if answer.row_index < len(expected)]
    truths = [expected[answer.row_index] for answer in good]
    yield from judge_fold(name, stats, [(t.prediction, t.probability_fail, t.label) for t in truths])
    own_dead = {row for row in dead if row % stats.lanes == stats.lane} - {
        answer.row_index for answer in answers if answer.redriven
    }
    if stats.dead_letters != len(own_dead):
        yield f"{name}: {stats.dead_letters} dead letters counted, {len(own_dead)} on the topic"
    if stats.passed_over != left_out:
        yield f"{name}: {stats.passed_over} rows passed over, {left_out} were left out"
    order = [answer.row_index for answer in answers if not answer.redriven]
    if order != sorted(order):
        yield f"{name}: answers are not in row order"


def judge_fold(name: str, stats: LaneStats, rows: Sequence[tuple[str, float, str | None]]) -> Iterator[str]:
    """Counts exactly, sums to the bit: added row by row in the order of the answers."""
    confidence = fail = 0.0
    confusion: Counter[tuple[str, str]] = Counter()
    histogram = [0] * HISTOGRAM_BINS
    for verdict, probability, label in rows:
        confidence += probability if verdict == "FAIL" else 1.0 - probability
        fail += probability
        histogram[min(int(probability * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
        if label is not None:
            confusion[verdict, label] += 1
    failed = sum(verdict == "FAIL" for verdict, _, _ in rows)
    found = stats.confusion
    pairs = (
        ("rows", stats.total, len(rows)),
        ("PASS", stats.pass_count, len(rows) - failed),
        ("FAIL", stats.fail_count, failed),
        ("sum of confidence", stats.confidence_sum, confidence),
        ("sum of P(FAIL)", stats.probability_fail_sum, fail),
        ("true positives", found.tp, confusion["FAIL", "FAIL"]),
        ("false positives", found.fp, confusion["FAIL", "PASS"]),
        ("true negatives", found.tn, confusion["PASS", "PASS"]),
        ("false negatives", found.fn, confusion["PASS", "FAIL"]),
        ("histogram", stats.histogram, histogram),
    )
    for what, streamed, recounted in pairs:
        if streamed != recounted:
            yield f"{name}: {what} {streamed}, recounted {recounted}"


def judge_shown(run: Run, lanes: Iterable[LaneStats]) -> Iterator[str]:
    """What the gateway shows is what the lanes hold."""
    totals, shown = merge(lanes), run.statistics
    for what, seen, held in (
        ("rows", shown.total_predictions, totals.total),
        ("FAIL", shown.fail_count, totals.fail_count),
        ("PASS", shown.pass_count, totals.pass_count),
        ("dead letters", shown.dead_letters, totals.dead_letters),
        ("passed over", shown.passed_over, totals.passed_over),
        ("average confidence", shown.average_confidence, totals.average_confidence),
        ("last row", shown.last_row_index, totals.last_row_index),
        ("histogram", shown.histogram, totals.histogram),
    ):
        if seen != held:
            yield f"run {run.run_id}: the gateway shows {what} {seen}, the topic holds {held}"


def judge_others(sent: dict[str, Sent], evidence: Evidence, thresholds: dict[str, float]) -> Iterator[str]:
    """Each record of the other system that is on the topic is answered once as recounted, or dead-lettered once for its
    reason."""
    answers: dict[Place, list[Answer]] = {}
    letters: dict[Place, list[Letter]] = {}
    for (run_id, _), found in evidence.answers.items():
        if run_id.startswith("ext-"):
            for answer in found:
                if answer.redriven:
                    continue
                answers.setdefault(answer.source, []).append(answer)
    for dead in evidence.letters.values():
        for letter in dead:
            letters.setdefault(Place(letter.partition, letter.offset, letter.topic), []).append(letter)
    redriven: dict[str, list[Answer]] = {}
    for found in evidence.answers.values():
        for answer in found:
            if answer.redriven:
                redriven.setdefault(answer.sample_id, []).append(answer)
    for token, places in evidence.tokens.items():
        for place in places:
            yield from _judge_record(token, sent[token], answers.get(place, []), letters.get(place, []), thresholds)
        yield from _judge_redriven(token, sent[token], redriven.get(token, []), thresholds)
    for (run_id, attempt), found in evidence.answers.items():
        if run_id.startswith("ext-"):
            for lane, stats in evidence.stats(run_id, attempt).items():
                own = [answer for answer in found if answer.lane == lane]
                rows = [(answer.prediction, answer.probability_fail, answer.label) for answer in own]
                yield from judge_fold(f"{run_id} lane {lane}", stats, rows)
                dead_here = {
                    letter.row_index for letter in evidence.letters.get((run_id, attempt), []) if letter.lane == lane
                }
                if stats.dead_letters != len(dead_here) - sum(answer.redriven for answer in own):
                    yield (
                        f"{run_id} lane {lane}: {stats.dead_letters} dead letters counted, {len(dead_here)} on the"
                        " topic"
                    )


def _judge_record(
    token: str, sent: Sent, answers: list[Answer], letters: list[Letter], thresholds: dict[str, float]
) -> Iterator[str]:
    if len(answers) + len(letters) != 1:
        yield f"{token}: answered {len(answers)} times, dead-lettered {len(letters)} times"
    elif isinstance(sent.expected, str):
        if not letters or letters[0].reason != sent.expected:
            yield f"{token}: should be dead-lettered as {sent.expected}: {letters or answers}"
    elif not answers:
        yield f"{token}: should be answered: {letters}"
    elif not _says(answers[0], token, sent.expected, sent.label, thresholds):
        yield f"{token}: answered {answers[0]}, should be one of {sent.expected}"


def _judge_redriven(token: str, sent: Sent, answers: list[Answer], thresholds: dict[str, float]) -> Iterator[str]:
    """A letter that was mended is answered once, however often it was sent again."""
    if len(answers) > 1:
        yield f"{token}: answered {len(answers)} times after a redrive"
    for answer in answers:
        if sent.repaired is None or not _says(answer, token, sent.repaired, sent.label, thresholds):
            yield f"{token}: answered {answer} after a redrive, should be one of {sent.repaired}"


def _says(answer: Answer, token: str, right: dict[str, float], label: str | None, thresholds: dict[str, float]) -> bool:
    """Whether the answer is that of the row, by one of the models that may answer it."""
    probability = right.get(answer.model_version)
    verdict = "FAIL" if probability is not None and probability >= thresholds[answer.model_version] else "PASS"
    return (answer.probability_fail, answer.prediction, answer.label, answer.sample_id) == (
        probability,
        verdict,
        label,
        token,
    )


def judge_follower(follower: Follower, evidence: Evidence) -> Iterator[str]:
    """Each row of the attempt that ended once and in order; of earlier attempts none twice, none left out, none out of
    order."""
    name = f"a follower of {follower.run_id} ({follower.connections} connections)"
    yield from (f"{name}: {problem}" for problem in follower.problems)
    attempt = follower.ended_with
    if attempt is None:
        return
    for number, rows in follower.rows.items():
        wanted = sorted(
            answer.row_index for answer in evidence.answers.get((follower.run_id, number), []) if not answer.redriven
        )
        if number == attempt and rows != wanted:
            yield f"{name}: saw {len(rows)} rows of {len(wanted)}, {_difference(rows, wanted)}"
        elif rows != wanted[: len(rows)]:
            yield f"{name}: of attempt {number}: {_difference(rows, wanted[: len(rows)])}"
    if attempt not in follower.rows and evidence.answers.get((follower.run_id, attempt)):
        yield f"{name}: saw nothing of attempt {attempt}"


def judge_witness(witness: Witness, evidence: Evidence) -> Iterator[str]:
    """A consumer that was there all the while saw what is there now, each once."""
    if twice := [name for name, times in witness.seen.items() if times > 1]:
        yield f"a consumer saw predictions twice: {_some(twice)}"
    there = {answer.prediction_id for found in evidence.answers.values() for answer in found}
    if missed := there - witness.seen.keys():
        yield f"a consumer missed {len(missed)} predictions: {_some(missed)}"
    if more := witness.seen.keys() - there:
        yield f"a consumer saw predictions that are not there: {_some(more)}"


def _equal(answer: Answer, expected: Sequence[Expected], model_version: str) -> bool:
    if answer.row_index >= len(expected):
        return False
    truth = expected[answer.row_index]
    confidence = truth.probability_fail if truth.prediction == "FAIL" else 1.0 - truth.probability_fail
    return (
        answer.sample_id,
        answer.prediction,
        answer.probability_fail,
        answer.label,
        answer.confidence,
        answer.model_version,
    ) == (
        truth.sample_id,
        truth.prediction,
        truth.probability_fail,
        truth.label,
        confidence,
        model_version,
    )


def _unexplained(left_out: Sequence[int], seeks: Sequence[int], lanes: int) -> list[int]:
    """Rows that no order passes over: each gap of a lane must end right before a row that was sought."""
    found = []
    gap: list[int] = []
    for row, following in zip(left_out, [*left_out[1:], -1], strict=False):
        gap.append(row)
        if following != row + lanes:
            if not any(row < seek <= row + lanes for seek in seeks):
                found += gap
            gap = []
    return found


def _difference(rows: Sequence[int], wanted: Sequence[int]) -> str:
    at = next(
        (i for i, (seen, right) in enumerate(zip(rows, wanted, strict=False)) if seen != right),
        min(len(rows), len(wanted)),
    )
    return f"from place {at}: {list(rows[at : at + SHOWN])}, should be {list(wanted[at : at + SHOWN])}"


def _some(rows: Iterable[object]) -> str:
    listed = sorted(rows, key=str)
    return f"{', '.join(map(str, listed[:SHOWN]))}{f' and {len(listed) - SHOWN} more' if len(listed) > SHOWN else ''}"
