"""Thresholds against brute force: every count, and no threshold better than the chosen one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from trainer.fit.thresholds import UNFITTED, Objective, choose_threshold, f1, mcc, threshold_table

pytestmark = pytest.mark.filterwarnings("ignore:A single label was found")
PROBABILITIES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32))
SCORED = st.lists(st.tuples(PROBABILITIES, st.booleans()), max_size=40)
COSTS = st.floats(0.01, 100)


def arrays(rows: list[tuple[float, bool]]) -> tuple[Any, Any]:
    return np.array([p for p, _ in rows], np.float32), np.array([fail for _, fail in rows], np.bool_)


def count(probabilities: Any, fails: Any, threshold: float) -> tuple[int, int, int, int]:
    called = [float(p) >= threshold for p in probabilities]
    pairs = list(zip(called, fails, strict=True))
    return (
        sum(c and f for c, f in pairs),
        sum(c and not f for c, f in pairs),
        sum(not c and not f for c, f in pairs),
        sum(not c and f for c, f in pairs),
    )


@settings(deadline=None)  # the machine may be busy
@given(SCORED)
def test_every_entry_of_the_table_counts_what_its_threshold_calls(rows: list[tuple[float, bool]]) -> None:
    probabilities, fails = arrays(rows)
    table = threshold_table(probabilities, fails)
    for entry in zip(table.thresholds, table.tp, table.fp, table.tn, table.fn, strict=True):
        assert tuple(map(int, entry[1:])) == count(probabilities, fails, float(entry[0]))


@settings(deadline=None)  # the machine may be busy
@given(SCORED, st.floats(0, 1))
def test_every_threshold_counts_as_some_entry_of_the_table(rows: list[tuple[float, bool]], threshold: float) -> None:
    probabilities, fails = arrays(rows)
    table = threshold_table(probabilities, fails)
    entries = {tuple(map(int, entry)) for entry in zip(table.tp, table.fp, table.tn, table.fn, strict=True)}
    assert count(probabilities, fails, threshold) in entries


@settings(deadline=None)  # the machine may be busy
@given(SCORED)
def test_candidates_descend_within_0_and_1_and_all_differ(rows: list[tuple[float, bool]]) -> None:
    table = threshold_table(*arrays(rows))
    assert (np.diff(table.thresholds) < 0).all()
    assert ((table.thresholds >= 0) & (table.thresholds <= 1)).all()
    assert (np.diff(table.tp + table.fp) > 0).all()


@settings(deadline=None)  # the machine may be busy
@given(SCORED.filter(lambda rows: bool(rows)))
def test_scores_of_the_candidates_are_those_of_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    probabilities, fails = arrays(rows)
    table = threshold_table(probabilities, fails)
    for threshold, ours_mcc, ours_f1 in zip(table.thresholds, mcc(table), f1(table), strict=True):
        called = probabilities.astype(np.float64) >= threshold
        assert ours_mcc == pytest.approx(matthews_corrcoef(fails, called), abs=1e-12)
        assert ours_f1 == pytest.approx(f1_score(fails, called, zero_division=0.0), abs=1e-12)


@settings(deadline=None)  # the machine may be busy
@given(SCORED, COSTS, COSTS, st.sampled_from(["mcc", "f1", "cost"]))
def test_no_threshold_is_better_than_the_chosen_one(
    rows: list[tuple[float, bool]], fp_cost: float, fn_cost: float, objective: Objective
) -> None:
    probabilities, fails = arrays(rows)
    table = threshold_table(probabilities, fails)
    choice = choose_threshold(table, objective, cost_false_positive=fp_cost, cost_false_negative=fn_cost)

    def gain(threshold: float) -> float:
        called = probabilities.astype(np.float64) >= threshold
        _, fp, _, fn = count(probabilities, fails, threshold)
        if objective == "cost":
            return -(fp * fp_cost + fn * fn_cost)
        return float(
            matthews_corrcoef(fails, called) if objective == "mcc" else f1_score(fails, called, zero_division=0.0)
        )

    if choice.warning is not None:
        assert choice.threshold == UNFITTED
        one_class = not fails.any() or fails.all()
        assert one_class or max(map(gain, table.thresholds)) <= 1e-12
        return
    best = gain(choice.threshold)
    for threshold in table.thresholds:
        assert gain(threshold) <= best + 1e-9
        if threshold < choice.threshold:
            assert gain(threshold) < best or gain(threshold) == pytest.approx(best, rel=1e-9)


def test_of_equally_good_thresholds_the_lowest_is_taken() -> None:
    table = threshold_table(np.array([0.9, 0.6, 0.3], np.float32), np.array([True, False, True]))
    assert table.fn.tolist() == [2, 1, 1, 0]
    choice = choose_threshold(table, "cost", cost_false_positive=1, cost_false_negative=1)
    assert choice.threshold == table.thresholds[3] == pytest.approx(0.15)


def test_order_of_the_rows_changes_nothing() -> None:
    random = np.random.default_rng(0)
    probabilities, fails = random.random(500).round(2).astype(np.float32), random.random(500) < 0.2
    first, order = threshold_table(probabilities, fails), random.permutation(500)
    second = threshold_table(probabilities[order], fails[order])
    for name in ("thresholds", "tp", "fp", "tn", "fn"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert choose_threshold(first, "mcc") == choose_threshold(second, "mcc")


def test_threshold_lies_half_way_between_two_probabilities() -> None:
    table = threshold_table(np.array([0.2, 0.8], np.float32), np.array([False, True]))
    assert choose_threshold(table, "mcc").threshold == pytest.approx(0.5)


def test_useless_probabilities_give_the_plain_threshold_and_say_so() -> None:
    table = threshold_table(np.full(10, 0.1, np.float32), np.arange(10) == 0)
    choice = choose_threshold(table, "mcc")
    assert choice.threshold == UNFITTED
    assert choice.warning is not None


def test_fixed_threshold_needs_no_rows() -> None:
    nothing = threshold_table(np.empty(0, np.float32), np.empty(0, np.bool_))
    assert choose_threshold(nothing, "fixed", fixed=0.7).threshold == 0.7
    assert choose_threshold(nothing, "mcc").threshold == UNFITTED


@pytest.mark.parametrize("objective", ["fixed", "cost"])
def test_objective_without_its_figures_is_refused(objective: Objective) -> None:
    with pytest.raises(ValueError, match="needs"):
        choose_threshold(threshold_table(np.array([0.5], np.float32), np.array([True])), objective)
