"""A model's inputs in storage: read from its bundle, and applied to stored columns, each different text once by
`rows.inputs`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rows.inputs import PREPARATION, ModelInput, ModelInputs, read_inputs
from schemas.manifests import ModelManifest

if TYPE_CHECKING:
    import polars as pl

    from storage.objects.files import Storage


def inputs_of(storage: Storage, manifest: ModelManifest) -> ModelInputs:
    """The inputs of a model version. Raises `FileNotFoundError`, `ValueError` for changed ones,
    `StorageUnavailable`."""
    if PREPARATION not in manifest.files:
        return read_inputs(manifest, None)
    content = storage.read_bytes(f"models/{manifest.model_version}/{PREPARATION}")
    if hashlib.sha256(content).hexdigest() != manifest.files[PREPARATION]:
        raise ValueError(
            f"{PREPARATION} of {manifest.model_version} is not the file that was written (SHA-256 differs)"
        )
    return read_inputs(manifest, content)


def model_columns(frame: pl.DataFrame, inputs: ModelInputs) -> pl.DataFrame:
    """The frame's columns of the model as it takes them: float32, null or NaN for missing."""
    import polars as pl

    return frame.select(
        codes(frame[one.name], one) if one.is_category else frame[one.name].cast(pl.Float32) for one in inputs.inputs
    )


def codes(texts: pl.Series, category: ModelInput) -> pl.Series:
    """The codes of a column of texts, as float32."""
    import polars as pl

    distinct = texts.unique()
    known = pl.Series([category.code(text) for text in distinct.to_list()], dtype=pl.Float32)
    return (
        texts.replace_strict(distinct, known, default=None, return_dtype=pl.Float32)
        .fill_null(float("nan"))
        .alias(texts.name)
    )


def unknown(frame: pl.DataFrame, inputs: ModelInputs) -> Iterator[tuple[int, int, str]]:
    """Row, position of the input, and text of each category that the model does not know."""
    for at, category in inputs.categories.items():
        strange = codes(frame[category.name], category) == len(category.values)
        for row in strange.arg_true().to_list():
            yield row, at, str(frame[category.name][row])
