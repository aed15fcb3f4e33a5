from tests.chaos.plan import MUST, schedule


def test_a_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    assert schedule(7, 120, session_seconds=5) == schedule(7, 120, session_seconds=5)
    assert schedule(7, 120, session_seconds=5) != schedule(8, 120, session_seconds=5)


def test_every_kind_is_there_before_any_comes_twice() -> None:
    for seed in range(20):
        first = [(found.kind, found.target) for found in schedule(seed, 300, session_seconds=5)][: len(MUST)]
        assert sorted(first) == sorted(MUST)


def test_freezes_outlast_the_session_and_nothing_begins_after_the_end() -> None:
    found = schedule(3, 600, session_seconds=5)
    assert all(one.lasts_seconds > 5 for one in found if one.kind == "freeze")
    assert found[-1].at_seconds < 600
