"""Which of two values means PASS."""

import pytest

from schemas.manifests import LabelCounts
from storage.errors import StorageProblem
from storage.tables.labels import read_labels


@pytest.mark.parametrize(
    ("column", "values", "passed"),
    [
        ("Response", ["1", "0"], "0"),
        ("Pass/Fail", ["-1", "1"], "-1"),
        ("Passed", ["0", "1"], "1"),
        ("label", ["FAIL", "Pass"], "Pass"),
        ("label", ["NOK", "OK"], "OK"),
        ("label", ["bad", "good"], "good"),
        ("Machine failure", ["true", "false"], "false"),
        ("passed", ["True", "False"], "True"),
        ("defect", ["yes", "no"], "no"),
        ("Response", ["Y", "N"], "N"),
    ],
)
def test_the_obvious_value_means_pass_and_the_reason_names_it(column: str, values: list[str], passed: str) -> None:
    found = read_labels(column, dict.fromkeys(values, 5), None)
    assert isinstance(found, tuple)
    assert found[0].pass_value == passed
    assert passed.lower() in found[1].lower()


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("label", ["1", "2"]),
        ("label", ["red", "blue"]),
        ("Pass/Fail", ["true", "false"]),
        ("label", ["1.5", "2.5"]),
        ("label", ["ok", "1"]),
    ],
)
def test_what_is_not_obvious_is_asked_for_with_both_values(column: str, values: list[str]) -> None:
    found = read_labels(column, {values[0]: 7, values[1]: 3}, None)
    assert isinstance(found, StorageProblem)
    assert (found.code, found.field) == ("pass_value_ambiguous", "pass_value")
    assert all(f"{value!r}" in found.message for value in values)


@pytest.mark.parametrize("given", ["1", "1.0", "+1"])
def test_a_given_value_may_be_spelled_as_another_number(given: str) -> None:
    found = read_labels("y", {"0": 9, "1": 4}, given)
    counts = LabelCounts(pass_value="1", fail_value="0", pass_count=4, fail_count=9)
    assert found == (counts, "given")


def test_a_given_word_may_differ_in_case() -> None:
    found = read_labels("y", {"Good": 9, "Poor": 4}, "good")
    assert isinstance(found, tuple)
    assert found[0].pass_value == "Good"


def test_a_given_value_that_is_not_there_is_a_problem_that_lists_the_values() -> None:
    found = read_labels("y", {"0": 9, "1": 4}, "2")
    assert isinstance(found, StorageProblem)
    assert found.code == "pass_value_unknown"
    assert found.message == "The label column 'y' has no value '2'; it holds '0' (9 rows), '1' (4 rows)."


@pytest.mark.parametrize("values", [[], ["0"], ["0", "1", "2"], [str(n) for n in range(50)]])
def test_any_other_number_of_values_is_a_problem_that_lists_them(values: list[str]) -> None:
    found = read_labels("y", dict.fromkeys(values, 1), None)
    assert isinstance(found, StorageProblem)
    assert found.code == "label_values"
    assert f"it has {len(values)}" in found.message
    assert ("and 40 more" in found.message) == (len(values) == 50)
