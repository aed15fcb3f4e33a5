"""A file from the gateway, written as it comes: whole at its place, or not there at all."""

import os
from pathlib import Path

import httpx

from client.transport import AsyncTransport, Transport, failure, no_answer

PART_SUFFIX = ".part"
SILENCE_SECONDS = 60.0


def save(transport: Transport, path: str, target: Path) -> Path:
    """Write the answer to GET `path` to `target`, replacing what is there. Raises as every call; then `target` is as it
    was."""
    part = target.with_name(target.name + PART_SUFFIX)
    try:
        with transport.http.stream("GET", path, timeout=SILENCE_SECONDS) as response:
            if response.is_error:
                response.read()
                raise failure(response)
            with part.open("wb") as file:
                for data in response.iter_bytes():
                    file.write(data)
        os.replace(part, target)
    except httpx.TransportError as broken:
        raise no_answer(broken, transport.url) from broken
    finally:
        part.unlink(missing_ok=True)
    return target


async def save_async(transport: AsyncTransport, path: str, target: Path) -> Path:
    """As `save`."""
    part = target.with_name(target.name + PART_SUFFIX)
    try:
        async with transport.http.stream("GET", path, timeout=SILENCE_SECONDS) as response:
            if response.is_error:
                await response.aread()
                raise failure(response)
            with part.open("wb") as file:
                async for data in response.aiter_bytes():
                    file.write(data)
        os.replace(part, target)
    except httpx.TransportError as broken:
        raise no_answer(broken, transport.url) from broken
    finally:
        part.unlink(missing_ok=True)
    return target
