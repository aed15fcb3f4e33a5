"""What a large upload does to the gateway's other requests: over HTTP, in a whole stack of its own, the client in
another process.

Three witnesses: the gateway's own ticks (`gateway_loop_late_seconds`, and for how much of that its thread was working),
a client that asks for `/health` every 10 ms, and a process that only sleeps for 5 ms again and again: what happens to
that one is the machine's doing."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.http_client import Connection
from benchmarks.side_by_side import IDLE

EVERY_SECONDS = 0.01
CLIENT = (
    "import sys; from pathlib import Path; from client import Client; Client(sys.argv[1]).upload(Path(sys.argv[2]))"
)
BUCKET = re.compile(r'^gateway_loop_(late|busy)_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)
Figures = dict[str, float]


async def over_http(upload: Path, offset: int) -> Figures:
    """Upload the file and watch; milliseconds unless named otherwise."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        environment = os.environ | {"DEVSTACK_PORT_OFFSET": str(offset), "PYTHONPATH": str(Path.cwd())}
        stack = [sys.executable, "-m", "devstack"]
        try:
            await asyncio.to_thread(
                subprocess.run, [*stack, "up"], cwd=name, env=environment, check=True, capture_output=True
            )
            return await _watched(upload, 8000 + offset)
        finally:
            await asyncio.to_thread(
                subprocess.run, [*stack, "down"], cwd=name, env=environment, check=False, capture_output=True
            )


async def _watched(upload: Path, port: int) -> Figures:
    connection, answers = Connection(port), list[float]()
    before, started = await _ticks(connection), time.perf_counter()
    idle = await asyncio.create_subprocess_exec(
        sys.executable, "-c", IDLE, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    sending = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, f"http://127.0.0.1:{port}", str(upload)
    )
    done = asyncio.create_task(sending.wait())
    try:
        while not done.done():
            asked = time.perf_counter()
            await connection.get("/health")
            answers.append(time.perf_counter() - asked)
            await asyncio.sleep(EVERY_SECONDS)
        seconds = time.perf_counter() - started
    finally:
        if not done.done():
            sending.kill()
        alone, _ = await idle.communicate(b"")
    after = await _ticks(connection)
    connection.close()
    if sending.returncode:
        raise RuntimeError("the upload failed")
    answers.sort()
    found = {
        "seconds": seconds,
        "/health, p50": answers[len(answers) // 2] * 1000,
        "/health, p99": answers[int(len(answers) * 0.99)] * 1000,
        "/health, longest": answers[-1] * 1000,
        "idle process, longest": float(alone) * 1000,
    }
    for kind in ("late", "busy"):
        counts = {edge: count - before[kind, edge] for (of, edge), count in after.items() if of == kind}
        total = counts["+Inf"]
        found[f"ticks, {kind}, longest at most"] = next(
            (float(e) * 1000 for e, n in counts.items() if n == total), float("inf")
        )
        found[f"ticks, {kind}, above 50 ms"] = total - counts["0.05"]
    return found | {"ticks": total}


async def _ticks(connection: Connection) -> dict[tuple[str, str], float]:
    text = (await connection.get("/metrics")).decode()
    return {(kind, edge): float(count) for kind, edge, count in BUCKET.findall(text)}
