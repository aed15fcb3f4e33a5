"""Ask a process on this machine whether it is well, with the standard library alone: a container's health check, and
the supervisor's.

`python -m runtime.probe 8101 /ready` ends with 0 when the answer is 200.
"""

import asyncio
import sys

LOOPBACK = "127.0.0.1"


async def http_status(port: int, path: str, *, timeout_seconds: float = 2.0) -> int | None:
    """Status of `GET path` on this machine; None when there is no answer in time."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _get(port, path)
    except (OSError, TimeoutError, ValueError, IndexError):
        return None


async def _get(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(http_status(int(sys.argv[1]), sys.argv[2])) != 200)
