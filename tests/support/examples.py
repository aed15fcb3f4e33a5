"""How many examples a test draws: all, or a few where `FEW_EXAMPLES` is set, as `make unit` does to be quick."""

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
FEW = bool(os.environ.get("FEW_EXAMPLES"))
SHARE = 12


def many(examples: int) -> int:
    """So many examples of a property, or a twelfth of them, five at least."""
    return max(5, examples // SHARE) if FEW else examples


def some(cases: Sequence[T]) -> list[T]:
    """All cases of a corpus, or every twelfth."""
    return list(cases[::SHARE] if FEW else cases)
