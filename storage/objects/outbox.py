"""The outbox: datasets that are stored but whose record is still to reach Kafka, an empty file `outbox/{dataset_id}`
each.

The manifest is where every dataset's is. The file comes when Kafka did not take the record, and goes when Kafka is
known to have it."""

from schemas.manifests import DatasetManifest
from storage.objects.files import Storage

FOLDER = "outbox"


def put(storage: Storage, dataset_id: str) -> None:
    """Note, for good, that the dataset's record is to be sent. Raises `StorageUnavailable`; so do the others."""
    storage.write_bytes(f"{FOLDER}/{dataset_id}", b"")


def waiting(storage: Storage) -> list[str]:
    """Ids of the datasets whose record is to be sent."""
    return storage.names(FOLDER)


def remove(storage: Storage, dataset_id: str) -> None:
    """Kafka has the record. No error when that was noted before."""
    storage.remove(f"{FOLDER}/{dataset_id}")


def manifest(storage: Storage, dataset_id: str) -> DatasetManifest | None:
    """A stored dataset's manifest; None when there is none."""
    try:
        return DatasetManifest.model_validate_json(storage.read_bytes(f"datasets/{dataset_id}/manifest.json"))
    except FileNotFoundError:
        return None
