"""What the gateway reads: tasks, runs, datasets, splits, models, logs, from the view in Redis.

Every read is one round trip (lists: two). Raises `RedisUnavailable`, and `ViewRebuilding` while the view is not whole: a wrong or a missing
number is never returned. Unknown objects are None.
"""

from typing import Generic, NamedTuple, TypeVar

from schemas.manifests import DatasetManifest, ModelManifest, SplitManifest
from schemas.messages import Alias, DeadLetter, LogEntry, TaskKind, TaskState
from storage.run_view import RunView

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """Part of a list, newest first; `next_cursor` continues it, None at its end."""

    items: list[T]
    next_cursor: str | None


class WrongCursor(ValueError):
    """The cursor was not made by us."""


class Views:
    """Reads of one gateway process; safe to share between requests."""

    async def ready(self) -> None:
        """Return when the view can be read; raise `RedisUnavailable` or `ViewRebuilding`."""
        raise NotImplementedError

    async def task(self, task_id: str) -> TaskState | None:
        """Newest state of a task of any kind, as its worker wrote it. For a run use `run`: what is shown differs."""
        raise NotImplementedError

    async def run(self, run_id: str) -> RunView | None:
        """A run's state and statistics."""
        raise NotImplementedError

    async def dataset(self, dataset_id: str) -> DatasetManifest | None:
        raise NotImplementedError

    async def latest_dataset(self, workspace: str) -> DatasetManifest | None:
        raise NotImplementedError

    async def split(self, split_id: str) -> SplitManifest | None:
        raise NotImplementedError

    async def latest_split(self, workspace: str, dataset_id: str | None = None) -> SplitManifest | None:
        raise NotImplementedError

    async def model(self, model_version: str) -> ModelManifest | None:
        raise NotImplementedError

    async def latest_model(self, workspace: str) -> ModelManifest | None:
        raise NotImplementedError

    async def alias(self, alias: str, workspace: str) -> Alias | None:
        raise NotImplementedError

    async def champion(self, workspace: str) -> ModelManifest | None:
        """The model that alias `champion` names."""
        raise NotImplementedError

    async def list_datasets(self, workspace: str, cursor: str | None = None, limit: int = 50) -> Page[DatasetManifest]:
        """Raises `WrongCursor`; so do the other lists."""
        raise NotImplementedError

    async def list_splits(
        self, workspace: str, cursor: str | None = None, limit: int = 50, *, dataset_id: str | None = None
    ) -> Page[SplitManifest]:
        raise NotImplementedError

    async def list_models(self, workspace: str, cursor: str | None = None, limit: int = 50) -> Page[ModelManifest]:
        raise NotImplementedError

    async def list_tasks(self, workspace: str, kind: TaskKind, cursor: str | None = None, limit: int = 50) -> Page[TaskState]:
        raise NotImplementedError

    async def list_runs(self, workspace: str, cursor: str | None = None, limit: int = 50) -> Page[RunView]:
        raise NotImplementedError

    async def logs(self, task_id: str, after: int = -1, limit: int = 1000) -> list[tuple[int, LogEntry]]:
        """Kept log entries behind the cursor `after`, oldest first, each with its own cursor."""
        raise NotImplementedError

    async def dead_letters(self, run_id: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """Newest first, of a run or of all; `value` is cut off where it is long."""
        raise NotImplementedError
