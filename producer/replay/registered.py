"""What `models.v1` says of model versions: the digest of each one's manifest.

The features that rows are sent with are read from a manifest in the storage, and an edited one would put values under
other names without anyone noticing.
"""

from models.bundle import note_registered
from runtime.kafka.errors import classify
from runtime.kafka.reading import read_to_end
from schemas.topics import MODELS


class Registered:
    """Remembers what it was asked for: a record never changes."""

    def __init__(self, kafka: dict[str, object]) -> None:
        self._kafka = kafka
        self._digests: dict[str, str] = {}

    async def of(self, version: str) -> str | None:
        """The digest of a model version, null when it has no record. Raises `Unavailable`."""
        return self._digests.get(version) or (await self._read(version)).get(version)

    async def all(self) -> dict[str, str]:
        """The digests of all model versions. Raises `Unavailable`."""
        return await self._read(None)

    async def _read(self, version: str | None) -> dict[str, str]:
        try:
            async for record in read_to_end(self._kafka, MODELS.name):
                name = (record.key or b"@").decode("utf-8", "replace")
                if version in (None, name) and "@" not in name:
                    note_registered(self._digests, name, record.value)  # what is passed over the stream processor says
        except Exception as error:
            raise classify(error, f"reading {MODELS.name}") from error
        return dict(self._digests)
