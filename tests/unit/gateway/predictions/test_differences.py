"""A comparison of two runs equals what a slow recount over whole lists says, however the rows are fed."""

import csv
import json
import zipfile
from collections import defaultdict
from collections.abc import AsyncIterator
from hashlib import sha256
from io import BytesIO, StringIO
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.predictions.comparison_answers import diff_answer
from gateway.predictions.comparisons import ComparedRows
from gateway.predictions.differences import ComparedAnswer, Comparison
from gateway.predictions.exports import COLUMNS, export
from gateway.runs.answers import run_answer
from schemas.messages import encode
from storage.view.run_view import RunView, run_view
from tests.support.view_records import lane_stats, prediction

samples = st.lists(
    st.tuples(st.sampled_from("abcd"), st.floats(0, 1), st.sampled_from(["PASS", "FAIL", None])), max_size=30
)


def answers(rows: list[tuple[str, float, str | None]]) -> list[ComparedAnswer]:
    return [
        ComparedAnswer(i, sample, "FAIL" if p >= 0.5 else "PASS", max(p, 1 - p), p, label)  # type: ignore[arg-type]
        for i, (sample, p, label) in enumerate(rows)
    ]


def compared(
    a: list[ComparedAnswer], b: list[ComparedAnswer], turns: list[int], *, by_row_index: bool = False
) -> Comparison:
    comparison = Comparison(by_row_index=by_row_index)
    left = [list(reversed(a)), list(reversed(b))]
    for side in [*turns, *[0] * len(a), *[1] * len(b)]:
        if left[side]:
            comparison.feed(side, left[side].pop())
    comparison.close()
    return comparison


def view(rows: int = 1) -> RunView:
    found = run_view("ext-a", None, [lane_stats("ext-a", [prediction("ext-a", row) for row in range(rows)])])
    assert found is not None
    return found


@given(samples, samples, st.lists(st.integers(0, 1), max_size=40))
def test_rows_are_joined_by_sample_id_in_the_order_of_occurrence(
    first: list[tuple[str, float, str | None]], second: list[tuple[str, float, str | None]], turns: list[int]
) -> None:
    a, b = answers(first), answers(second)
    found = compared(a, b, turns)
    places: dict[str, list[list[ComparedAnswer]]] = defaultdict(lambda: [[], []])
    for side, rows in enumerate((a, b)):
        for row in rows:
            places[row.sample_id][side].append(row)
    pairs = [pair for one, other in places.values() for pair in zip(one, other, strict=False)]
    flips = sorted(
        (pair for pair in pairs if pair[0].prediction != pair[1].prediction), key=lambda pair: pair[0].row_index
    )
    counts = found.counts()
    assert [(flip.a, flip.b) for flip in found.flips] == flips
    assert (counts.common, counts.same) == (len(pairs), len(pairs) - len(flips))
    assert (counts.only_in_a, counts.only_in_b) == (len(a) - len(pairs), len(b) - len(pairs))
    assert counts.pass_to_fail == sum(pair[1].prediction == "FAIL" for pair in flips)
    assert found.whole[0].fail_count == sum(row.prediction == "FAIL" for row in a)
    assert sum(found.whole[1].histogram) == len(b)
    scores = found.scores()
    assert scores.largest == max(
        (abs(one.probability_fail - other.probability_fail) for one, other in pairs), default=None
    )


def test_rows_of_one_split_are_joined_by_row_index_although_sample_ids_repeat() -> None:
    a, b = (
        answers([("x", 0.1, "PASS"), ("x", 0.9, "FAIL")]),
        answers([("x", 0.1, "PASS"), ("x", 0.2, "FAIL"), ("x", 0.7, None)]),
    )
    counts = compared(a, b[1:], [], by_row_index=True).counts()
    assert (counts.common, counts.fail_to_pass, counts.only_in_a, counts.only_in_b) == (1, 1, 1, 1)


def test_flipped_rows_come_page_by_page_and_metrics_are_those_of_both() -> None:
    a = answers([(str(i), 0.9, "FAIL") for i in range(10)])
    b = answers([(str(i), 0.1 if i % 2 else 0.9, "FAIL") for i in range(10)])
    comparison = compared(a, b, [])
    found: list[int] = []
    after = -1
    while True:
        page = diff_answer(view(), view(), comparison, "flipped", after, 2)
        found += [row.row_index_a for row in page.items]
        if page.next_cursor is None:
            break
        after = int(page.next_cursor)
    assert found == [1, 3, 5, 7, 9]
    assert not diff_answer(view(), view(), comparison, "pass_to_fail", -1, 10).items
    assert len(diff_answer(view(), view(), comparison, "fail_to_pass", -1, 10).items) == 5
    recall = page.metrics["recall"]
    assert (recall.a, recall.b, recall.difference) == (1.0, 0.5, -0.5)
    assert page.common_metrics["total_predictions"].b == 10
    assert page.scores.distance == pytest.approx(0.5)
    assert page.scores.mean_absolute == pytest.approx(0.4)


async def test_an_export_holds_every_answer_twice_and_says_what_it_holds() -> None:
    made = [prediction("ext-a", row) for row in range(5)]
    made[3].sample_id = 'with "quotes", commas\nand lines'

    async def pages() -> AsyncIterator[ComparedRows]:
        for start, end in pairwise([0, 2, 5]):
            yield ComparedRows(view(5), [(row.row_index, encode(row)) for row in made[start:end]])

    data = b"".join([part async for part in export(run_answer(view(5)), None, pages())])
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {*archive.namelist()} == {"predictions.csv", "predictions.jsonl", "manifest.json"}
        assert archive.read("predictions.jsonl").splitlines() == [encode(row) for row in made]
        lines = [*csv.DictReader(StringIO(archive.read("predictions.csv").decode(), newline=""))]
        assert tuple(lines[0]) == COLUMNS
        assert [line["sample_id"] for line in lines] == [row.sample_id for row in made]
        assert (lines[1]["row_timestamp"], lines[1]["redriven"]) == ("2026-01-01T00:00:01Z", "false")
        manifest = json.loads(archive.read("manifest.json"))
        assert (manifest["rows"], manifest["run"]["statistics"]["total_predictions"]) == (5, 5)
        for file in manifest["files"]:
            content = archive.read(file["name"])
            assert (file["bytes"], file["sha256"]) == (len(content), sha256(content).hexdigest())


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind() -> None:
    async def pages() -> AsyncIterator[ComparedRows]:
        for row in range(5):
            yield ComparedRows(view(5), [(row, encode(prediction("ext-a", row)))])

    parts = export(run_answer(view(5)), None, pages())
    assert await anext(parts)
    await parts.aclose()  # type: ignore[attr-defined]
