"""How a job tells of its progress: phases in the contract's words, with a percentage that never goes back."""

import time
from collections.abc import Callable
from typing import Any, Literal

from trainer.child.wire import Curve, Log, Progress

LOADING = "Loading and preparing data..."
TRAINING = "Training XGBoost model..."
RANKING = "Ranking features..."
EVALUATING = "Evaluating model on test set..."
SAVING = "Processing and saving results..."
LOADED_PERCENT, TRAINED_PERCENT, EVALUATED_PERCENT = 10.0, 85.0, 92.0
CURVE_POINTS = 128
"""A curve never has more points: when it is full, every other one goes and the rounds in between are left out from then
on."""


class GrowingCurve:
    """The losses so far, in a bounded number of points over all rounds."""

    def __init__(self, most: int = CURVE_POINTS) -> None:
        self._most, self._step = most, 1
        self._points: list[tuple[int, float, float | None]] = []

    def add(self, number: int, train: float, validation: float | None) -> Curve:
        """Take a round in; return the curve with this round as its last point."""
        point = (number, round(train, 6), None if validation is None else round(validation, 6))
        shown = [*self._points, point]
        if (number - 1) % self._step == 0:
            self._points.append(point)
        if len(self._points) >= self._most:
            self._points, self._step = self._points[::2], 2 * self._step
        return Curve(
            rounds=[number for number, _, _ in shown],
            train_loss=[loss for _, loss, _ in shown],
            validation_loss=[loss for _, _, loss in shown if loss is not None],
        )


class Reporter:
    """Turns what a job does into reports; `send` must not block for long. `clock` is in seconds."""

    def __init__(
        self, source: str, send: Callable[[Progress | Log], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source, self._send, self._clock = source, send, clock

    def phase(self, status: str, percent: float) -> None:
        """A phase begins."""
        self._send(Progress(status=status, percent=percent))

    def rounds(self, status: str) -> Callable[[int, int, float, float | None], None]:
        """A phase of boosting rounds begins: the function that is called after each of them; see
        `trainer.fit.training.OnRound`."""
        self.phase(status, LOADED_PERCENT)
        began_at, curve = self._clock(), GrowingCurve()

        def after_round(done: int, of: int, train_loss: float, validation_loss: float | None) -> None:
            percent = LOADED_PERCENT + (TRAINED_PERCENT - LOADED_PERCENT) * done / of
            eta_seconds = (self._clock() - began_at) / done * (of - done)
            self._send(
                Progress(
                    status=status,
                    percent=round(percent, 1),
                    iteration=done,
                    of=of,
                    eta_seconds=round(eta_seconds, 1),
                    curve=curve.add(done, train_loss, validation_loss),
                )
            )

        return after_round

    def log(self, level: Literal["INFO", "WARNING", "ERROR"], message: str, **meta: Any) -> None:
        """Write an entry to the task's log."""
        self._send(Log(level=level, source=self._source, message=message, meta=meta))
