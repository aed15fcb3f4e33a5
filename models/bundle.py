"""Model bundles: the folder `models/{model_version}/`, written once, verified whenever it is loaded, and the one way a
bundle scores rows.

The manifest is written last and names the SHA-256 of every other file, so a crash leaves no half bundle that loads.
Never pickle. The manifest itself is what was registered in `models.v1`: its digest, taken from that record, is checked
at each load. A bundle without a record loads by its files' sums alone.
`score` and `contributions` are the same for the stream processor, the trainer and an offline recount: a row's result
has the same bits whatever other rows are in the batch and whatever the number of threads. Both free the GIL and may be
called from several threads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import ValidationError

from models import golden, kinds
from models.kinds.base import Matrix, Scorer, Unusable, finite
from rows.inputs import PREPARATION, ModelInputs, read_inputs
from schemas.manifests import ModelManifest

if TYPE_CHECKING:
    from storage.objects.files import Storage

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
        self.model_version, self.detail = model_version, detail


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded model version. `scorer` takes `manifest.features` in order, as float32, NaN for missing; categories as
    `inputs` codes them.

    `inputs` is null where all are numbers.
    """

    manifest: ModelManifest
    scorer: Scorer
    inputs: ModelInputs | None = None


def bundle_path(model_version: str, name: str) -> str:
    """Where a file of a bundle is, relative to the storage root."""
    return f"models/{model_version}/{name}"


def write_bundle(storage: Storage, manifest: ModelManifest, files: Mapping[str, bytes]) -> ModelManifest:
    """Write the files, then the manifest with their SHA-256; return it. `files` must hold the model; an existing
    version is refused."""
    if MODEL not in files or MANIFEST in files:
        raise ValueError(f"a bundle consists of {MODEL} and its companions; the manifest is written by write_bundle")
    if storage.exists(bundle_path(manifest.model_version, MANIFEST)):
        raise ValueError(f"model version {manifest.model_version} exists")
    for name, content in files.items():
        storage.write_bytes(bundle_path(manifest.model_version, name), content)
    complete = manifest.model_copy(
        update={"files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}}
    )
    storage.write_bytes(bundle_path(manifest.model_version, MANIFEST), complete.model_dump_json(indent=2).encode())
    return complete


class BundleFiles(NamedTuple):
    """A bundle's verified files, not yet given to the library."""

    manifest: ModelManifest
    model: bytes
    golden_rows: bytes | None
    preparation: bytes | None = None


def note_registered(digests: dict[str, str], version: str, record: bytes | None) -> str | None:
    """Note the digest of a model version's record; return why one is passed over. The first counts: none is ever
    changed or taken back."""
    if record is None:
        return "a model version is never taken back"
    try:
        manifest = ModelManifest.model_validate_json(record)
    except ValueError as error:
        return str(error)[:500]
    if manifest.model_version != version:
        return f"it is that of {manifest.model_version}"
    if digests.setdefault(version, found := digest(manifest)) != found:
        return "another manifest is registered under this version"
    return None


def digest(manifest: ModelManifest) -> str:
    """SHA-256 of a manifest's content, however its JSON is laid out: the same of the file in a bundle and of its record
    in `models.v1`."""
    return hashlib.sha256(manifest.model_dump_json().encode()).hexdigest()


def load_bundle(storage: Storage, model_version: str, *, threads: int = 1, registered: str | None = None) -> Bundle:
    """Load a model version, every file verified, and have it score its golden rows. `registered`: the digest of its
    record, where known.

    Raises `BundleMissing`, `BundleCorrupt`, `StorageUnavailable`.
    """
    return make_bundle(read_bundle(storage, model_version, registered), threads=threads)


def read_bundle(storage: Storage, model_version: str, registered: str | None = None) -> BundleFiles:
    """Read and verify a bundle's files; the library is not asked. Raises as `load_bundle`."""
    manifest = read_manifest(storage, model_version, registered)
    content = {name: _read_verified(storage, manifest, name) for name in manifest.files}
    if MODEL not in content:
        raise BundleCorrupt(model_version, f"the manifest names no {MODEL}")
    return BundleFiles(manifest, content[MODEL], content.get(golden.NAME), content.get(PREPARATION))


def read_file(storage: Storage, manifest: ModelManifest, name: str) -> bytes:
    """A bundle's file by the manifest that was registered. Raises `BundleMissing` when there is no such file, else as
    `load_bundle`."""
    if name not in manifest.files or not storage.exists(bundle_path(manifest.model_version, name)):
        raise BundleMissing(manifest.model_version)
    return _read_verified(storage, manifest, name)


def make_bundle(content: BundleFiles, *, threads: int = 1) -> Bundle:
    """Give a bundle's files to the library, which a hostile model may crash: see `models.trial`. Raises
    `BundleCorrupt`."""
    manifest = content.manifest
    model_version = manifest.model_version
    try:
        kind = kinds.find(manifest.kind)
    except Unusable as error:
        raise BundleCorrupt(model_version, str(error)) from error
    made_by = manifest.library_versions.get(kind.library)
    if content.golden_rows is None and made_by not in (None, kind.version()):
        detail = (
            f"it was made by {kind.title} {made_by}, this is {kind.version()}, and it holds no golden rows to compare;"
            " train it again"
        )
        raise BundleCorrupt(model_version, detail)
    try:
        scorer = kind.load(manifest, content.model, threads=threads)
    except Unusable as error:
        raise BundleCorrupt(model_version, f"{kind.title} cannot read {MODEL}: {error}") from error
    if scorer.features != len(manifest.features):
        raise BundleCorrupt(
            model_version, f"the model takes {scorer.features} features, the manifest names {len(manifest.features)}"
        )
    bundle = Bundle(manifest, scorer, _inputs(manifest, scorer, content.preparation))
    try:
        wrong = (
            golden.problem(content.golden_rows, len(manifest.features), partial(score, bundle))
            if content.golden_rows is not None
            else None
        )
    except Unusable as error:
        raise BundleCorrupt(model_version, f"{kind.title} cannot score by {MODEL}: {error}") from error
    if wrong:
        whose = f"made by {kind.title} {made_by or 'an unknown version'}, this is {kind.version()}"
        raise BundleCorrupt(model_version, f"{wrong} ({whose})")
    return bundle


def score(bundle: Bundle, matrix: Matrix) -> Matrix:
    """P(FAIL) of each row: float32 [n, k] in the manifest's feature order, NaN for missing → float32 [n]."""
    return bundle.scorer.score(finite(matrix)) if len(matrix) else np.empty(0, np.float32)


def contributions(bundle: Bundle, matrix: Matrix, *, approximate: bool = False) -> Matrix:
    """Each feature's part in the log-odds of FAIL, float32 [n, k], without the bias."""
    if not len(matrix):
        return np.empty((0, len(bundle.manifest.features)), np.float32)
    return bundle.scorer.contributions(finite(matrix), approximate=approximate)


def _inputs(manifest: ModelManifest, scorer: Scorer, content: bytes | None) -> ModelInputs | None:
    try:
        inputs = None if content is None else read_inputs(manifest, content)
    except ValueError as error:
        raise BundleCorrupt(manifest.model_version, str(error)) from error
    if scorer.categories != set(inputs.categories if inputs else ()):
        raise BundleCorrupt(manifest.model_version, f"the categories of {MODEL} are not those of {PREPARATION}")
    return inputs


def read_manifest(storage: Storage, model_version: str, registered: str | None = None) -> ModelManifest:
    """The manifest, the one that was registered. Raises as `load_bundle`."""
    if not MODEL_VERSION.fullmatch(
        model_version
    ):  # rows of other systems name it: it must not become a path of their choice
        raise BundleMissing(model_version)
    try:
        manifest = ModelManifest.model_validate_json(storage.read_bytes(bundle_path(model_version, MANIFEST)))
    except FileNotFoundError as error:
        raise BundleMissing(model_version) from error
    except ValidationError as error:
        raise BundleCorrupt(model_version, f"{MANIFEST} is not a manifest: {error.error_count()} problems") from error
    if manifest.model_version != model_version:
        raise BundleCorrupt(model_version, f"{MANIFEST} is that of {manifest.model_version}")
    if registered is not None and digest(manifest) != registered:
        raise BundleCorrupt(model_version, f"{MANIFEST} is not the one that was registered (SHA-256 differs)")
    return manifest


def _read_verified(storage: Storage, manifest: ModelManifest, name: str) -> bytes:
    try:
        content: bytes = storage.read_bytes(bundle_path(manifest.model_version, name))
    except FileNotFoundError as error:
        raise BundleCorrupt(manifest.model_version, f"{name} is missing") from error
    if hashlib.sha256(content).hexdigest() != manifest.files[name]:
        raise BundleCorrupt(manifest.model_version, f"{name} is not the file that was written (SHA-256 differs)")
    return content
