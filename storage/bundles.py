"""Model bundles: the folder `models/{model_version}/`, written once, verified whenever it is loaded, and the one way a bundle scores rows.

The manifest is written last and names the SHA-256 of every other file, so a crash leaves no half bundle that loads. Never pickle.
`score` and `contributions` are the same for the stream processor, the trainer and an offline recount: a row's result has the same bits
whatever other rows are in the batch and whatever the number of threads. Both free the GIL and may be called from several threads.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from schemas.manifests import ModelManifest

if TYPE_CHECKING:
    from storage.files import Storage

Matrix = npt.NDArray[np.float32]
MODEL, MANIFEST, CURVES_IMAGE, CURVES = "model.ubj", "manifest.json", "curves.png", "curves.json"
MODEL_VERSION = re.compile(r"model-[0-9a-f]{12}")


class BundleError(Exception):
    """A bundle cannot be used: waiting does not help."""


class BundleMissing(BundleError):
    """There is no such model version."""

    def __init__(self, model_version: str) -> None:
        super().__init__(f"model version {model_version} does not exist")
        self.model_version = model_version


class BundleCorrupt(BundleError):
    """The files of a model version are not those that its manifest names."""

    def __init__(self, model_version: str, detail: str) -> None:
        super().__init__(f"model version {model_version} is corrupt: {detail}")
        self.model_version = model_version


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded model version. `booster` takes `manifest.features` in order, as float32, NaN for missing."""

    manifest: ModelManifest
    booster: Any


def bundle_path(model_version: str, name: str) -> str:
    """Where a file of a bundle is, relative to the storage root."""
    return f"models/{model_version}/{name}"


def write_bundle(storage: Storage, manifest: ModelManifest, files: Mapping[str, bytes]) -> ModelManifest:
    """Write the files, then the manifest with their SHA-256; return it. `files` must hold the model; an existing version is refused."""
    if MODEL not in files or MANIFEST in files:
        raise ValueError(f"a bundle consists of {MODEL} and its companions; the manifest is written by write_bundle")
    if storage.exists(bundle_path(manifest.model_version, MANIFEST)):
        raise ValueError(f"model version {manifest.model_version} exists")
    for name, content in files.items():
        storage.write_bytes(bundle_path(manifest.model_version, name), content)
    complete = manifest.model_copy(update={"files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}})
    storage.write_bytes(bundle_path(manifest.model_version, MANIFEST), complete.model_dump_json(indent=2).encode())
    return complete


def load_bundle(storage: Storage, model_version: str, *, threads: int = 1) -> Bundle:
    """Load a model version, every file verified. Raises `BundleMissing`, `BundleCorrupt`, `StorageUnavailable`."""
    xgboost = import_xgboost()
    manifest = _read_manifest(storage, model_version)
    content = {name: _read_verified(storage, manifest, name) for name in manifest.files}
    if MODEL not in content:
        raise BundleCorrupt(model_version, f"the manifest names no {MODEL}")
    booster = xgboost.Booster({"nthread": threads})
    try:
        booster.load_model(bytearray(content[MODEL]))
    except xgboost.core.XGBoostError as error:
        raise BundleCorrupt(model_version, f"XGBoost cannot read {MODEL}: {str(error).splitlines()[0]}") from error
    booster.set_param({"nthread": threads})  # loading restores the setting of the training
    if booster.num_features() != len(manifest.features):
        raise BundleCorrupt(
            model_version, f"the model takes {booster.num_features()} features, the manifest names {len(manifest.features)}"
        )
    return Bundle(manifest, booster)


def score(bundle: Bundle, matrix: Matrix) -> Matrix:
    """P(FAIL) of each row: float32 [n, k] in the manifest's feature order, NaN for missing → float32 [n].

    `inplace_predict` and a `DMatrix` give the same bits; the former was measured 10 to 25 % faster at every batch size.
    """
    return probability_fail(bundle.booster, bundle.manifest.best_iteration, matrix)


def probability_fail(booster: Any, best_iteration: int, matrix: Matrix) -> Matrix:
    """`score` of a booster that is not in a bundle yet."""
    if not len(matrix):
        return np.empty(0, np.float32)
    probability: Matrix = booster.inplace_predict(finite(matrix), iteration_range=(0, best_iteration + 1), validate_features=False)
    return probability


def contributions(bundle: Bundle, matrix: Matrix, *, approximate: bool = False) -> Matrix:
    """Each feature's part in the log-odds of FAIL, float32 [n, k], without the bias.

    Exact is TreeSHAP (Lundberg et al. 2018, arXiv:1802.03888); approximate is Saabas' method, measured 25 times faster.
    """
    xgboost = import_xgboost()
    if not len(matrix):
        return np.empty((0, len(bundle.manifest.features)), np.float32)
    data = xgboost.DMatrix(finite(matrix), nthread=1)
    parts: Matrix = bundle.booster.predict(
        data,
        pred_contribs=True,
        approx_contribs=approximate,
        iteration_range=(0, bundle.manifest.best_iteration + 1),
        validate_features=False,
    )
    return np.ascontiguousarray(parts[:, :-1])


def import_xgboost() -> Any:
    """XGBoost without scikit-learn, which it imports for estimators that nobody here uses: 0.4 s of processor time instead of 1.4 s."""
    if "xgboost" not in sys.modules and "sklearn" not in sys.modules:
        sys.modules["sklearn"] = None  # type: ignore[assignment]  # the documented way to make an import fail
        try:
            import xgboost
        finally:
            del sys.modules["sklearn"]
    import xgboost

    return xgboost


def finite(matrix: npt.NDArray[np.floating[Any]]) -> Matrix:
    """The matrix as float32. What it cannot hold is missing, as in an uploaded CSV, whether it came as 1e39, 1e400 or an infinity."""
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(matrix, np.float32)
    if not np.isinf(single).any():
        return single
    return np.where(np.isinf(single), np.float32(np.nan), single)


def _read_manifest(storage: Storage, model_version: str) -> ModelManifest:
    if not MODEL_VERSION.fullmatch(model_version):  # rows of other systems name it: it must not become a path of their choice
        raise BundleMissing(model_version)
    try:
        manifest = ModelManifest.model_validate_json(storage.read_bytes(bundle_path(model_version, MANIFEST)))
    except FileNotFoundError as error:
        raise BundleMissing(model_version) from error
    except ValidationError as error:
        raise BundleCorrupt(model_version, f"{MANIFEST} is not a manifest: {error.error_count()} problems") from error
    if manifest.model_version != model_version:
        raise BundleCorrupt(model_version, f"{MANIFEST} is that of {manifest.model_version}")
    return manifest


def _read_verified(storage: Storage, manifest: ModelManifest, name: str) -> bytes:
    try:
        content: bytes = storage.read_bytes(bundle_path(manifest.model_version, name))
    except FileNotFoundError as error:
        raise BundleCorrupt(manifest.model_version, f"{name} is missing") from error
    if hashlib.sha256(content).hexdigest() != manifest.files[name]:
        raise BundleCorrupt(manifest.model_version, f"{name} is not the file that was written (SHA-256 differs)")
    return content
