"""Kinds of models. One of ours is a module here and a line below; anybody's is an entry point of the group
`intelliinspect.model_kinds` whose name is the kind's and whose object is a `base.Kind`."""

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from typing import Final

from models.kinds.base import Kind, Unusable
from models.kinds.xgboost import DISTRIBUTION, XGBoost

GROUP: Final = "intelliinspect.model_kinds"
DISTRIBUTIONS: Final = (DISTRIBUTION,)
"""The packages that score, as they are installed."""
_OURS: Final[dict[str, Callable[[], Kind]]] = {"xgboost": XGBoost}


@cache
def find(name: str) -> Kind:
    """The kind of this name. Raises `Unusable` when there is none here."""
    if name in _OURS:
        return _OURS[name]()
    for entry in entry_points(group=GROUP, name=name):
        kind: Kind = entry.load()
        return kind
    raise Unusable(f"there is no kind of models {name!r} here")


def warm() -> None:
    """Load the libraries of our own kinds, which takes a while."""
    for name in _OURS:
        find(name).version()
