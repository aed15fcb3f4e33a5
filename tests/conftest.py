"""Fixtures of all tests: a real broker and a real Redis for the session, brokers of one's own for crash tests, data."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.brokers import Broker, kafka_broker, redis_server
from tests.support.examples import many
from tests.support.stack import Stack, running_stack

REPOSITORY = Path(__file__).parent.parent
settings.register_profile(
    "unhurried", deadline=None, max_examples=many(100)
)  # the machine is shared: how long an example takes says nothing about the code
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The session's broker with every topic. Shared: never kill it (`fresh_kafka` is for that); name runs and groups
    uniquely."""
    broker = kafka_broker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def fresh_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this test module alone, which may kill and start it."""
    broker = kafka_broker(tmp_path_factory.mktemp("fresh-kafka"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The session's Redis, shared: use keys of your own, or `fresh_redis_url` to flush."""
    part, url = redis_server(tmp_path_factory.mktemp("redis"))
    part.start()
    yield url
    part.stop()


@pytest.fixture
def fresh_redis_url(tmp_path: Path) -> Iterator[str]:
    """An empty Redis of this test alone."""
    part, url = redis_server(tmp_path / "redis")
    part.start()
    yield url
    part.stop()


@pytest.fixture
def storage_url(tmp_path: Path) -> str:
    """An empty storage."""
    return f"file://{tmp_path}/storage"


@pytest.fixture(scope="session")
def secom_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SECOM data when it lies beside the checkout, else a generated file of the same shape."""
    real = REPOSITORY.parent / "shared" / "data" / "secom" / "secom.csv"
    if real.exists():
        return real
    from tests.support.secom_like import write_secom_like

    path = tmp_path_factory.mktemp("secom") / "secom.csv"
    write_secom_like(path)
    return path


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Every process, for the session. Shared: use your own workspace, leave every part running. `running_stack` makes a
    private one."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
