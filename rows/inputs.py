"""What a model takes of a row: numbers as they are, texts as codes of a fitted vocabulary. Pure; one function for
trainer, stream, replay and recount, so that a row has the same bits everywhere (ADR 34).

A category's value is the position of its text in `values`. Two outcomes beside that are stated: a text that is not
among them is
*unknown*, with the code `len(values)`, which training also gives to texts too rare to be learnt; null, and a text of
blanks, is *missing*, NaN. A number or a yes/no given for a category means its text: 1.0 is "1", true is "true" in the
spelling of the vocabulary."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from math import isfinite, isnan, nan
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from schemas.manifests import ModelManifest

Said: TypeAlias = str | float | int | bool | None
"""What a row may hold for a category."""
UNKNOWN_TEXT = "(unknown)"
"""Stands for a text that is not kept, where one must be shown; with more brackets where the vocabulary has it."""


class ModelInput(Struct, frozen=True, dict=True, omit_defaults=True):
    """A column of the row that the model takes. `values` are a category's texts, in the order of their codes."""

    name: str
    kind: Literal["number", "category"]
    values: tuple[str, ...] = ()

    @property
    def is_category(self) -> bool:
        """Whether it is a text."""
        return self.kind == "category"

    @cached_property
    def codes(self) -> dict[str, float]:
        """The code of each text of the vocabulary."""
        return {text: float(code) for code, text in enumerate(self.values)}

    @cached_property
    def unknown(self) -> str:
        """A text that no value of the vocabulary has."""
        text = UNKNOWN_TEXT
        while text in self.codes:
            text = f"({text})"
        return text

    def code(self, said: Said) -> float:
        """The category's number; NaN for missing."""
        texts = spellings(said)
        return (
            next((self.codes[text] for text in texts if text in self.codes), float(len(self.values))) if texts else nan
        )

    def text(self, code: float | None) -> str | None:
        """The text of a code: it has that code again."""
        if code is None or isnan(code):
            return None
        return self.values[int(code)] if 0 <= code < len(self.values) else self.unknown


def spellings(said: Said) -> tuple[str, ...]:
    """The texts that a value may stand for, the likeliest first; none when it is missing."""
    if isinstance(said, str):
        return (text,) if (text := said.strip()) else ()
    if isinstance(said, bool):
        word = str(said)
        return word.lower(), word, word.upper()
    if said is None or isnan(said):
        return ()
    return (str(int(said)), f"{said:.1f}") if isfinite(said) and said == int(said) else (str(said),)


class ModelInputs:
    """The inputs of a model version, in the order of its features."""

    def __init__(self, inputs: Sequence[ModelInput]) -> None:
        self.inputs = tuple(inputs)
        self.names = [one.name for one in self.inputs]
        self.categories: dict[int, ModelInput] = {at: one for at, one in enumerate(self.inputs) if one.is_category}
        """By position."""
        self._codes = [(at, one.codes, one) for at, one in self.categories.items()]

    @property
    def types(self) -> list[str] | None:
        """XGBoost's feature types; none when all are numbers."""
        return ["c" if one.is_category else "q" for one in self.inputs] if self.categories else None

    def numbers_of(self, values: Sequence[Said]) -> list[float | None]:
        """The model's input of a row whose categories are texts."""
        coded: list[float | None] = list(values)  # type: ignore[arg-type]  # those of the categories are replaced
        for at, codes, category in self._codes:
            code = codes.get(values[at])  # type: ignore[arg-type]  # measured: most texts are as the vocabulary spells them
            coded[at] = category.code(values[at]) if code is None else code
        return coded

    def row_of(self, values: Sequence[float | None], unknown: Mapping[int, str] | None = None) -> list[Said]:
        """The row that `numbers_of` makes these values of; `unknown` has texts that are not in the vocabulary, by
        position."""
        told: list[Said] = list(values)
        for at, category in self.categories.items():
            told[at] = (unknown or {}).get(at) or category.text(values[at])
        return told


class _Preparation(Struct, frozen=True):
    version: int
    inputs: list[ModelInput]


PREPARATION = "preparation.json"
"""The file of a bundle that holds its inputs; a bundle without categories has none."""


def write_inputs(inputs: Iterable[ModelInput]) -> bytes:
    """The content of `PREPARATION`."""
    return msgspec.json.encode(_Preparation(1, list(inputs)))


def read_inputs(manifest: ModelManifest, content: bytes | None) -> ModelInputs:
    """The inputs of a model version from its `PREPARATION`, or of numbers alone. Raises `ValueError` when they are not
    this model's."""
    if content is None:
        return numbers(manifest.features)
    try:
        found = msgspec.json.decode(content, type=_Preparation)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{PREPARATION} cannot be read: {error}") from error
    if found.version != 1:
        raise ValueError(f"{PREPARATION} is of version {found.version}, known is 1")
    if [one.name for one in found.inputs] != manifest.features:
        raise ValueError(f"the inputs of {PREPARATION} are not the manifest's features")
    if any(
        len(set(one.values)) != len(one.values) or any(spellings(text) != (text,) for text in one.values)
        for one in found.inputs
    ):
        raise ValueError(f"{PREPARATION} holds a text twice, or one with blanks around it")
    return ModelInputs(found.inputs)


def numbers(names: Sequence[str]) -> ModelInputs:
    """Inputs that are numbers all."""
    return ModelInputs([ModelInput(name, "number") for name in names])
