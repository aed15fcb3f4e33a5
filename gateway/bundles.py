"""A look at a model version's bundle before something is begun with it."""

from gateway.errors import Conflict
from gateway.workshop import Workshop
from schemas.manifests import ModelManifest
from storage.bundles import BundleCorrupt, BundleMissing, digest, read_manifest
from storage.errors import StorageUnavailable
from storage.files import Storage


async def check_bundle(workshop: Workshop, model: ModelManifest) -> None:
    """Raise `Conflict` when its manifest in the storage is not the one that was registered. What is missing or away others find out."""
    if (problem := await workshop.look(_problem, model)) is not None:
        raise Conflict(f"{problem[0].upper()}{problem[1:]}.", "model_corrupt")


def _problem(storage: Storage, model: ModelManifest) -> str | None:
    try:
        read_manifest(storage, model.model_version, digest(model))
    except BundleCorrupt as error:
        return str(error)
    except (BundleMissing, StorageUnavailable):
        pass
    return None
