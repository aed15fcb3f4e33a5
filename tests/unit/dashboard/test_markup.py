"""What pages are made of: texts of users are text, figures read well, every problem is named."""

from datetime import UTC, datetime

import pytest

from client.errors import RequestProblem
from dashboard import figures, frame, markup
from dashboard.markup import Html
from schemas.manifests import ConfusionMatrix

EVIL = "<script>alert(1)</script>"


def test_links_stay_below_a_prefix_and_texts_stay_as_they_are() -> None:
    piece = markup.table(["run", "name"], [[markup.link("/runs/r", "r"), 'href="/x']], caption="runs")
    assert frame.below("/inspect", piece) == piece.replace('href="/runs/r"', 'href="/inspect/runs/r"')


@pytest.mark.parametrize(
    "piece",
    [
        markup.metric(EVIL, EVIL, EVIL, hint=EVIL),
        markup.facts([(EVIL, EVIL)]),
        markup.table([EVIL], [[EVIL]], caption=EVIL),
        markup.link(EVIL, EVIL),
        markup.mono(EVIL),
        markup.badge(EVIL),
        markup.status(EVIL),
        markup.note("bad", EVIL, [EVIL]),
        markup.problems(EVIL, [RequestProblem(EVIL, EVIL, EVIL)]),
        markup.bar(0.5, EVIL),
        markup.reasons({EVIL: 1.0}, {EVIL: None}),
        markup.reasons({"S1": 1.0}, {"S1": EVIL}),
        markup.joined([EVIL, EVIL]),
    ],
)
def test_no_text_of_a_user_becomes_markup(piece: Html) -> None:
    assert "<script" not in piece
    assert "&lt;script&gt;" in piece


def test_a_missing_value_among_the_reasons_is_said_to_be_missing() -> None:
    assert "S1 = missing: towards FAIL" in markup.reasons({"S1": 0.5}, {"S1": None})
    assert "S2 = 3.25: towards PASS" in markup.reasons({"S2": -0.5}, {"S2": 3.25})


def test_colour_is_never_the_only_sign() -> None:
    assert "✓ PASS" in markup.verdict("PASS")
    assert "✗ FAIL" in markup.verdict("FAIL")
    assert "▲ +0.50" in markup.reasons({"S1": 0.5}, {})
    assert "▼ −0.50" in markup.reasons({"S1": -0.5}, {})
    assert "Paused" in markup.status("PAUSED")


def test_problems_are_listed_with_their_fields() -> None:
    shown = markup.problems("No", [RequestProblem("too early", "body.train.end"), RequestProblem("no file", "body")])
    assert "<b>train.end</b>: too early" in shown
    assert "<li>no file</li>" in shown
    assert 'role="alert"' in shown


def test_confusion_matrix_has_truth_by_row() -> None:
    shown = markup.matrix(ConfusionMatrix(true_positives=1, false_positives=2, true_negatives=3, false_negatives=4))
    order = [shown.index(f"<b>{count}</b>") for count in (1, 4, 2, 3)]
    assert order == sorted(order)


def test_times_are_utc_and_machine_readable() -> None:
    shown = markup.time(datetime(2021, 1, 2, 3, 4, 5, 600000, tzinfo=UTC))
    assert 'datetime="2021-01-02T03:04:05.600000Z"' in shown
    assert ">2021-01-02 03:04:05<" in shown
    assert markup.time(None) == figures.DASH


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.count(1234567), "1,234,567"),
        (figures.count(None), "–"),
        (figures.share(0.9392, 2), "93.92 %"),
        (figures.score(-0.0481), "−0.048"),
        (figures.size(512), "512 B"),
        (figures.size(5238389), "5.0 MB"),
        (figures.number(1.04), "1.0"),
        (figures.number(1234.5), "1,234"),
        (figures.ordered_pace(None), "as fast as possible"),
        (figures.ordered_pace(1.0), "1 row/s"),
        (figures.duration(59.6), "1 min 00 s"),
        (figures.duration(7384), "2 h 03 min"),
        (figures.duration(None), "–"),
        (
            figures.span(datetime(2021, 1, 1, 6, tzinfo=UTC), datetime(2021, 1, 1, 7, tzinfo=UTC)),
            "2021-01-01 06:00 – 07:00",
        ),
        (
            figures.span(datetime(2021, 1, 1, 6, tzinfo=UTC), datetime(2021, 1, 3, 7, tzinfo=UTC)),
            "2021-01-01 – 2021-01-03",
        ),
    ],
)
def test_figures_read_well(shown: str, expected: str) -> None:
    assert shown == expected
