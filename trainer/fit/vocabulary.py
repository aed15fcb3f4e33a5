"""The vocabularies of a model's categories, fitted on the rows that it learns from: which texts have a code of their
own."""

from collections import Counter
from collections.abc import Collection, Sequence

import polars as pl

from rows.inputs import ModelInput, ModelInputs, spellings
from schemas.manifests import DatasetManifest
from storage.tables.names import column
from trainer.child.reporting import Reporter

MOST_VALUES = 254
RAREST = 3
"""A text of fewer rows is not learnt: it counts as unknown, so that the model knows what a strange text means."""
LONGEST_TEXT = 200
MOST_DIFFERENT = 100_000
"""Columns of more different texts, such as numbers of parts, are not counted: that would take memory for each of
them."""
LISTED = 5


def categories_of(dataset: DatasetManifest) -> set[str]:
    """The dataset's features that are texts."""
    numeric = {one.name for one in dataset.columns if one.type == "numeric"}
    return set(dataset.features) - numeric


def fit_inputs(
    rows: pl.LazyFrame, names: Sequence[str], categories: set[str], most_different: int = MOST_DIFFERENT
) -> ModelInputs:
    """The inputs of these names, in order. A category none of whose texts comes often enough has no values."""
    texts = [name for name in names if name in categories]
    different = (
        rows.select(column(name).approx_n_unique() for name in texts).collect(engine="streaming").row(0, named=True)
        if texts
        else {}
    )
    few = {name for name, count in different.items() if count <= most_different}
    return ModelInputs([_input(rows, name, different.keys(), few) for name in names])


def learnable(inputs: ModelInputs, reporter: Reporter) -> ModelInputs:
    """Those from which something can be learnt; a category without values, such as a name, is said to be left out."""
    empty = [one.name for one in inputs.categories.values() if not one.values]
    if empty:
        message = (
            f"Left out: no text of these columns comes {RAREST} times:"
            f" {', '.join(empty[:LISTED])}{' …' if len(empty) > LISTED else ''}"
        )
        reporter.log("INFO", message, columns=len(empty))
    return ModelInputs([one for one in inputs.inputs if one.name not in empty])


def _input(rows: pl.LazyFrame, name: str, categories: Collection[str], few: Collection[str]) -> ModelInput:
    """A number, or a category, with a vocabulary if it has few different texts."""
    if name not in categories:
        return ModelInput(name, "number")
    if name not in few:
        return ModelInput(name, "category")
    counted = rows.select(column(name).cast(pl.String).alias("text")).drop_nulls().group_by("text").len()
    found: Counter[str] = Counter()
    for text, count in counted.collect(engine="streaming").iter_rows():
        for spelled in spellings(text):
            found[spelled] += count
    common = [(-count, text) for text, count in found.items() if count >= RAREST and len(text) <= LONGEST_TEXT]
    return ModelInput(name, "category", tuple(sorted(text for _, text in sorted(common)[:MOST_VALUES])))
