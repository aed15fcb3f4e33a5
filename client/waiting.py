"""Waiting for a task: when to ask again, when it is done, when to give up. Pure; the clients ask and sleep."""

from dataclasses import dataclass

from client.errors import TaskFailed, TimedOut
from schemas.http.runs import Run
from schemas.http.shared import TaskStatus
from schemas.messages import TERMINAL


def succeeded(status: TaskStatus) -> bool:
    """Whether the task is done; false while it goes on. Raises `TaskFailed` when it ended otherwise."""
    if status.status in ("FAILED", "STOPPED"):
        raise TaskFailed(status.task_id, status.status, status.error or "no reason given")
    return status.status == "COMPLETED"


def ended(run: Run) -> bool:
    """Whether the run has ended; its numbers are final then. Raises `TaskFailed` when it failed."""
    if run.status == "FAILED":
        raise TaskFailed(run.run_id, run.status, run.error or run.message or "no reason given")
    return run.status in TERMINAL


@dataclass(slots=True)
class Wait:
    """Ask often at first, then every second; give up after `timeout_seconds`."""

    task_id: str
    timeout_seconds: float | None
    started_at: float
    next_pause_seconds: float = 0.1

    def pause(self, now: float) -> float:
        """Seconds until the next question. Raises `TimedOut`."""
        if self.timeout_seconds is not None and now - self.started_at >= self.timeout_seconds:
            raise TimedOut(self.task_id, self.timeout_seconds)
        pause = self.next_pause_seconds
        self.next_pause_seconds = min(pause * 1.5, 1.0)
        return pause
