"""The typed Python client of the gateway and the `intelliinspect` command. Speaks HTTP only; imports `schemas` and
nothing else of ours.

from client import Client
with Client() as gateway:
    for run in gateway.runs.control().items: ...
"""

from client.aio import AsyncClient
from client.blocking import Client

__all__ = ["AsyncClient", "Client"]
