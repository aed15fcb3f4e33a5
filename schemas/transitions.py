"""What a run may be ordered to do, and in which states: the one table. Pure.

The gateway refuses by it (409), the run's owner ignores by it what comes too late, pages offer by it, and docs/api.md
is held to it. Rows that another system feeds have no owner of ours: they cannot be steered at all.
"""

from collections.abc import Mapping
from typing import Final, Literal

from schemas.messages import TERMINAL, Status

RunOrder = Literal["pause", "resume", "speed", "seek", "step", "stop", "retry"]
TRANSITIONS: Final[Mapping[RunOrder, frozenset[Status]]] = {
    "pause": frozenset({"PENDING", "IN_PROGRESS"}),
    "resume": frozenset({"PAUSED"}),
    "speed": frozenset({"PENDING", "IN_PROGRESS", "PAUSED"}),
    "seek": frozenset({"IN_PROGRESS", "PAUSED"}),
    "step": frozenset({"PAUSED"}),
    "stop": frozenset({"PENDING", "IN_PROGRESS", "PAUSED"}),
    "retry": TERMINAL,
}
_ORDER: Final[tuple[Status, ...]] = ("PENDING", "IN_PROGRESS", "PAUSED", "COMPLETED", "FAILED", "STOPPED")


def may(order: RunOrder, status: Status) -> bool:
    """Whether a run in this state may be ordered so."""
    return status in TRANSITIONS[order]


def states_of(order: RunOrder) -> list[Status]:
    """The states in which a run may be ordered so, in the order of a run's life."""
    return [status for status in _ORDER if status in TRANSITIONS[order]]
