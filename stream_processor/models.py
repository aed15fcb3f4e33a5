"""Model versions in memory: loaded by id when a row first names them, verified against their record in `models.v1`,
tried out in a child process, the least recently used dropped beyond a bound.

A version that is missing or corrupt is a fact about the row (`NoModel`), asked for again after a while. A storage that
does not answer is waited for, with a bound.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Protocol
from weakref import WeakValueDictionary

import numpy as np
import structlog

from models import kinds
from models.bundle import (
    BundleCorrupt,
    BundleError,
    contributions,
    digest,
    make_bundle,
    read_bundle,
    score,
)
from models.trial import Trial
from rows.decode import FeatureReader
from runtime.errors import Unavailable
from storage.errors import StorageUnavailable
from storage.objects.files import Storage
from stream_processor.batch.answers import LoadedModel
from stream_processor.batch.score import NoModel
from stream_processor.metrics import MODELS_LOADED

RETRY_SECONDS = 0.5
MISSING_SECONDS = 5.0


class ModelRecords(Protocol):
    """What `models.v1` says of a model version: the digest of its manifest, null when it has no record."""

    def digest(self, version: str) -> str | None:
        """As far as it is known by now."""

    async def registered(self, version: str) -> str | None:
        """With everything read that is there."""


log = structlog.get_logger()


class ModelCache:
    """`at_hand` is what can be used at once; `get` fetches."""

    def __init__(
        self,
        storage: Storage,
        executor: Executor,
        *,
        most: int,
        timeout_seconds: float,
        records: ModelRecords | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._most = most
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._missing: dict[str, tuple[float, NoModel]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._records = records
        self._digests: dict[str, str] = {}
        self._trial = Trial()

    def at_hand(self) -> dict[str, LoadedModel | NoModel]:
        """Return a copy of what is loaded. What was loaded before its record was known, and is not what that says, is
        loaded no longer."""
        if self._records is not None:
            for version in [
                version
                for version in self._models
                if self._records.digest(version) not in (None, self._digests[version])
            ]:
                log.error("a model version is not the one that was registered", model_version=version)
                del self._models[version]
        return dict(self._models)

    def warm(self) -> None:
        """Load the library, and start the process in which bundles are tried out. Blocks."""
        self._trial.warm()
        kinds.warm()

    def close(self) -> None:
        """End that process."""
        self._trial.close()

    def used(self, versions: Iterable[str]) -> None:
        """Note that these were just used."""
        for version in versions:
            if version in self._models:
                self._models.move_to_end(version)

    async def get(self, version: str) -> LoadedModel | NoModel:
        """Return the model version, loading it if need be. Raises `Unavailable` when the storage does not answer within
        the bound."""
        async with self._locks.setdefault(version, asyncio.Lock()):
            if version in self._models:
                self._models.move_to_end(version)
                return self._models[version]
            known = self._missing.get(version)
            if known and self._clock() - known[0] < MISSING_SECONDS:
                return known[1]
            return await self._load(version)

    async def _load(self, version: str) -> LoadedModel | NoModel:
        deadline = self._clock() + self._timeout_seconds
        registered = await self._records.registered(version) if self._records else None
        while True:
            try:
                model = await asyncio.get_running_loop().run_in_executor(
                    self._executor, self._read, version, registered
                )
            except BundleError as error:
                log.warning("a row names a model version that cannot be used", model_version=version, error=str(error))
                missing = NoModel(str(error))
                self._missing = {
                    name: known for name, known in self._missing.items() if self._clock() - known[0] < MISSING_SECONDS
                }
                self._missing[version] = (self._clock(), missing)
                return missing
            except StorageUnavailable as error:
                if self._clock() > deadline:
                    raise Unavailable("storage", str(error)) from error
                log.warning("the storage does not answer, trying again", model_version=version, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return self._keep(version, model)

    def _read(self, version: str, registered: str | None) -> LoadedModel:
        content = read_bundle(self._storage, version, registered)
        if problem := self._trial.problem(content):
            raise BundleCorrupt(version, problem)
        bundle = make_bundle(content)
        any_row = np.full((1, len(bundle.manifest.features)), np.nan, np.float32)
        score(bundle, any_row)  # the first call is slower than all others
        contributions(bundle, any_row)
        return LoadedModel(bundle, FeatureReader(bundle.manifest, bundle.inputs))

    def _keep(self, version: str, model: LoadedModel) -> LoadedModel:
        self._models[version], self._digests[version] = model, digest(model.bundle.manifest)
        while len(self._models) > self._most:
            del self._digests[self._models.popitem(last=False)[0]]
        MODELS_LOADED.set(len(self._models))
        log.info("model version loaded", model_version=version, features=len(model.reader.features))
        return model
