"""The body of a dead letter: shown with the bad field marked, and mended."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dashboard import payload

BODY: dict[str, Any] = {"run_id": "r", "features": {"S1": "x", "a.b": 2, "S3": None}}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (None, ()),
        ("$", ()),
        ("$.run_id", ("run_id",)),
        ("$.features", ("features",)),
        ("$.features.S1", ("features", "S1")),
        ("$.features.a.b", ("features", "a.b")),
    ],
)
def test_a_path_points_at_a_field(path: str | None, place: payload.Place) -> None:
    assert payload.place(path) == place


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        ("$.features.S1", ['    "S1": "x",']),
        ("$.features.a.b", ['    "a.b": 2,']),
        ("$.features.S9", ['    "S9": …']),
        ("$.lane", ['  "lane": …']),
        ("$.features", ['  "features": {']),
        (None, []),
    ],
)
def test_the_bad_field_is_marked_also_where_it_is_missing(path: str | None, marked: list[str]) -> None:
    assert [line.text for line in payload.lines(BODY, payload.place(path)) if line.bad] == marked


VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-5, 5) | some.text(max_size=3),
    lambda inner: some.lists(inner, max_size=2) | some.dictionaries(some.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(some.dictionaries(some.text(min_size=1, max_size=3), VALUES, max_size=4))
def test_what_is_shown_unmarked_is_the_body(body: dict[str, Any]) -> None:
    assert json.loads("\n".join(line.text for line in payload.lines(body, ()))) == body
    assert payload.read(payload.write(body)) == body


def test_a_field_is_mended_added_or_taken_away_and_the_former_body_stays() -> None:
    assert payload.mended(BODY, ("features", "S1"), 1.5)["features"] == {"S1": 1.5, "a.b": 2, "S3": None}
    assert payload.mended(BODY, ("features", "S9"), 0)["features"]["S9"] == 0
    assert "a.b" not in payload.mended(BODY, ("features", "a.b"), None, remove=True)["features"]
    assert BODY["features"]["S1"] == "x"


@pytest.mark.parametrize(("text", "meant"), [("1.5", 1.5), ("", None), ("null", None), ("PASS", "PASS"), ('"7"', "7")])
def test_typed_values_mean_what_they_look_like(text: str, meant: Any) -> None:
    assert payload.typed(text) == meant


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '{"a": 1e999}', "[" * 100_000])
def test_a_body_that_is_no_object_is_not_read(text: str | None) -> None:
    assert payload.read(text) is None


def test_the_lines_about_the_mark_are_cut_out() -> None:
    body = {"features": {f"S{number}": number for number in range(500)}}
    start, shown = payload.around(payload.lines(body, ("features", "S300")))
    assert any(line.bad for line in shown)
    assert (start > 250, len(shown) < 50) == (True, True)
