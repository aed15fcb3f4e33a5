"""What is on the topics at the end, read whole and committed, and kept small: a run of a hundred thousand rows must
fit."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from runtime.kafka.reading import read_to_end
from schemas.ids import POSITION_PREFIX
from schemas.messages import LaneStats, Verdict
from schemas.tasks import TaskState
from schemas.topics import (
    DEAD_LETTERS,
    INLETS,
    MARK_TYPE,
    PREDICTIONS,
    REDRIVE_HEADER,
    ROWS,
    STATS_CHANGELOG,
    TASKS,
    TYPE_HEADER,
)
from tests.chaos.outsiders import TOKEN_HEADER


class Place(msgspec.Struct, frozen=True):
    """Where a row stood."""

    partition: int
    offset: int
    topic: str = ROWS.name


class Answer(msgspec.Struct):
    """What matters of a prediction."""

    prediction_id: str
    run_id: str
    attempt: int
    lane: int
    row_index: int
    sample_id: str
    prediction: Verdict
    confidence: float
    probability_fail: float
    model_version: str
    label: Verdict | None
    source: Place
    redriven: bool = False


class Letter(msgspec.Struct):
    """What matters of a dead letter."""

    dead_letter_id: str
    reason: str
    message: str
    partition: int
    offset: int
    topic: str
    run_id: str | None
    attempt: int | None
    lane: int | None
    row_index: int | None


@dataclass
class Evidence:
    """The topics. `answers` and `letters` are by run and attempt, in the order of their partition; letters without a
    run under None."""

    answers: dict[tuple[str, int], list[Answer]] = field(default_factory=lambda: defaultdict(list))
    letters: dict[tuple[str, int] | None, list[Letter]] = field(default_factory=lambda: defaultdict(list))
    lanes: dict[bytes, LaneStats] = field(default_factory=dict)
    tasks: dict[str, TaskState] = field(default_factory=dict)
    tokens: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    """Where the records of the other system stand."""
    rows: int = 0
    marks: int = 0

    @property
    def predictions(self) -> int:
        return sum(map(len, self.answers.values()))

    def stats(self, run_id: str, attempt: int) -> dict[int, LaneStats]:
        """The lanes of an attempt."""
        return {lane.lane: lane for lane in self.lanes.values() if (lane.run_id, lane.attempt) == (run_id, attempt)}


async def gather(
    kafka: dict[str, Any], answers_of: Collection[str] | None = None, without: Collection[str] = ()
) -> Evidence:
    """Read everything. All writers must have come to rest.

    `answers_of`: keep the answers of these runs only. `without`: places (topic:partition:offset) of records that are no
    system's of ours."""
    found = Evidence()
    answer, letter = msgspec.json.Decoder(Answer).decode, msgspec.json.Decoder(Letter).decode
    stats, task = msgspec.json.Decoder(LaneStats).decode, msgspec.json.Decoder(TaskState).decode
    async for record in _read(kafka, without, PREDICTIONS.name):
        prediction = answer(record.value)
        if answers_of is not None and prediction.run_id not in answers_of:
            continue
        found.answers[prediction.run_id, prediction.attempt].append(prediction)
    async for record in _read(kafka, without, DEAD_LETTERS.name):
        if record.value and (TYPE_HEADER, MARK_TYPE) in record.headers:
            found.marks += 1
        elif record.value:
            dead = letter(record.value)
            found.letters[None if dead.run_id is None else (dead.run_id, dead.attempt or 1)].append(dead)
    async for record in _read(kafka, without, STATS_CHANGELOG.name):
        if not record.key.startswith(POSITION_PREFIX):
            if record.value:
                found.lanes[record.key] = stats(record.value)
            else:
                found.lanes.pop(record.key, None)
    async for record in _read(kafka, without, TASKS.name):
        if record.value:
            state = task(record.value)
            found.tasks[state.task_id] = state
    for topic in INLETS:
        async for record in _read(kafka, without, topic.name):
            found.rows += 1
            for name, value in record.headers:
                if name == TOKEN_HEADER and not any(other == REDRIVE_HEADER for other, _ in record.headers):
                    found.tokens[value.decode()].append(Place(record.partition, record.offset, record.topic))
    return found


async def _read(kafka: dict[str, Any], without: Collection[str], topic: str) -> AsyncIterator[ConsumerRecord]:
    async for record in read_to_end(kafka, topic):
        if f"{topic}:{record.partition}:{record.offset}" not in without:
            yield record
