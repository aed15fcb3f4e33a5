"""The pure parts of pages: ranges over a timeline, thresholds, comparisons, downloads, charts."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from dashboard import charts
from dashboard.guide_ranges import SpanPlaces, as_texts, read_time
from dashboard.model_view import at_threshold
from dashboard.page_compare import difference_table
from dashboard.page_system import ScoredPace
from dashboard.run_history import as_csv, as_json_lines
from schemas.http.runs import Difference, PredictionView, Run
from schemas.http.v1 import DatasetTimeline, Range, SuggestedSplit
from tests.support import gateway_answers as answers

START = datetime(2021, 1, 1, tzinfo=UTC)
HOURS = SpanPlaces(
    DatasetTimeline(dataset_id="ds-1", start=START, step_seconds=3600, rows=[10] * 24, failures=[1] * 24)
)


def typed(*hours: int) -> dict[str, str]:
    """Ranges by hours: train start, train end and so on; an end is a second before its hour."""
    moments = [START + timedelta(hours=hour, seconds=-(i % 2)) for i, hour in enumerate(hours)]
    names = [f"{name}.{end}" for name in ("train", "test", "simulation") for end in ("start", "end")]
    return {name: moment.isoformat() for name, moment in zip(names, moments, strict=True)}


def test_ranges_stand_at_the_spans_that_they_cover() -> None:
    assert HOURS.places(typed(0, 12, 12, 18, 20, 24)) == {"train": (0, 12), "test": (12, 18), "simulation": (20, 24)}


def test_a_range_that_is_no_date_or_shorter_than_a_span_still_stands_somewhere() -> None:
    wrong = typed(0, 12, 12, 18, 23, 24) | {"test.start": "soon", "simulation.start": "2021-01-01T23:59:58Z"}
    assert HOURS.places(wrong) == {"train": (0, 12), "test": (0, 1), "simulation": (23, 24)}
    assert HOURS.bounds(wrong, "test") is None


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("2021-01-01", False, START),
        ("2021-01-01", True, START + timedelta(days=1, microseconds=-1)),
        ("2021-01-01T06:00:00", True, START + timedelta(hours=6)),
        ("2021-01-01T08:00:00+02:00", False, START + timedelta(hours=6)),
        ("2021-01-01T06:00:00Z", False, START + timedelta(hours=6)),
        ("yesterday", False, None),
        ("", True, None),
    ],
)
def test_times_are_read_as_the_gateway_reads_them(text: str, end: bool, expected: datetime | None) -> None:
    assert read_time(text, end=end) == expected


def test_places_and_moments_are_inverse() -> None:
    assert [HOURS.place(HOURS.moment(i)) for i in range(25)] == list(range(25))
    assert HOURS.place(START - timedelta(days=1)) == 0
    assert HOURS.place(START + timedelta(days=9)) == 24


def test_a_suggestion_fills_every_field() -> None:
    part = Range(start="2021-01-01T00:00:00Z", end="2021-01-02T00:00:00Z")
    texts = as_texts(SuggestedSplit(dataset_id="ds-1", train=part, test=part, simulation=part))
    assert len(texts) == 6
    assert set(texts.values()) == {"2021-01-01T00:00:00Z", "2021-01-02T00:00:00Z"}


def test_a_row_fails_when_its_score_reaches_the_threshold() -> None:
    points: dict[str, list[float]] = {
        "threshold": [2.0, 0.8, 0.4],
        "tp": [0, 1, 2],
        "fp": [0, 0, 1],
        "tn": [3, 3, 2],
        "fn": [2, 1, 0],
    }
    assert at_threshold(points, 0.8).true_positives == 1
    assert at_threshold(points, 0.81).true_positives == 0
    assert at_threshold(points, 0.0).false_positives == 1


def test_differences_are_shown_with_their_sign_and_counts_without_decimals() -> None:
    shown = difference_table(
        {
            "fail_count": Difference(a=33, b=1030, difference=997),
            "mcc": Difference(a=0.5, b=0.25, difference=-0.25),
            "accuracy": Difference(a=0.5, b=0.5, difference=0.0),
            "precision": Difference(a=None, b=0.5, difference=None),
        }
    )
    assert "+997<" in shown
    assert ">1,030<" in shown
    assert ">−0.250<" in shown
    assert ">=<" in shown
    assert ">–<" in shown


def run(run_id: str, total: int) -> Run:
    return answers.run(run_id, total=total)


def test_throughput_counts_what_was_scored_between_two_looks_and_no_run_that_is_new() -> None:
    throughput = ScoredPace()
    throughput.add([run("a", 100)], 2.0)
    throughput.add([run("a", 120), run("b", 5000)], 2.0)
    throughput.add([run("a", 120), run("b", 5010)], 2.0)
    assert throughput.points == [10.0, 5.0]


async def rows() -> AsyncIterator[PredictionView]:
    for index in range(3):
        yield answers.prediction(index)


async def test_downloads_hold_every_prediction() -> None:
    lines = [line async for line in as_csv(rows())]
    assert lines[0].startswith("prediction_id,run_id,attempt,lane,row_index,sample_id")
    assert len(lines) == 4
    parsed = [json.loads(line) async for line in as_json_lines(rows())]
    assert [item["row_index"] for item in parsed] == [0, 1, 2]


def test_every_chart_can_be_sent_as_json() -> None:
    made = [
        charts.by_round([0.3, 0.2], [0.4, 0.3], 1),
        charts.by_round([], [], None),
        charts.curve({"test": ([0.0, 1.0], [0.0, 1.0])}, "x", "y", chance=True),
        charts.growing([1, 3], [0.3, 0.2], []),
        charts.quality([0, 1], [0.9, 0.2], 0.5),
        charts.quality([], [], None),
        charts.donut(3, 1),
        charts.histogram({"A": [1] * 20, "B": [0] * 20}, 0.5),
        charts.ranking(["a", "b"], [2.0, 1.0], percent=True),
        charts.throughput([1.0]),
    ]
    for options in made:
        assert json.loads(json.dumps(options))["series"]
