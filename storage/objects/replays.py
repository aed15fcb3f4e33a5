"""Where the rows of replays are kept: `replays/{run_id}/`, Parquet files and a manifest, without which there are none.

They are a copy of what stands on `rows.v1`: without it the rows are read from the topic again, as long as they are
there."""

from collections.abc import Mapping
from datetime import datetime

from storage.objects.files import Storage

FOLDER = "replays"


def folder(run_id: str) -> str:
    """The folder of a replay's rows."""
    return f"{FOLDER}/{run_id}"


def manifest(run_id: str) -> str:
    """The file that comes last."""
    return f"{folder(run_id)}/manifest.json"


def are_kept(storage: Storage, run_id: str) -> bool:
    """Whether the rows of a replay are all there."""
    return storage.exists(manifest(run_id))


def surplus(storage: Storage, ended: Mapping[str, datetime], keep: int) -> list[str]:
    """Of replays that are over, by when they ended, those whose rows need not be kept: all but the newest, and what is
    not whole.

    The oldest first.
    """
    found = sorted(ended.keys() & {*storage.names(FOLDER)}, key=lambda run_id: (ended[run_id], run_id), reverse=True)
    kept = [run_id for run_id in found if are_kept(storage, run_id)][:keep]
    return [run_id for run_id in reversed(found) if run_id not in kept]
