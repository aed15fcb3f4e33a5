"""What is logged, and how often."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from runtime.logging import REPEAT_SECONDS, Repeats, configure


def line(name: str, number: int) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "client.py", number, "Unable connect", None, None)


def test_aiokafka_says_the_same_once_in_a_while_and_others_as_often_as_they_like() -> None:
    now = [0.0]
    repeats = Repeats(lambda: now[0])
    assert [repeats.filter(line("aiokafka.client", 1)) for _ in range(3)] == [True, False, False]
    assert repeats.filter(line("aiokafka.client", 2))
    assert all(repeats.filter(line("gateway.projector", 1)) for _ in range(3))
    now[0] = REPEAT_SECONDS
    assert repeats.filter(line("aiokafka.client", 1))


@pytest.fixture
def logging_is_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("style", ["json", "console"])
def test_passwords_and_what_a_terminal_obeys_are_not_logged(
    style: str, capsys: pytest.CaptureFixture[str], logging_is_put_back: None
) -> None:
    configure("test", "INFO", style)
    structlog.get_logger().warning("no answer", error="redis://:hidden-one@host", name="\x1b]0;owned\x07", c1="\x9b2J")
    logging.getLogger("library").warning("cannot reach %s", "amqp://u:hidden-one@host\x1b[2J")
    said = capsys.readouterr().err
    assert "redis://***@host" in said
    assert "amqp://***@host" in said
    assert "hidden-one" not in said
    for obeyed in ("\x1b]0;", "\\u001b", "\x07", "\x9b", "\x1b[2J"):
        assert obeyed not in said
