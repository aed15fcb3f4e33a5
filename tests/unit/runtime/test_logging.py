"""What is logged, and how often."""

import logging

from runtime.logging import REPEAT_SECONDS, Repeats


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
