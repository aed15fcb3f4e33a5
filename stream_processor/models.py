"""Model versions in memory: loaded by id when a row first names them, verified, the least recently used dropped beyond a bound.

A version that is missing or corrupt is a fact about the row (`NoModel`), asked for again after a while. A storage that does not answer is
waited for, with a bound.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Executor

import numpy as np
import structlog

from rows.decode import FeatureReader
from runtime.errors import Unavailable
from storage.bundles import BundleError, contributions, load_bundle, score
from storage.errors import StorageUnavailable
from storage.files import Storage
from stream_processor.answers import Model
from stream_processor.metrics import MODELS_LOADED
from stream_processor.score import NoModel

RETRY_SECONDS = 0.5
MISSING_SECONDS = 5.0

log = structlog.get_logger()


class ModelCache:
    """`at_hand` is what can be used at once; `get` fetches."""

    def __init__(
        self, storage: Storage, executor: Executor, *, most: int, timeout_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._most = most
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._missing: dict[str, tuple[float, NoModel]] = {}
        self._lock = asyncio.Lock()

    def at_hand(self) -> dict[str, Model | NoModel]:
        """Return a copy of what is loaded."""
        return dict(self._models)

    def used(self, versions: Iterable[str]) -> None:
        """Note that these were just used."""
        for version in versions:
            if version in self._models:
                self._models.move_to_end(version)

    async def get(self, version: str) -> Model | NoModel:
        """Return the model version, loading it if need be. Raises `Unavailable` when the storage does not answer within the bound."""
        async with self._lock:
            if version in self._models:
                self._models.move_to_end(version)
                return self._models[version]
            known = self._missing.get(version)
            if known and self._clock() - known[0] < MISSING_SECONDS:
                return known[1]
            return await self._load(version)

    async def _load(self, version: str) -> Model | NoModel:
        deadline = self._clock() + self._timeout_seconds
        while True:
            try:
                model = await asyncio.get_running_loop().run_in_executor(self._executor, self._read, version)
            except BundleError as error:
                log.warning("a row names a model version that cannot be used", model_version=version, error=str(error))
                missing = NoModel(str(error))
                self._missing = {name: known for name, known in self._missing.items() if self._clock() - known[0] < MISSING_SECONDS}
                self._missing[version] = (self._clock(), missing)
                return missing
            except StorageUnavailable as error:
                if self._clock() > deadline:
                    raise Unavailable("storage", str(error)) from error
                log.warning("the storage does not answer, trying again", model_version=version, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return self._keep(version, model)

    def _read(self, version: str) -> Model:
        bundle = load_bundle(self._storage, version)
        any_row = np.full((1, len(bundle.manifest.features)), np.nan, np.float32)
        score(bundle, any_row)  # the first call is slower than all others
        contributions(bundle, any_row)
        return Model(bundle, FeatureReader(bundle.manifest, bundle.inputs))

    def _keep(self, version: str, model: Model) -> Model:
        self._models[version] = model
        while len(self._models) > self._most:
            self._models.popitem(last=False)
        MODELS_LOADED.set(len(self._models))
        log.info("model version loaded", model_version=version, features=len(model.reader.features))
        return model
