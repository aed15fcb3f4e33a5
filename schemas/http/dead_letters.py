"""HTTP shapes of `/v1/dead-letters`: list, show, redrive, purge.

A letter is `open`, `redriven` (sent again; `outcome` says what came of it) or `purged`. Its id names its record:
partition and offset."""

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from schemas.http.shared import Shape
from schemas.messages import Reason

LetterState = Literal["open", "redriven", "purged"]
MOST_LETTERS = 1000
"""How many letters one request may redrive or purge."""


class Outcome(Shape):
    """What came of a redrive: `answered` (counted once, the answer is `prediction_id`), `dead_letter` (again one:
    `dead_letter_id`), or `ignored` with the reason in `message`."""

    outcome: Literal["answered", "dead_letter", "ignored"]
    at: datetime
    message: str
    prediction_id: str | None
    dead_letter_id: str | None


class DeadLetterSummary(Shape):
    """A dead letter in a list. `path` points at the field that was wrong; run, attempt and row say where it is
    counted."""

    dead_letter_id: str
    state: LetterState
    reason: Reason
    message: str
    path: str | None
    run_id: str | None
    attempt: int | None
    row_index: int | None
    model_version: str | None
    topic: str
    partition: int
    offset: int
    occurred_at: datetime
    outcome: Outcome | None = Field(description="of the latest redrive; null before its outcome is known")


class DeadLetterPage(Shape):
    """Letters, newest first. `total` and `by_reason` count all that match the filters, on this page or not.

    `older_on_topic_only`: there are older letters, on the topic `dead-letters.v1` alone: they can be had by their id,
    and are in no list."""

    items: list[DeadLetterSummary]
    next_cursor: str | None
    total: int
    by_reason: dict[str, int]
    older_on_topic_only: bool


class LetterHeader(Shape):
    """A header of a record; `text` is null when the value is not UTF-8, both are when there is none."""

    name: str
    text: str | None
    base64: str | None


class DeadLetterView(DeadLetterSummary):
    """A dead letter, whole. `value_text` and `key_text` are null when the bytes are not UTF-8.

    `whole`: no byte of the value is missing. Of very large values the beginning is kept.
    """

    key_text: str | None
    key_base64: str | None
    headers: dict[str, str]
    all_headers: list[LetterHeader] = Field(
        default_factory=list, description="in their order, duplicates and values of any bytes too"
    )
    headers_cut: int = Field(0, description="headers that did not fit and are not kept")
    value_text: str | None
    value_base64: str
    whole: bool


class RedriveOne(Shape):
    """How to redrive a letter: with its own bytes, or with an edited value: an object, sent as JSON, or the text of
    one."""

    model_config = ConfigDict(extra="forbid")

    value: str | dict[str, Any] | None = None


class LetterFilter(Shape):
    """Which letters are meant; those that match all that is given."""

    model_config = ConfigDict(extra="forbid")

    run_id: str | None = Field(None, max_length=200)
    reason: Reason | None = None
    topic: str | None = Field(None, max_length=249)


class RedriveMatching(LetterFilter):
    """Open letters to send again as they were, the newest 1,000 that match at most; `{}`: all."""


class PurgeMatching(LetterFilter):
    """Letters to take off the list for good: those named in `ids`, else those that match; `all` goes for an empty
    filter."""

    ids: list[str] | None = Field(None, max_length=MOST_LETTERS)
    all: bool = False

    @model_validator(mode="after")
    def _means_something(self) -> "PurgeMatching":
        filtered = self.run_id is not None or self.reason is not None or self.topic is not None
        if self.ids is None and not filtered and not self.all:
            raise ValueError("say which letters: ids, a filter, or all")
        if self.ids is not None and (filtered or self.all):
            raise ValueError("either ids or a filter")
        return self


class LetterFailed(Shape):
    """A letter that was not dealt with, and why."""

    dead_letter_id: str
    detail: str


class LettersSent(Shape):
    """Answer of a redrive or purge of many: how many were meant, how many went out; `left`: matching letters beyond the
    bound of a request.

    Doing it again does no harm: a letter is counted and purged once.
    """

    matched: int
    sent: int
    failed: list[LetterFailed]
    left: int
