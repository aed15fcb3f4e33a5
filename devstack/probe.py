"""Ask a part whether it is well, without a client library: the supervisor stays small."""

import asyncio
import sys

from devstack.ports import LOOPBACK


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


async def accepts(port: int) -> bool:
    """Whether something listens there."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def redis_answers(port: int) -> bool:
    """Whether a Redis on this machine answers PING."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(b"PING\r\n")
            answer = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return answer.startswith(b"+PONG")


if __name__ == "__main__":  # a container's health check: python -m devstack.probe 8101 /ready
    sys.exit(asyncio.run(http_status(int(sys.argv[1]), sys.argv[2])) != 200)
