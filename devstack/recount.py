"""The offline recount: what a run's numbers must be, from its files alone, without Kafka, Redis or any code of the
stream.

It shares only `models.bundle.score`, and how a text becomes a code (`rows.inputs`), with the stream, so that a
probability has the same bits; everything else is counted afresh.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import fsum

import polars

from models.bundle import load_bundle, score
from models.stored_inputs import model_columns
from rows.inputs import numbers
from storage.objects.files import Storage
from storage.tables.names import column


@dataclass(frozen=True)
class ExpectedAnswer:
    """What the prediction of a row must say."""

    row_index: int
    sample_id: str
    prediction: str
    probability_fail: float
    label: str | None


@dataclass(frozen=True)
class Recount:
    """Totals over some rows; FAIL is the positive class. Sums are exact (`math.fsum`), so compare means to 1e-9."""

    total: int
    pass_count: int
    fail_count: int
    average_confidence: float | None
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    answers: list[ExpectedAnswer]


def recount(
    storage: Storage,
    model_version: str,
    simulation_path: str,
    *,
    rows: int | None = None,
    without: Collection[int] = (),
    registered: str | None = None,
) -> Recount:
    """Score the first `rows` rows of a simulation set (all by default), leaving out the row indices `without`, and
    count. `registered`: the digest of the model version's record, which its bundle must have."""
    bundle = load_bundle(storage, model_version, registered=registered)
    inputs = bundle.inputs or numbers(bundle.manifest.features)
    lazy = polars.scan_parquet(storage.local(simulation_path), n_rows=rows)
    table = lazy.select(column(name) for name in ("__id__", "__label__", *inputs.names)).collect()
    matrix = model_columns(table, inputs).to_numpy()
    ids, labels = table["__id__"].to_list(), table["__label__"].to_list()
    probabilities = score(bundle, matrix).tolist()
    threshold = bundle.manifest.threshold
    answers = [
        ExpectedAnswer(
            i, f"SAMPLE_{ids[i]}", "FAIL" if probabilities[i] >= threshold else "PASS", probabilities[i], labels[i]
        )
        for i in range(table.height)
        if i not in without
    ]
    pairs = [(answer.prediction, answer.label) for answer in answers]
    confidences = [a.probability_fail if a.prediction == "FAIL" else 1.0 - a.probability_fail for a in answers]
    return Recount(
        total=len(answers),
        pass_count=sum(a.prediction == "PASS" for a in answers),
        fail_count=sum(a.prediction == "FAIL" for a in answers),
        average_confidence=fsum(confidences) / len(answers) if answers else None,
        true_positives=pairs.count(("FAIL", "FAIL")),
        false_positives=pairs.count(("FAIL", "PASS")),
        true_negatives=pairs.count(("PASS", "PASS")),
        false_negatives=pairs.count(("PASS", "FAIL")),
        answers=answers,
    )
