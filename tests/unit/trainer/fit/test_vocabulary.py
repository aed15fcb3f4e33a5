"""Vocabularies: the texts that come often enough in the rows learnt from, in a stable order, whatever stands around
them."""

from collections.abc import Sequence

import polars as pl

from rows.inputs import ModelInput, ModelInputs
from trainer.child.reporting import Reporter
from trainer.child.wire import Log, Progress
from trainer.fit.vocabulary import LONGEST_TEXT, MOST_VALUES, RAREST, fit_inputs, learnable


def fitted(texts: Sequence[str | None]) -> tuple[str, ...]:
    return (
        fit_inputs(pl.LazyFrame({"city": list(texts)}, schema={"city": pl.String}), ["city"], {"city"}).inputs[0].values
    )


def test_texts_that_come_often_enough_have_codes_in_a_stable_order() -> None:
    texts = [*["NYC"] * RAREST, *["LA"] * (RAREST + 5), *["rare"] * (RAREST - 1), None, ""]
    assert fitted(texts) == fitted(texts[::-1]) == ("LA", "NYC")


def test_blanks_around_a_text_make_no_other_text() -> None:
    assert fitted([" LA", "LA ", "LA", "   "]) == ("LA",)


def test_the_most_frequent_texts_are_kept_and_long_ones_are_not() -> None:
    texts = [f"v{number:03}" for number in range(MOST_VALUES + 20) for _ in range(RAREST + (number >= 20))]
    assert fitted(texts) == tuple(f"v{number:03}" for number in range(20, MOST_VALUES + 20))
    assert fitted(["x" * (LONGEST_TEXT + 1)] * 9 + ["y" * LONGEST_TEXT] * 9) == ("y" * LONGEST_TEXT,)


def test_a_column_of_too_many_texts_is_not_counted() -> None:
    rows = pl.LazyFrame({"part": [f"part {number}" for number in range(50) for _ in range(RAREST)]})
    assert fit_inputs(rows, ["part"], {"part"}, most_different=5).inputs[0].values == ()
    assert len(fit_inputs(rows, ["part"], {"part"}).inputs[0].values) == 50


def test_numbers_and_texts_keep_their_order_and_what_cannot_be_learnt_is_named() -> None:
    said: list[Progress | Log] = []
    rows = pl.LazyFrame({"a": [1.0] * 6, "city": ["LA"] * 6, "part": [f"p{number}" for number in range(6)]})
    found = learnable(fit_inputs(rows, ["part", "a", "city"], {"city", "part"}), Reporter("test", said.append))
    assert found.inputs == ModelInputs([ModelInput("a", "number"), ModelInput("city", "category", ("LA",))]).inputs
    assert [entry.message for entry in said if isinstance(entry, Log)] == [
        f"Left out: no text of these columns comes {RAREST} times: part"
    ]
