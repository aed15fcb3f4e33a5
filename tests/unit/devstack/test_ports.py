"""Parts that are given ports before any of them listens do not get the same one."""

from devstack.ports import free_port


def test_a_port_is_given_once() -> None:
    given = [free_port() for _ in range(1000)]
    assert len(set(given)) == len(given)
