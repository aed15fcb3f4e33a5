"""Parts that are given ports before any of them listens do not get the same one."""

import subprocess
import sys

from devstack.ports import free_port

ASK = "from devstack.ports import free_port; print(*[free_port() for _ in range(500)], flush=True); input()"


def test_a_port_is_given_once() -> None:
    given = [free_port() for _ in range(200)]
    assert len(set(given)) == len(given)


def test_a_port_is_given_to_one_process_at_a_time() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        taken = set(map(int, other.stdout.readline().split()))
        mine = {free_port() for _ in range(200)}
        other.communicate("\n")
    assert len(taken) == 500
    assert not taken & mine
