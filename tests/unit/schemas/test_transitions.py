"""The one table of what a run may do, and what is written about it."""

import re
from pathlib import Path
from typing import get_args

import pytest

from schemas.messages import TERMINAL, Status
from schemas.tasks import Command
from schemas.transitions import TRANSITIONS, RunOrder, may, states_of

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"


def test_every_order_is_in_the_table_and_is_a_command() -> None:
    assert set(TRANSITIONS) == set(get_args(RunOrder))
    assert set(TRANSITIONS) < set(get_args(Command.__annotations__["command"]))


@pytest.mark.parametrize("order", sorted(TRANSITIONS))
def test_the_document_says_of_each_order_what_the_table_says(order: RunOrder) -> None:
    (states,) = re.findall(rf"^\| `POST {order}`[^|]*\| ([A-Z_, ]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert states.split(", ") == states_of(order)


def test_a_run_that_is_over_can_only_be_tried_again_and_one_that_is_not_can_be_stopped() -> None:
    for status in get_args(Status):
        orders = {order for order in TRANSITIONS if may(order, status)}
        assert (orders == {"retry"}) == (status in TERMINAL)
        assert ("stop" in orders) == (status not in TERMINAL)
        assert not {"pause", "resume"} <= orders
