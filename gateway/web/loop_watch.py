"""For how long the event loop answers nobody: a tick is due every 20 ms, and how late it comes is observed.

A late tick may be the machine's fault, so the processor time that the loop's thread spent between two ticks is observed
too: that much of it is the fault of what runs here.
"""

import asyncio
import time

from gateway.metrics import LOOP_BUSY_SECONDS, LOOP_LATE_SECONDS

TICK_SECONDS = 0.02


async def watch_loop() -> None:
    """Tick for ever."""
    due, worked = time.perf_counter() + TICK_SECONDS, time.thread_time()
    while True:
        await asyncio.sleep(due - time.perf_counter())
        now, working = time.perf_counter(), time.thread_time()
        LOOP_LATE_SECONDS.observe(now - due)
        LOOP_BUSY_SECONDS.observe(working - worked)
        due, worked = now + TICK_SECONDS, working
