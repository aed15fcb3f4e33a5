"""A gateway as it runs: its own process, spoken to over HTTP."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from devstack.ports import LOOPBACK, free_port
from storage.objects.files import Storage
from tests.support.brokers import Broker
from tests.support.waiting import eventually


@asynccontextmanager
async def gateway(kafka: Broker, redis_url: str, folder: Path, **settings: object) -> AsyncIterator[httpx.AsyncClient]:
    """Start it with `GATEWAY_…` settings (in lower case, without the prefix), wait until it is ready; stop it as its
    supervisor would."""
    Storage(f"file://{folder}").initialise()  # the broker may know the datasets of another one
    port = free_port()
    environment = os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "REDIS_URL": redis_url,
        "STORAGE_URL": f"file://{folder}",
        "GATEWAY_PORT": str(port),
        "GATEWAY_PROJECTOR_SESSION_TIMEOUT_MS": "3000",
        **{f"GATEWAY_{name.upper()}": str(value) for name, value in settings.items()},
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway", env=environment)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    try:
        async with httpx.AsyncClient(
            base_url=f"http://{LOOPBACK}:{port}", timeout=30, limits=limits, trust_env=False
        ) as client:
            await eventually(lambda: _is_ready(client, process), timeout_seconds=60)
            yield client
    finally:
        if process.returncode is None:
            process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def _is_ready(client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> bool:
    if process.returncode is not None:
        raise RuntimeError(f"the gateway ended with {process.returncode}")
    try:
        return (await client.get("/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def ended_gateway(kafka: Broker, redis_url: str, folder: Path, **settings: object) -> tuple[int, str]:
    """Start one that cannot go on; its exit code and what it said."""
    environment = os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "REDIS_URL": redis_url,
        "STORAGE_URL": f"file://{folder}",
        "GATEWAY_PORT": "0",
        **{f"GATEWAY_{name.upper()}": str(value) for name, value in settings.items()},
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env=environment,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    return process.returncode or 0, said.decode()
