"""A client in a workspace of its own, and small files that a model can be trained on."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.contract_help import ok, store, table
from tests.stack import Stack


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the running stack, in a workspace that nobody else uses."""
    with client(stack) as made:
        yield made


@pytest.fixture(scope="module")
def uploaded(stack: Stack) -> Iterator[httpx.Client]:
    """A client whose workspace has `table()` as its one dataset, 50 rows a day, shared by a module's tests that change nothing."""
    with client(stack) as made:
        ok(store(made, table(), synthetic_step_seconds="1728"), 202)
        yield made


def client(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.gateway_url, headers={"X-Workspace": f"contract-{uuid4().hex[:8]}"}, timeout=150)
