"""Several processes take in the same file at once, one of them is killed: the content is stored once, whole, and
datasets are whole."""

import hashlib
import subprocess
import sys
from pathlib import Path

import polars as pl

from devstack.generate import generate
from schemas.manifests import DatasetManifest
from storage.objects.files import Storage
from storage.objects.scratch import NAME as SCRATCH
from storage.tables.datasets import DatasetOptions, ingest

TAKE_IN = """
import sys
from pathlib import Path
from storage.tables.datasets import DatasetOptions, ingest
from storage.objects.files import Storage
url, upload, sha256 = sys.argv[1:]
print("started", flush=True)
for _ in range(3):
    storage, options = Storage(url).initialise(), DatasetOptions()
    ingest(storage, Path(upload), file_name="rows.csv", workspace="tests", options=options, sha256=sha256)
print("done", flush=True)
"""


def test_concurrent_uploads_and_a_kill_leave_whole_files(tmp_path: Path, storage_url: str) -> None:
    upload = generate(tmp_path / "rows.csv", rows=20_000, features=50).path
    sha256 = hashlib.sha256(upload.read_bytes()).hexdigest()
    command = [sys.executable, "-c", TAKE_IN, storage_url, str(upload), sha256]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    victim, survivors = workers[0], workers[1:]
    assert victim.stdout is not None
    assert victim.stdout.readline() == "started\n"
    victim.kill()
    answers = [worker.communicate(timeout=240)[0] for worker in survivors]
    victim.communicate(timeout=60)
    assert answers == ["started\ndone\n"] * 3

    storage = Storage(storage_url).initialise()
    root = Path(storage_url.removeprefix("file://"))
    files = {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and SCRATCH not in path.parts and path.name != "storage.json"
    }
    place = f"files/{sha256}/{DatasetOptions().content_key()}"
    content, beside = f"{place}/data.parquet", f"{place}/content.json"
    manifests = [DatasetManifest.model_validate_json(storage.read_bytes(path)) for path in files - {content, beside}]
    assert len(manifests) >= 9
    assert content in files
    assert {one.path for one in manifests} == {content}
    kept = ("Id", "Response")  # the id and the label stay as they are written
    expected = pl.read_csv(upload).with_columns(pl.col(kept).cast(pl.String), pl.exclude(kept).cast(pl.Float64))
    assert pl.read_parquet(storage.local(content)).equals(expected)


def test_a_remote_storage_gives_the_same_dataset(tmp_path: Path, storage_url: str) -> None:
    upload = generate(tmp_path / "rows.csv", rows=500).path
    sha256 = hashlib.sha256(upload.read_bytes()).hexdigest()
    made = [
        ingest(
            storage,
            upload,
            file_name="rows.csv",
            workspace="tests",
            options=DatasetOptions(),
            sha256=sha256,
            dataset_id="ds-000000000001",
        )
        for storage in (
            Storage(storage_url).initialise(),
            Storage(f"memory://{tmp_path.name}", cache=tmp_path / "cache").initialise(),
        )
    ]
    folder, remote = [one.model_dump(exclude={"created_at"}) for one in made if isinstance(one, DatasetManifest)]
    assert folder == remote
