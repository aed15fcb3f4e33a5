"""When streamed and recounted numbers count as equal."""

from devstack.comparison import equal


def test_integers_must_be_equal_and_means_to_a_billionth() -> None:
    assert equal(3, 3)
    assert not equal(3, 4)
    assert equal(0.5, 0.5 + 9e-10)
    assert not equal(0.5, 0.5 + 2e-9)


def test_a_missing_number_equals_only_another_missing_one() -> None:
    assert equal(None, None)
    assert not equal(None, 0)
    assert not equal(0.5, None)
