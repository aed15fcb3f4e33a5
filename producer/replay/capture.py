"""The rows of a replay: read from the topic once, before the first is sent, into the storage. From then on a replay is
like any other run: it knows how many rows it has, goes on after a crash, can be sought and tried again, and retention
cannot touch it.

Belongs to no consumer group, so nobody's offsets move. Interrupted, it begins anew; what it made so far is thrown away.
Raises `RunFailed` when retention has taken rows that are asked for, `Unavailable`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache, partial

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from models.bundle import BundleError, read_manifest
from models.stored_inputs import inputs_of
from producer.errors import RunFailed
from producer.replay.records import FeaturesOf, Passed, Reader, Recorded, UnreadableRow
from producer.replay.registered import Registered
from producer.replay.spool import ReplayRows, Spool, finished, on_disk, opened
from producer.sending.positions import first_of_lane
from producer.sources import RETRY_AFTER_SECONDS, RowSource, open_split
from rows.identity import PartitionOf
from rows.inputs import ModelInputs
from runtime.errors import Unavailable
from runtime.kafka.clients import open_reader
from runtime.kafka.errors import classify
from runtime.kafka.reading import partition_for, partitions_of, read_to_end
from runtime.run_epochs import RunEpochs
from schemas.ids import MODEL_VERSION
from schemas.tasks import ReplaySource, RunSpec, TopicRange
from schemas.topics import ROWS, RUN_POSITIONS
from storage.errors import StorageUnavailable, is_full
from storage.objects.files import Storage

log = structlog.get_logger()

STILL_SECONDS = 60.0
"""How long the broker may give nothing, such as behind another system's open transaction."""
POLL_RECORDS = 500
"""Taken in one go."""


async def open_rows(
    kafka: dict[str, object], storage: Storage, registered: Registered, run_id: str, spec: RunSpec
) -> RowSource:
    """The rows of a run: of its split, or those that are to be replayed. Notes in `spec` what is known only now."""
    if spec.replay is None:
        return await open_split(
            storage, spec.split_id or "", spec.model_version, await registered.of(spec.model_version)
        )
    rows = await opened(storage, run_id) or await _read(kafka, storage, registered, run_id, spec, spec.replay)
    spec.total_rows, spec.unreplayable = rows.total, rows.manifest.unreplayable
    return rows


async def _read(
    kafka: dict[str, object], storage: Storage, registered: Registered, run_id: str, spec: RunSpec, source: ReplaySource
) -> ReplayRows:
    for pause in (*RETRY_AFTER_SECONDS, None):
        try:
            return await _tried(kafka, storage, await registered.all(), run_id, spec, source)
        except StorageUnavailable as error:
            if (
                there := await opened(storage, run_id)
            ) is not None:  # a producer that lost the run had them ready first
                return there
            if is_full(error):
                raise RunFailed(f"no room in the storage for the rows to be replayed: {error}") from error
            log.warning(
                "the rows of a replay cannot be stored", run_id=run_id, error=str(error), again_in_seconds=pause
            )
            if pause is None:
                raise Unavailable("storage", str(error)) from error
            await asyncio.sleep(pause)
    raise AssertionError("unreachable")


async def _tried(
    kafka: dict[str, object],
    storage: Storage,
    digests: Mapping[str, str],
    run_id: str,
    spec: RunSpec,
    source: ReplaySource,
) -> ReplayRows:
    try:
        async with open_reader(kafka, max_partition_fetch_bytes=4 << 20) as consumer:
            count = len(await partitions_of(consumer, ROWS.name))
            epochs = await _epochs(kafka, source.run_id, len(await partitions_of(consumer, RUN_POSITIONS.name)))
            reader = Reader(
                source,
                spec.model_version,
                partition_of=PartitionOf(count, partition_for, foreign_on_rows=True),
                features_of=_features(storage, digests),
                epochs=epochs if source.external or epochs.known(source.run_id) else None,
            )
            with storage.scratch() as scratch:
                spool = Spool(scratch)
                for part in source.ranges:
                    await _spool(storage, consumer, reader, spool, source, part)
                _check_count(spool, source)
                rows = await finished(spool, storage, run_id, scratch / "rows")
    except (RunFailed, StorageUnavailable):
        raise
    except Exception as error:
        raise classify(error, f"reading {ROWS.name}") from error
    log.info("replay read", run_id=run_id, rows=rows.total, unreplayable=rows.manifest.unreplayable)
    return rows


async def _epochs(kafka: dict[str, object], run_id: str, partitions: int) -> RunEpochs:
    """What is known of the run's producers."""
    epochs, key = RunEpochs(kafka, partitions=partitions), run_id.encode()
    async for record in read_to_end(kafka, RUN_POSITIONS.name, [partition_for(key, partitions)]):
        if record.key == key:
            epochs.take(record)
    return epochs


def _features(storage: Storage, digests: Mapping[str, str]) -> FeaturesOf:
    @cache
    def features_of(model_version: str) -> ModelInputs:
        if not MODEL_VERSION.fullmatch(model_version):
            raise ValueError("that is not the name of a model version")
        try:
            return inputs_of(storage, read_manifest(storage, model_version, digests.get(model_version)))
        except BundleError as error:
            raise ValueError(str(error)) from error

    return features_of


async def _spool(
    storage: Storage, consumer: AIOKafkaConsumer, reader: Reader, spool: Spool, source: ReplaySource, part: TopicRange
) -> None:
    """Take the run's rows of one range."""
    tp = TopicPartition(part.topic, part.partition)
    consumer.assign([tp])
    first = (await consumer.beginning_offsets([tp]))[tp]
    whole = _Whole(source, first, part)
    consumer.seek(tp, max(first, part.from_offset))
    moved = asyncio.get_running_loop().time()
    while await consumer.position(tp) < part.to_offset:
        batch = (await consumer.getmany(tp, timeout_ms=500, max_records=POLL_RECORDS)).get(tp, [])
        now = asyncio.get_running_loop().time()
        moved = now if batch else moved
        if now - moved > STILL_SECONDS:
            raise await _stuck(consumer, tp)
        await on_disk(
            storage,
            partial(
                _take, [record for record in batch if record.offset < part.to_offset], reader, spool, source, whole
            ),
        )
    whole.check()


async def _stuck(consumer: AIOKafkaConsumer, tp: TopicPartition) -> Exception:
    """Why nothing comes: the broker does not give it, or there is nothing that a reader of committed records may
    have."""
    position, stable = await consumer.position(tp), (await consumer.end_offsets([tp]))[tp]
    if stable > position:
        return Unavailable("kafka", f"nothing more of partition {tp.partition} for {STILL_SECONDS:.0f} s")
    return RunFailed(
        f"the records of partition {tp.partition} from offset {position} on cannot be read: another system has left a"
        " transaction open before them, or they are not there any more"
    )


def _take(batch: Sequence[ConsumerRecord], reader: Reader, spool: Spool, source: ReplaySource, whole: "_Whole") -> None:
    """Take the run's rows of a batch; in a thread, for a packed record may hold thousands."""
    for record in batch:
        for found in reader.read(record):
            whole.met(found)
            if isinstance(found, Recorded) and found.row_index >= source.from_row:
                spool.add(found)
                if spool.full:
                    spool.flush()
            elif isinstance(found, UnreadableRow) and found.row_index >= source.from_row:
                spool.unreadable.add(found.row_index)


class _Whole:
    """Tells whether retention took rows that are asked for. Nothing behind a row that is there is missing."""

    def __init__(self, source: ReplaySource, first: int, part: TopicRange) -> None:
        self._source, self._first, self._part = source, first, part
        self._doubtful = first > part.from_offset and source.check != "count"
        self._met: dict[int, int] = {}

    def met(self, found: Recorded | UnreadableRow | Passed) -> None:
        """Take note of a row or of a skip."""
        if self._doubtful and not (isinstance(found, Recorded) and found.redriven):
            self._met.setdefault(found.row_index % self._source.lanes, found.row_index)

    def check(self) -> None:
        """Raise `RunFailed` when something is missing."""
        if not self._doubtful:
            return
        wanted = {lane: first_of_lane(self._source.from_row, lane, self._source.lanes) for lane in self._part.lanes}
        lost = [lane for lane, row_index in wanted.items() if self._met.get(lane, row_index + 1) > row_index]
        if lost or self._source.check == "offsets":
            raise RunFailed(_gone(self._part.partition, self._first))


def _check_count(spool: Spool, source: ReplaySource) -> None:
    missing = source.expected_rows - spool.first_tries - len(spool.unreadable)
    if source.check == "count" and missing > 0:
        raise RunFailed(
            f"{missing} of {source.expected_rows} rows are gone. {_gone(source.ranges[0].partition, spool.lowest)}"
        )


def _gone(partition: int, first: int) -> str:
    return (
        f"The retention time of some of these rows has passed; the first available offset of partition {partition} is"
        f" {first}."
    )
