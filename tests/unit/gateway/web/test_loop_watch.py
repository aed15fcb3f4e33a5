"""What holds up the event loop is seen, and told apart from mere waiting."""

import asyncio
import time
from collections.abc import Callable

from prometheus_client import REGISTRY

from gateway.web.loop_watch import watch_loop
from runtime.tasks import cancel_all


def above(metric: str, seconds: str) -> float:
    total = REGISTRY.get_sample_value(f"{metric}_count") or 0.0
    return total - (REGISTRY.get_sample_value(f"{metric}_bucket", {"le": seconds}) or 0.0)


async def held_up_by(hold: Callable[[float], None]) -> tuple[float, float]:
    """Ticks later than 50 ms, and those in which the thread worked for longer, while the loop is held up for 0.3 s."""
    before = above("gateway_loop_late_seconds", "0.05"), above("gateway_loop_busy_seconds", "0.05")
    watching = asyncio.create_task(watch_loop())
    await asyncio.sleep(0.05)
    hold(0.3)
    await asyncio.sleep(0.05)
    await cancel_all(watching)
    return above("gateway_loop_late_seconds", "0.05") - before[0], above("gateway_loop_busy_seconds", "0.05") - before[
        1
    ]


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_a_turn_that_takes_long_is_seen() -> None:
    late, busy = await held_up_by(work)
    assert late >= 1
    assert busy >= 1


async def test_a_wait_that_takes_long_is_no_work() -> None:
    late, busy = await held_up_by(time.sleep)
    assert late >= 1
    assert busy == 0
