"""How right predictions are, where the rows have labels. Pure."""

from math import sqrt

from schemas.http.runs import Truth
from schemas.messages import Confusion


def truth_of(confusion: Confusion) -> Truth | None:
    """The figures of these counts; null while no row had a label. MCC after Matthews (1975)."""
    tp, fp, tn, fn = confusion.tp, confusion.fp, confusion.tn, confusion.fn
    labelled = tp + fp + tn + fn
    if not labelled:
        return None
    spread = sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return Truth(
        labelled=labelled,
        true_positives=tp,
        false_positives=fp,
        true_negatives=tn,
        false_negatives=fn,
        accuracy=(tp + tn) / labelled,
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, tp + fn),
        f1_score=_ratio(2 * tp, 2 * tp + fp + fn),
        mcc=(tp * tn - fp * fn) / spread if spread else None,
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
