"""Which disturbance happens when: drawn from the seed alone, so that a seed can be repeated. Pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "kill",
    "stop",
    "freeze",
    "join",
    "leave",
    "kill broker",
    "restart broker",
    "empty redis",
    "redis full",
    "redis read only",
    "storage away",
    "storage root away",
    "disk full",
    "kill all workers",
]
PROCESSES = ("stream_processor", "producer", "gateway", "trainer")
TARGETS: dict[Kind, Sequence[str]] = {
    "kill": ("stream_processor", "stream_processor", "producer", "producer", "gateway", "trainer"),
    "stop": PROCESSES,
    "freeze": ("stream_processor", "producer", "stream_processor", "producer", "gateway", "trainer"),
    "join": ("stream_processor", "producer"),
    "leave": ("stream_processor", "producer"),
}
"""What may be hit; a name that stands twice is hit twice as often. Kinds that are not here have one target."""
WEIGHTS: dict[Kind, int] = {
    "kill": 8,
    "stop": 3,
    "freeze": 4,
    "join": 2,
    "leave": 2,
    "kill broker": 1,
    "empty redis": 1,
}
MUST: Sequence[tuple[Kind, str]] = (
    *(("kill", process) for process in PROCESSES),
    ("stop", "stream_processor"),
    ("stop", "producer"),
    ("stop", "gateway"),
    ("freeze", "stream_processor"),
    ("freeze", "producer"),
    ("join", "stream_processor"),
    ("leave", "stream_processor"),
    ("kill broker", ""),
    ("empty redis", ""),
    ("redis full", ""),
    ("redis read only", ""),
    ("storage away", ""),
    ("storage root away", ""),
    ("disk full", ""),
)
"""One of each kind, which every schedule begins with, in an order of its own."""
GAP_SECONDS = (1.0, 6.0)


@dataclass(frozen=True)
class Disturbance:
    """`lasts_seconds` matters to those that end by themselves; `which` chooses among several processes."""

    at_seconds: float
    kind: Kind
    target: str
    lasts_seconds: float
    which: float

    def __str__(self) -> str:
        return " ".join(word for word in (self.kind, self.target.replace("_", " ")) if word)


def schedule(
    seed: int, seconds: float, *, session_seconds: float, gaps: tuple[float, float] = GAP_SECONDS
) -> list[Disturbance]:
    """The disturbances of `seconds`, in order of time: one of each kind first (as far as there is time), then any."""
    chance = random.Random(seed)
    first = list(MUST)
    chance.shuffle(first)
    found: list[Disturbance] = []
    at = chance.uniform(*gaps)
    while at < seconds:
        kind, target = first.pop(0) if first else _any(chance)
        lasts = session_seconds + chance.uniform(1.0, 5.0) if kind == "freeze" else chance.uniform(1.0, 8.0)
        found.append(Disturbance(round(at, 3), kind, target, round(lasts, 3), chance.random()))
        at += chance.uniform(*gaps)
    return found


def _any(chance: random.Random) -> tuple[Kind, str]:
    kinds = get_args(Kind)
    kind: Kind = chance.choices(kinds, [WEIGHTS.get(kind, 1) for kind in kinds])[0]
    return kind, chance.choice(TARGETS.get(kind, ("",)))
