"""The producers that one run has had, by epoch: exactly those, from the first on that is known. Pure.

Of one key compaction keeps the last record before some offset, and all behind it. So an epoch above the first that was
met, and not met itself, nobody ever had. Of those below it only their bounds are known.
"""

from typing import NamedTuple

from schemas.tasks import Marks, RunPosition

EPOCHS_MAX = 256
"""So many of a run are remembered; of more, the oldest as if they were compacted."""


class Owner(NamedTuple):
    """A producer's attempt, and what it said last of the markers that it sends."""

    attempt: int
    marks: Marks | None


class Owners:
    """Give it the positions of one run in the order of the topic."""

    def __init__(self) -> None:
        self._owners: dict[int, Owner] = {}
        self._attempt_began = False
        """The first that is known is the first of its attempt."""

    def note(self, position: RunPosition, epoch: int, *, begins: bool) -> None:
        """Learn of a producer. `begins`: it is the first of its attempt."""
        if not self._owners or epoch < min(self._owners):
            self._attempt_began = begins
        elif epoch in self._owners and self._owners[epoch].attempt != position.attempt:
            return  # an attempt that ended before it had an epoch of its own
        self._owners[epoch] = Owner(position.attempt, position.marks)
        if len(self._owners) > EPOCHS_MAX:
            del self._owners[min(self._owners)]
            self._attempt_began = False

    def had(self, attempt: int, epoch: int) -> bool:
        """Whether a producer can have had this epoch in this attempt."""
        if not self._owners:
            return True
        first = min(self._owners)
        if epoch > first or (epoch == first and self._attempt_began):
            owner = self._owners.get(epoch)
            return owner is not None and owner.attempt == attempt
        return attempt <= self._owners[first].attempt - self._attempt_began

    def marks(self, epoch: int) -> Marks | None:
        """What the producer of this epoch said; null when it said nothing, or is not known."""
        owner = self._owners.get(epoch)
        return owner.marks if owner else None
