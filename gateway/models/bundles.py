"""A look at a model version's bundle before something is begun with it."""

from gateway.errors import StateConflict
from gateway.web.threads import Workshop
from models.bundle import BundleCorrupt, BundleMissing, digest, read_manifest
from schemas.manifests import ModelManifest
from storage.errors import StorageUnavailable
from storage.objects.files import Storage


async def check_bundle(workshop: Workshop, model: ModelManifest) -> None:
    """Raise `StateConflict` when its manifest in the storage is not the one that was registered. What is missing or
    away others find out."""
    if (problem := await workshop.look(_problem, model)) is not None:
        raise StateConflict(f"{problem[0].upper()}{problem[1:]}.", "model_corrupt")


def _problem(storage: Storage, model: ModelManifest) -> str | None:
    try:
        read_manifest(storage, model.model_version, digest(model))
    except BundleCorrupt as error:
        return str(error)
    except (BundleMissing, StorageUnavailable):
        pass
    return None
