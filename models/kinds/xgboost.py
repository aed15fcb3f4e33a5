"""Trees boosted by XGBoost."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.kinds.base import Matrix, Unusable, finite
from schemas.manifests import ModelManifest

DISTRIBUTION = "xgboost-cpu"


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """A booster, of which the trees up to the best round count."""

    booster: Any
    best_iteration: int

    @property
    def features(self) -> int:
        """How many columns it takes."""
        return int(self.booster.num_features())

    @property
    def categories(self) -> frozenset[int]:
        """Columns that it takes as codes."""
        return frozenset(at for at, kind in enumerate(self.booster.feature_types or ()) if kind == "c")

    def score(self, matrix: Matrix) -> Matrix:
        """P(FAIL). `inplace_predict` and a `DMatrix` give the same bits; the former was measured 10 to 25 % faster at
        every batch size."""
        try:
            found: Matrix = self.booster.inplace_predict(
                matrix, iteration_range=(0, self.best_iteration + 1), validate_features=False
            )
        except import_xgboost().core.XGBoostError as error:
            raise Unusable(_first_line(error)) from error
        return found

    def contributions(self, matrix: Matrix, *, approximate: bool) -> Matrix:
        """Exact is TreeSHAP (Lundberg et al. 2018, arXiv:1802.03888); approximate is Saabas' method, measured 25 times
        faster."""
        xgboost = import_xgboost()
        try:
            parts: Matrix = self.booster.predict(
                xgboost.DMatrix(matrix, nthread=1),
                pred_contribs=True,
                approx_contribs=approximate,
                iteration_range=(0, self.best_iteration + 1),
                validate_features=False,
            )
        except xgboost.core.XGBoostError as error:
            raise Unusable(_first_line(error)) from error
        return np.ascontiguousarray(parts[:, :-1])


class XGBoost:
    """The kind `xgboost`."""

    title, library = "XGBoost", "xgboost"

    def version(self) -> str:
        """Of the library that scores here."""
        return str(import_xgboost().__version__)

    def load(self, manifest: ModelManifest, content: bytes, *, threads: int) -> BoostedTrees:
        """Load a booster in UBJSON. Raises `Unusable`."""
        xgboost = import_xgboost()
        booster = xgboost.Booster({"nthread": threads})
        try:
            booster.load_model(bytearray(content))
        except (xgboost.core.XGBoostError, ValueError) as error:  # the latter where it cannot even say what is wrong
            raise Unusable(_first_line(error)) from error
        booster.set_param({"nthread": threads})  # loading restores the setting of the training
        return BoostedTrees(booster, manifest.best_iteration)


def probability_fail(booster: Any, best_iteration: int, matrix: npt.NDArray[np.floating[Any]]) -> Matrix:
    """`score` of a booster that is in no bundle yet."""
    if not len(matrix):
        return np.empty(0, np.float32)
    return BoostedTrees(booster, best_iteration).score(finite(matrix))


def import_xgboost() -> Any:
    """XGBoost without scikit-learn, which it imports for estimators that nobody here uses: 0.4 s of processor time
    instead of 1.4 s."""
    if "xgboost" not in sys.modules and "sklearn" not in sys.modules:
        sys.modules["sklearn"] = None  # type: ignore[assignment]  # the documented way to make an import fail
        try:
            import xgboost
        finally:
            del sys.modules["sklearn"]
    import xgboost

    return xgboost


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
