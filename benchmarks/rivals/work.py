"""The work itself, as a careful Python programmer writes it for speed: the same for every rival. Knows nothing of our
packages.

Decoding straight into a struct made from the model's features, one matrix and one prediction per batch, one encoder.
What a rival does not do: check whose row it is, refuse what it saw before, explain, dead-letter. A row that is not as
expected raises."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import numpy as np
import xgboost

Verdict = Literal["PASS", "FAIL"]


class RivalSource(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class RivalPrediction(msgspec.Struct):
    prediction_id: str
    run_id: str
    attempt: int
    lane: int
    row_index: int
    sample_id: str
    row_timestamp: datetime | None
    prediction: Verdict
    confidence: float
    probability_fail: float
    threshold: float
    model_version: str
    top_features: dict[str, float]
    top_feature_values: dict[str, float | None]
    reasons: str
    label: Verdict | None
    scored_at: datetime
    source: RivalSource


class Stats(msgspec.Struct):
    """Statistics of one run."""

    run_id: str
    offset: int = -1
    total: int = 0
    pass_count: int = 0
    fail_count: int = 0
    confidence_sum: float = 0.0
    probability_fail_sum: float = 0.0
    tp: int = 0
    fp: int = 0
    tn: int = 0
    fn: int = 0
    histogram: list[int] = msgspec.field(default_factory=lambda: [0] * 20)
    last: RivalPrediction | None = None

    def add(self, prediction: RivalPrediction) -> None:
        """Count a row."""
        self.total += 1
        self.offset = prediction.source.offset
        failed = prediction.prediction == "FAIL"
        if failed:
            self.fail_count += 1
        else:
            self.pass_count += 1
        self.confidence_sum += prediction.confidence
        self.probability_fail_sum += prediction.probability_fail
        self.histogram[min(int(prediction.probability_fail * 20), 19)] += 1
        if prediction.label is not None:
            name = ("t" if failed == (prediction.label == "FAIL") else "f") + ("p" if failed else "n")
            setattr(self, name, getattr(self, name) + 1)
        self.last = prediction


encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


class RivalWork:
    """Built from the benchmark's configuration: path of the model, its features, its threshold."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.model_version, self.threshold = configuration["model_version"], configuration["threshold"]
        features = configuration["features"]
        self.booster = xgboost.Booster({"nthread": 1})
        self.booster.load_model(configuration["model"])
        self.booster.set_param({"nthread": 1})
        fields = [(f"f{i}", float | None) for i in range(len(features))]
        columns: Any = msgspec.defstruct(
            "Features", fields, rename=dict(zip((f[0] for f in fields), features, strict=True)), gc=False
        )
        row: Any = msgspec.defstruct(
            "Row",
            [
                ("features", columns),
                ("run_id", str),
                ("row_index", int),
                ("attempt", int, 1),
                ("lane", int, 0),
                ("sample_id", str | None, None),
                ("timestamp", datetime | None, None),
                ("label", Verdict | None, None),
            ],
            gc=False,
        )
        self.decode = msgspec.json.Decoder(row).decode

    def predict(self, rows: list[Any]) -> list[float]:
        """P(FAIL) of decoded rows."""
        matrix = np.array([msgspec.structs.astuple(row.features) for row in rows], dtype=np.float32)
        return list(self.booster.inplace_predict(matrix, validate_features=False).tolist())

    def prediction(
        self, row: Any, probability: float, topic: str, partition: int, offset: int, now: datetime
    ) -> RivalPrediction:
        """The answer to a row."""
        failed = probability >= self.threshold
        return RivalPrediction(
            f"{row.run_id}:{row.attempt}:{row.row_index}",
            row.run_id,
            row.attempt,
            row.lane,
            row.row_index,
            row.sample_id or f"SAMPLE_{row.row_index}",
            row.timestamp,
            "FAIL" if failed else "PASS",
            probability if failed else 1.0 - probability,
            probability,
            self.threshold,
            self.model_version,
            {},
            {},
            "none",
            row.label,
            now,
            RivalSource(topic, partition, offset),
        )

    def score(self, records: list[tuple[int, int, bytes]], topic: str) -> list[RivalPrediction]:
        """Answer (partition, offset, value) records."""
        rows = [self.decode(value) for _, _, value in records]
        now = datetime.now(UTC)
        return [
            self.prediction(row, probability, topic, partition, offset, now)
            for row, probability, (partition, offset, _) in zip(rows, self.predict(rows), records, strict=True)
        ]


def configuration() -> dict[str, Any]:
    """The file named on the command line."""
    with open(sys.argv[1], "rb") as file:
        found: dict[str, Any] = json.load(file)
    return found
