"""The least HTTP client that measures: one kept connection, GET, a body of known length or an endless stream. Adds next
to nothing."""

import asyncio
from collections.abc import AsyncIterator


class Connection:
    """One connection to the gateway."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> bytes:
        """The body of an answer 200. Raises `ConnectionError` for any other."""
        reader, length = await self._ask(path)
        return await reader.readexactly(length or 0)

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """The lines of a stream."""
        reader, _ = await self._ask(path)
        while line := await reader.readline():
            yield line

    async def _ask(self, path: str) -> tuple[asyncio.StreamReader, int | None]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        status = await reader.readline()
        length = None
        while (line := await reader.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if b" 200 " not in status:
            raise ConnectionError(f"{path}: {status!r}")
        return reader, length

    def close(self) -> None:
        """Let go."""
        if self._streams is not None:
            self._streams[1].close()
