"""A storage that is asked again when it does not answer, a bounded number of times."""

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from storage.errors import StorageUnavailable
from storage.objects.files import Storage

P = ParamSpec("P")
T = TypeVar("T")
LONGEST_WAIT_SECONDS = 10.0


class PatientStorage(Storage):
    """Raises `StorageUnavailable` only after `attempts` tries, with growing waits between them."""

    def __init__(self, url: str, attempts: int) -> None:
        super().__init__(url)
        self.attempts = attempts
        self._retrying = Retrying(
            retry=retry_if_exception_type(StorageUnavailable),
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_SECONDS),
            reraise=True,
        )

    def _patiently(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._retrying(call, *args, **kwargs)

    def read_bytes(self, path: str) -> bytes:
        return self._patiently(super().read_bytes, path)

    def write_bytes(self, path: str, data: bytes) -> None:
        self._patiently(super().write_bytes, path, data)

    def exists(self, path: str) -> bool:
        return self._patiently(super().exists, path)

    def local(self, path: str) -> Path:
        return self._patiently(super().local, path)
