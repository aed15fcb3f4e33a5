"""Wait for something with a bound, instead of sleeping: the check is tried again until it returns a true value."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
INTERVAL_SECONDS = 0.05


@overload
async def eventually(check: Callable[[], Awaitable[T]], *, timeout_seconds: float = 30.0, message: str = "") -> T: ...
@overload
async def eventually(check: Callable[[], T], *, timeout_seconds: float = 30.0, message: str = "") -> T: ...
async def eventually(check: Callable[[], Any], *, timeout_seconds: float = 30.0, message: str = "") -> Any:
    """Return the first true value of `check()`, sync or async. `AssertionError` after the bound; one in the check is
    false."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            value = check()
            if isinstance(value, Awaitable):
                value = await value
            if value:
                return value
        except AssertionError as error:
            value = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_seconds} s: {message or check} (last: {value!r})")
        await asyncio.sleep(INTERVAL_SECONDS)


def eventually_sync(
    check: Callable[[], T],
    *,
    timeout_seconds: float = 30.0,
    message: str = "",
    interval_seconds: float = INTERVAL_SECONDS,
) -> T:
    """`eventually` for tests that have no event loop."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        last: object
        try:
            last = value = check()
            if value:
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_seconds} s: {message or check} (last: {last!r})")
        time.sleep(interval_seconds)
