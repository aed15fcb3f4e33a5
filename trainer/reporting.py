"""How a job tells of its progress: phases in the contract's words, with a percentage that never goes back."""

import time
from collections.abc import Callable
from typing import Any, Literal

from trainer.wire import Log, Progress

LOADING = "Loading and preparing data..."
TRAINING = "Training XGBoost model..."
RANKING = "Ranking features..."
EVALUATING = "Evaluating model on test set..."
SAVING = "Processing and saving results..."
LOADED_PERCENT, TRAINED_PERCENT, EVALUATED_PERCENT = 10.0, 85.0, 92.0


class Reporter:
    """Turns what a job does into reports; `send` must not block for long. `clock` is in seconds."""

    def __init__(self, source: str, send: Callable[[Progress | Log], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._send, self._clock = source, send, clock

    def phase(self, status: str, percent: float) -> None:
        """A phase begins."""
        self._send(Progress(status=status, percent=percent))

    def rounds(self, status: str) -> Callable[[int, int], None]:
        """A phase of boosting rounds begins: the function that is called after each of them, with the rounds done and at most."""
        self.phase(status, LOADED_PERCENT)
        began_at = self._clock()

        def after_round(done: int, of: int) -> None:
            percent = LOADED_PERCENT + (TRAINED_PERCENT - LOADED_PERCENT) * done / of
            eta_seconds = (self._clock() - began_at) / done * (of - done)
            self._send(Progress(status=status, percent=round(percent, 1), iteration=done, of=of, eta_seconds=round(eta_seconds, 1)))

        return after_round

    def log(self, level: Literal["INFO", "WARNING", "ERROR"], message: str, **meta: Any) -> None:
        """Write an entry to the task's log."""
        self._send(Log(level=level, source=self._source, message=message, meta=meta))
