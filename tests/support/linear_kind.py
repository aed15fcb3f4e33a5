"""A second kind of model, whole in one file, as anybody may add one: a line through the values, as JSON."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.kinds.base import Matrix, Unusable
from schemas.manifests import ModelManifest


@dataclass(frozen=True)
class Line:
    """P(FAIL) is the logistic function of a weighted sum; what is missing adds nothing."""

    weights: Matrix

    @property
    def features(self) -> int:
        return len(self.weights)

    @property
    def categories(self) -> frozenset[int]:
        return frozenset()

    def score(self, matrix: Matrix) -> Matrix:
        total = self.contributions(matrix, approximate=False).sum(axis=1, dtype=np.float32)
        probability: Matrix = (1 / (1 + np.exp(-total))).astype(np.float32)
        return probability

    def contributions(self, matrix: Matrix, *, approximate: bool) -> Matrix:
        parts: Matrix = (np.nan_to_num(matrix) * self.weights).astype(np.float32)
        return parts


class Linear:
    """The kind `linear`."""

    title, library = "our line", "linear-kind"

    def version(self) -> str:
        return "1.0"

    def load(self, manifest: ModelManifest, content: bytes, *, threads: int) -> Line:
        try:
            return Line(np.array(json.loads(content), np.float32))
        except ValueError as error:
            raise Unusable(str(error)) from error


KIND = Linear()


def installed(folder: Path) -> Path:
    """A folder that, on PYTHONPATH, has this kind installed."""
    (folder / "linear_kind.py").write_text(Path(__file__).read_text())
    about = folder / "linear_kind-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: linear-kind\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[intelliinspect.model_kinds]\nlinear = linear_kind:KIND\n")
    return folder
