"""The storage, and threads for work on it that would hold up the event loop: reading a CSV, writing a split. Few at a time."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from storage.files import Storage

P = ParamSpec("P")
R = TypeVar("R")


class Workshop:
    """At most `jobs` at once; more wait their turn."""

    def __init__(self, storage: Storage, jobs: int) -> None:
        self.storage = storage
        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="workshop")

    async def run(self, work: Callable[Concatenate[Storage, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work(storage, …)` and return its result; raises what it raises."""
        call = functools.partial(work, self.storage, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Begin nothing more; what runs ends with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)
