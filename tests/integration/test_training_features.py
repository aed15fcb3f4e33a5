"""The sample and the ranking of a feature selection."""

from typing import Any

import numpy as np
import pytest

from trainer.fit.features import choose_rows, rank


def ignore(done: int, of: int, train_loss: float, validation_loss: float | None) -> None:
    """Nobody waits for progress here."""


def table(rows: int = 2000) -> tuple[Any, Any, list[str]]:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(rows, 6)).astype(np.float32)
    fails = matrix[:, 4] + 0.5 * matrix[:, 1] + 0.2 * random.normal(size=rows) > 1.5
    matrix[:, 0], matrix[:, 2] = 3.0, np.nan
    return matrix, fails, [f"S{column}" for column in range(6)]


def test_strongest_feature_comes_first_and_constant_and_empty_ones_never() -> None:
    ranking = rank(*table(), seed=0, threads=1, on_round=ignore)
    assert ranking.features[:2] == ["S4", "S1"]
    assert sorted(ranking.features) == ["S1", "S3", "S4", "S5"]
    assert ranking.gains == sorted(ranking.gains, reverse=True)


def test_ranking_is_the_same_again_and_with_more_threads() -> None:
    assert rank(*table(), seed=3, threads=1, on_round=ignore) == rank(*table(), seed=3, threads=2, on_round=ignore)


def test_features_that_the_preliminary_model_does_not_use_follow_in_file_order() -> None:
    matrix, fails, names = table(40)
    matrix[:, 3], matrix[:, 5] = np.arange(40) % 2, 0
    matrix[0, 5] = 1
    matrix[:, 4] = fails
    ranking = rank(matrix, fails, names, seed=0, threads=1, on_round=ignore)
    unused = [name for name, gain in zip(ranking.features, ranking.gains, strict=True) if gain == 0]
    assert ranking.features[-len(unused) :] == unused == sorted(unused)


def test_one_class_or_nothing_that_varies_is_no_error() -> None:
    matrix, fails, names = table()
    assert rank(matrix, np.zeros_like(fails), names, seed=0, threads=1, on_round=ignore).gains == [0.0] * 4
    assert rank(matrix[:, [0, 2]], fails, ["S0", "S2"], seed=0, threads=1, on_round=ignore).features == []


def choose(fails: Any, times: Any = None, **changes: Any) -> Any:
    settings = {"time_share": 0.6, "fraction": 0.1, "minimum": 10, "seed": 0} | changes
    return choose_rows(np.arange(len(fails)) if times is None else times, fails, **settings)


def test_sample_is_drawn_of_the_earlier_rows_of_each_class_alike() -> None:
    fails = np.arange(10_000) % 50 == 0
    rows = choose(fails, fraction=0.1)
    assert len(rows) == 600
    assert rows.max() < 6000
    assert fails[rows].sum() == 12
    assert (np.diff(rows) > 0).all()


def test_earlier_means_earlier_in_time_not_in_the_file() -> None:
    fails = np.arange(1000) % 5 == 0
    assert choose(fails, times=np.arange(1000)[::-1], minimum=10_000).tolist() == list(range(400, 1000))


def test_small_data_is_taken_whole() -> None:
    assert choose(np.arange(100) % 5 == 0, minimum=20_000).tolist() == list(range(60))


def test_later_rows_are_drawn_too_when_the_earlier_ones_have_one_class() -> None:
    assert choose(np.arange(100) > 80, minimum=20_000).tolist() == list(range(100))


def test_rare_class_keeps_a_row() -> None:
    fails = np.arange(10_000) == 77
    assert fails[choose(fails, fraction=0.01, minimum=50)].sum() == 1


@pytest.mark.parametrize("seed", range(3))
def test_seed_decides_over_the_sample(seed: int) -> None:
    fails = np.arange(5000) % 9 == 0
    assert (
        choose(fails, seed=seed).tolist() == choose(fails, seed=seed).tolist() != choose(fails, seed=seed + 1).tolist()
    )
