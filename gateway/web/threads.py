"""The storage, and threads for work on it that would hold up the event loop: reading a CSV, writing a split, looking
into a dataset."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from storage.objects.files import Storage

P = ParamSpec("P")
R = TypeVar("R")
LOOKS = 2


class Workshop:
    """Long work, at most `jobs` at once, and short looks, which never wait for it; more wait their turn."""

    def __init__(self, storage: Storage, jobs: int) -> None:
        self.storage = storage
        self._long = ThreadPoolExecutor(jobs, thread_name_prefix="workshop")
        self._short = ThreadPoolExecutor(LOOKS, thread_name_prefix="look")

    async def run(self, work: Callable[Concatenate[Storage, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work(storage, …)`, which may take minutes, and return its result; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(
            self._long, functools.partial(self._do, work, *args, **kwargs)
        )

    async def look(self, work: Callable[Concatenate[Storage, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The same for what takes a second at most."""
        return await asyncio.get_running_loop().run_in_executor(
            self._short, functools.partial(self._do, work, *args, **kwargs)
        )

    def _do(self, work: Callable[Concatenate[Storage, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        with self.storage.classified():
            return work(self.storage, *args, **kwargs)

    def close(self) -> None:
        """Begin nothing more; what runs ends with the process."""
        for threads in (self._long, self._short):
            threads.shutdown(wait=False, cancel_futures=True)
