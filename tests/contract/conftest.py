"""A client in a workspace of its own, and small files that a model can be trained on."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.support.contract_help import ok, store, table
from tests.support.stack import Stack


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the running stack, in a workspace that nobody else uses."""
    with client(stack) as made:
        yield made


@pytest.fixture(scope="module")
def uploaded(stack: Stack) -> Iterator[httpx.Client]:
    """A client whose workspace has `table()` as its one dataset, 50 rows a day, shared by a module's tests that change
    nothing."""
    with client(stack) as made:
        ok(store(made, table(), synthetic_step_seconds="1728"), 202)
        yield made


@pytest.fixture(scope="session")
def swapped(stack: Stack) -> str:
    """Address of a second gateway of the stack: the .NET routes speak as the contract does, the ML routes as Celery's
    clients need it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_DOTNET_DIALECT", "contract")
        patch.setenv("GATEWAY_ML_DIALECT", "celery")
        process = stack.add("gateway")
    process.wait_until_ready()
    return process.url


def client(stack: Stack, url: str = "", workspace: str = "") -> httpx.Client:
    headers = {"X-Workspace": workspace or f"contract-{uuid4().hex[:8]}"}
    return httpx.Client(base_url=url or stack.gateway_url, headers=headers, timeout=150)
