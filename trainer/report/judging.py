"""How sure the figures of a set are, and whether a model is better than calling every row PASS. Pure and deterministic.

The intervals come from a bootstrap over blocks of time (Künsch 1989): failures come in spells, so rows beside each
other are no independent witnesses, and resampling single rows would give intervals that are too narrow.
"""

import numpy as np
import numpy.typing as npt

from schemas.manifests import Baseline, Interval, Metrics
from trainer.fit.thresholds import ThresholdTable, mcc
from trainer.report.evaluation import Scored, evaluate

BLOCKS, MOST_SAMPLES, FEWEST_SAMPLES = 50, 400, 50
ROWS_SORTED = 20_000_000
"""Rows times samples: what the bootstrap may cost, about a second."""
LEVELS = (2.5, 97.5)
Floats = npt.NDArray[np.float64]


def baseline(fails: npt.NDArray[np.bool_]) -> Baseline:
    """What calling every row PASS reaches; its area under precision and recall is that of chance."""
    share = float(fails.mean()) if len(fails) else 0.0
    return Baseline(accuracy=1 - share if len(fails) else None, mcc=0.0, recall=0.0, pr_auc=share)


def intervals(scored: Scored, threshold: float) -> dict[str, Interval]:
    """95 % intervals of the figures of a set in time order; none with one class only."""
    if not scored.both_classes:
        return {}
    samples = _samples(len(scored.fails))
    return {
        name: _interval(values)
        for name, values in (*_counted(scored, threshold, samples), ("pr_auc", _ranked(scored, samples)))
    }


def judge(scored: Scored, threshold: float) -> Metrics:
    """`evaluate`, with intervals and what calling every row PASS would reach. The rows are in time order."""
    found = evaluate(scored, threshold)
    return found.model_copy(update={"intervals": intervals(scored, threshold), "baseline": baseline(scored.fails)})


def doubt(metrics: Metrics) -> str | None:
    """One sentence for a model of which the test set does not show that it is better than calling every row PASS; else
    null."""
    if metrics.mcc is None:
        return (
            "The test set has one class only, so nothing shows that this model is better than calling every row PASS."
        )
    found = metrics.intervals.get("mcc")
    told = f"MCC {metrics.mcc:.2f}" + (f", 95 % interval {found.low:.2f} to {found.high:.2f}" if found else "")
    matrix = metrics.confusion_matrix
    caught = f"{matrix.true_positives} of {matrix.true_positives + matrix.false_negatives} failures found"
    if metrics.mcc <= 0:
        return f"On the test set this model is not better than calling every row PASS: {caught}, {told}."
    if found is not None and found.low <= 0:
        return f"The test set does not show that this model is better than calling every row PASS: {caught}, {told}."
    return None


def _samples(rows: int) -> npt.NDArray[np.int64]:
    """How often each block comes in each sample, [samples, blocks]."""
    blocks = min(BLOCKS, rows)
    count = min(MOST_SAMPLES, max(FEWEST_SAMPLES, ROWS_SORTED // max(1, rows)))
    return np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), size=count)


def _block_of(rows: int) -> npt.NDArray[np.int64]:
    blocks = min(BLOCKS, rows)
    return np.arange(rows) * blocks // rows


def _counted(scored: Scored, threshold: float, samples: npt.NDArray[np.int64]) -> list[tuple[str, Floats]]:
    """Figures that counts of the confusion matrix give, in each sample."""
    called, fails, block = (
        scored.probabilities.astype(np.float64) >= threshold,
        scored.fails,
        _block_of(len(scored.fails)),
    )
    cells = [called & fails, called & ~fails, ~called & ~fails, ~called & fails]
    counts = [np.bincount(block, weights=cell, minlength=samples.shape[1]).astype(np.float64) for cell in cells]
    tp, fp, tn, fn = (samples.astype(np.float64) @ count for count in counts)
    correlation = mcc(
        ThresholdTable(np.full(len(tp), threshold), *(np.round(part).astype(np.int64) for part in (tp, fp, tn, fn)))
    )
    return [("mcc", correlation), ("recall", _share(tp, tp + fn)), ("precision", _share(tp, tp + fp))]


def _ranked(scored: Scored, samples: npt.NDArray[np.int64]) -> Floats:
    """Area under precision and recall in each sample, by steps; rows of equal probability in the order of their
    times."""
    order = np.argsort(-scored.probabilities.astype(np.float64), kind="stable")
    fails, block = scored.fails[order], _block_of(len(scored.fails))[order]
    areas = np.full(len(samples), np.nan)
    for number, sample in enumerate(samples):
        weight = sample[block].astype(np.float64)
        failed = weight * fails
        if total := failed.sum():
            hits, seen = np.cumsum(failed), np.cumsum(weight)
            areas[number] = (failed[failed > 0] * hits[failed > 0] / seen[failed > 0]).sum() / total
    return areas


def _share(part: Floats, whole: Floats) -> Floats:
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _interval(values: Floats) -> Interval:
    present = values[~np.isnan(values)]
    low, high = np.percentile(present, LEVELS) if len(present) else (0.0, 1.0)
    return Interval(low=round(float(low), 6), high=round(float(high), 6))
