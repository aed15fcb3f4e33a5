"""What a model's numbers mean. On the server's side the only place that decides PASS or FAIL from them. Pure."""

from collections.abc import Sequence

from schemas.messages import Verdict


def is_fail(probability_fail: float, threshold: float) -> bool:
    """Whether a part counts as FAIL."""
    return probability_fail >= threshold


def are_fails(probabilities: Sequence[float], threshold: float) -> list[bool]:
    """As `is_fail`, of each."""
    return [probability >= threshold for probability in probabilities]


def verdict(fail: bool) -> Verdict:
    """In the word of the contract."""
    return "FAIL" if fail else "PASS"


def confidence(probability_fail: float, fail: bool) -> float:
    """The probability of the verdict."""
    return probability_fail if fail else 1.0 - probability_fail
